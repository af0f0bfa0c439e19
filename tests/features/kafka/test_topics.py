"""Where a key belongs, and which log a position belongs to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import Unavailable
from features.kafka.broker import EmbeddedBroker
from features.kafka.topics import (
    TOPICS,
    bucket_of,
    ensure_topics,
    first_offsets,
    log_id,
    murmur2,
    murmur2_many,
    partition_of,
    partitions_of,
)
from tests.apache_kafka import ApacheKafka
from tests.conftest import Broker, MakeTopic
from tests.features.kafka.conftest import MakeConsumer, MakeProducer, read

# org.apache.kafka.common.utils.UtilsTest.testMurmur2, signed 32 bits there.
JAVA_HASHES = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
KEYS = [
    b"",
    *(b"k" * length + str(length).encode() for length in range(40)),
    *(f"kunde-é{n}".encode() for n in range(60)),
]


@pytest.mark.parametrize("key", JAVA_HASHES)
def test_a_key_hashes_as_in_java(key: bytes) -> None:
    assert murmur2(key) == JAVA_HASHES[key] & 0xFFFFFFFF


@given(st.lists(st.binary(max_size=64) | st.binary(min_size=60, max_size=300)))
def test_many_keys_hash_as_each_alone(keys: list[bytes]) -> None:
    assert murmur2_many(keys).tolist() == [murmur2(key) for key in keys]
    assert murmur2_many([*keys, *JAVA_HASHES]).tolist()[len(keys) :] == [h & 0xFFFFFFFF for h in JAVA_HASHES.values()]


def test_a_key_lies_where_the_client_library_puts_it(
    kafka: str, make_topic: MakeTopic, make_producer: MakeProducer, make_consumer: MakeConsumer
) -> None:
    topic, producer = make_topic("placed", 16), make_producer()
    for key in KEYS:
        producer.send(topic, key, b"x")
    producer.flush()
    found = {record.key: record.partition for record in read(make_consumer(topic), len(KEYS))}
    assert found == {key: partition_of(key, 16) for key in KEYS}
    assert partitions_of(kafka, topic) == 16


def test_the_bucket_of_a_key_names_its_partition() -> None:
    assert {bucket_of(key, 64) for key in KEYS} != {partition_of(key, 16) for key in KEYS}
    assert all(bucket_of(key, 64) % 16 == partition_of(key, 16) for key in KEYS)


def test_ensure_topics_makes_what_is_missing_and_may_be_called_again(kafka: str) -> None:
    ensure_topics(kafka)
    ensure_topics(kafka)
    assert {name: partitions_of(kafka, name) for name in TOPICS} == {n: t.partitions for n, t in TOPICS.items()}


def test_a_topic_that_is_not_there_has_no_partitions_and_no_log(apache_kafka: ApacheKafka) -> None:
    assert partitions_of(apache_kafka.bootstrap, "nowhere") == 0
    with pytest.raises(Unavailable, match="nowhere"):
        log_id(apache_kafka.bootstrap, "nowhere")


def test_every_embedded_broker_is_a_log_of_its_own(embedded_kafka: EmbeddedBroker) -> None:
    assert log_id(embedded_kafka.bootstrap, "events") == embedded_kafka.incarnation
    with EmbeddedBroker() as other:
        assert log_id(other.bootstrap, "events") != log_id(embedded_kafka.bootstrap, "events")


def test_a_log_stays_the_same_while_its_broker_is_away(broker: Broker, make_topic: MakeTopic) -> None:
    topic = make_topic("kept", 1)
    before = log_id(broker.bootstrap, topic)
    broker.set_down()
    try:
        with pytest.raises(Unavailable, match=broker.bootstrap):
            log_id(broker.bootstrap, topic, 0.3)
    finally:
        broker.set_up()
    assert log_id(broker.bootstrap, topic) == before


def test_a_topic_that_was_made_again_is_another_log(apache_kafka: ApacheKafka) -> None:
    apache_kafka.create_topic("again", 1)
    before = log_id(apache_kafka.bootstrap, "again")
    apache_kafka.delete_topic("again")
    apache_kafka.create_topic("again", 1)
    assert log_id(apache_kafka.bootstrap, "again") not in {before, ""}


def test_dropped_records_show_in_the_first_offsets(
    broker: Broker, make_topic: MakeTopic, make_producer: MakeProducer
) -> None:
    topic, producer = make_topic("dropped", 2), make_producer()
    for _ in range(5):
        producer.send(topic, b"k", b"x")
    producer.flush()
    full = partition_of(b"k", 2)
    assert first_offsets(broker.bootstrap, topic) == {0: 0, 1: 0}
    broker.truncate(topic, full, 3)
    assert first_offsets(broker.bootstrap, topic) == {full: 3, 1 - full: 0}
