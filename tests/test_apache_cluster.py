"""Three real brokers keep what they acknowledged, whichever of them dies."""

import pytest

from features.kafka.consumer import Consumer
from features.kafka.producer import Producer
from tests.apache_cluster import ApacheCluster
from tests.apache_kafka import ApacheKafka
from tests.conftest import Broker, MakeTopic
from tests.features.kafka.conftest import from_zero, read


@pytest.mark.slow
def test_a_broker_killed_while_records_flow_loses_and_doubles_nothing(apache_cluster: ApacheCluster) -> None:
    apache_cluster.create_topic("t", 4)
    apache_cluster.wait_in_sync("t")
    producer = Producer(apache_cluster.bootstrap, delivery_timeout_ms=60_000)
    consumer = Consumer(apache_cluster.bootstrap, "survivors")
    consumer.subscribe(["t"], from_zero, lambda _places: None)
    fates: list[Exception | None] = []
    values: list[bytes] = []
    for round_ in range(2):  # the second one after the first node has come back with its data
        killed = apache_cluster.leader("t", 0)
        for number in range(5_000):
            if number == 2_500:
                apache_cluster.nodes[killed].kill()
            producer.send("t", b"%d" % number, b"%d:%d" % (round_, number), (), fates.append)
        producer.flush(60)
        values += [record.value or b"" for record in read(consumer, 5_000, polls=300)]
        assert apache_cluster.leader("t", 0) != killed
        apache_cluster.nodes[killed].start()
        apache_cluster.wait_in_sync("t")
    assert fates == [None] * 10_000
    assert sorted(values) == sorted(b"%d:%d" % (round_, number) for round_ in range(2) for number in range(5_000))
    consumer.close()
    producer.close()


@pytest.mark.slow
@pytest.mark.parametrize("broker", ["apache"], indirect=True)
def test_a_single_broker_restarted_has_what_it_acknowledged(broker: Broker, make_topic: MakeTopic) -> None:
    assert isinstance(broker, ApacheKafka)
    topic, producer = make_topic("restarted", 2), Producer(broker.bootstrap)
    for number in range(100):
        producer.send(topic, b"%d" % number, b"%d" % number)
    producer.flush()
    broker.restart()
    consumer = Consumer(broker.bootstrap, f"group.{topic}")
    consumer.subscribe([topic], from_zero, lambda _places: None)
    assert {record.value for record in read(consumer, 100)} == {b"%d" % number for number in range(100)}
    consumer.close()
    producer.close()
