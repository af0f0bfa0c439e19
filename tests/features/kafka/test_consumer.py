"""A reader starts where its own store says, and learns when that place is gone."""

from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, KafkaException, Message

from features.errors import OffsetOutOfRange, Unavailable
from features.kafka.broker import EmbeddedBroker
from features.kafka.consumer import Consumer, Place
from features.kafka.producer import Producer
from tests.conftest import Broker, MakeTopic
from tests.features.kafka.conftest import MakeConsumer, MakeProducer, from_zero, read


def fill(producer: Producer, topic: str, count: int) -> None:
    """Values b"0", b"1", ... under one key, so in one partition."""
    for number in range(count):
        producer.send(topic, b"k", str(number).encode())
    producer.flush()


def values(consumer: Consumer, count: int) -> list[int]:
    return [int(record.value or b"-1") for record in read(consumer, count)]


def test_it_starts_at_the_offsets_that_on_assign_returns(
    make_topic: MakeTopic, make_producer: MakeProducer, make_consumer: MakeConsumer
) -> None:
    topic = make_topic("starts", 1)
    fill(make_producer(), topic, 10)
    assigned: list[list[Place]] = []

    def from_seven(places: list[Place]) -> dict[Place, int]:
        assigned.append(places)
        return dict.fromkeys(places, 7)

    assert values(make_consumer(topic, from_seven), 3) == [7, 8, 9]
    assert assigned == [[(topic, 0)]]


def test_it_ignores_what_was_committed_for_dashboards(
    make_topic: MakeTopic, make_producer: MakeProducer, make_consumer: MakeConsumer
) -> None:
    topic = make_topic("committed", 1)
    fill(make_producer(), topic, 4)
    first = make_consumer(topic)
    assert values(first, 4) == [0, 1, 2, 3]
    first.commit_for_dashboards({(topic, 0): 4})
    first.close()
    assert values(make_consumer(topic), 4) == [0, 1, 2, 3]


def test_an_error_in_on_assign_comes_out_of_the_poll_and_no_committed_offset_steps_in(
    make_topic: MakeTopic, make_producer: MakeProducer, make_consumer: MakeConsumer
) -> None:
    topic = make_topic("refused", 1)
    fill(make_producer(), topic, 5)
    before = make_consumer(topic)
    assert values(before, 1) == [0]
    before.commit_for_dashboards({(topic, 0): 1})
    before.close()

    def no_store(_places: list[Place]) -> dict[Place, int]:
        raise Unavailable("no store")

    consumer = make_consumer(topic, no_store)
    with pytest.raises(Unavailable, match="no store"):
        read(consumer, 1)
    assert read(consumer, 1, polls=3) == []


@pytest.mark.parametrize("start", [2, 99])
def test_a_start_outside_the_log_is_an_error_not_the_earliest(
    broker: Broker, make_topic: MakeTopic, make_producer: MakeProducer, make_consumer: MakeConsumer, start: int
) -> None:
    topic = make_topic("gone", 1)
    fill(make_producer(), topic, 10)
    broker.truncate(topic, 0, 5)
    consumer = make_consumer(topic, lambda places: dict.fromkeys(places, start))
    with pytest.raises(OffsetOutOfRange) as caught:
        read(consumer, 1)
    assert (caught.value.topic, caught.value.partition) == (topic, 0)
    assert consumer.watermarks(topic, 0) == (5, 10)


def test_seek_reads_again_and_drops_what_was_fetched_ahead(
    make_topic: MakeTopic, make_producer: MakeProducer, make_consumer: MakeConsumer
) -> None:
    topic = make_topic("sought", 1)
    fill(make_producer(), topic, 10)
    consumer = make_consumer(topic)
    assert values(consumer, 5) == [0, 1, 2, 3, 4]
    consumer.seek(topic, 0, 2)
    assert values(consumer, 8) == [2, 3, 4, 5, 6, 7, 8, 9]


def test_a_partition_can_be_sought_the_moment_it_is_assigned(
    make_topic: MakeTopic, make_producer: MakeProducer, make_consumer: MakeConsumer
) -> None:
    topic = make_topic("at-once", 1)
    fill(make_producer(), topic, 4)
    mine: list[Place] = []

    def assigned(places: list[Place]) -> dict[Place, int]:
        mine.extend(places)
        return from_zero(places)

    consumer = make_consumer(topic, assigned)
    while not mine:
        consumer.poll_batch(1, 0.05)
    consumer.seek(topic, 0, 3)
    assert values(consumer, 1) == [3]


def test_a_paused_partition_rests_and_a_resumed_one_misses_nothing(
    make_topic: MakeTopic, make_producer: MakeProducer, make_consumer: MakeConsumer
) -> None:
    topic = make_topic("paused", 1)
    fill(make_producer(), topic, 6)
    consumer = make_consumer(topic)
    assert values(consumer, 2) == [0, 1]
    consumer.pause([(topic, 0)])
    assert read(consumer, 1, polls=2) == []
    consumer.resume([(topic, 0)])
    assert values(consumer, 4) == [2, 3, 4, 5]


def test_lag_counts_what_waits(make_topic: MakeTopic, make_producer: MakeProducer, make_consumer: MakeConsumer) -> None:
    topic = make_topic("lag", 1)
    fill(make_producer(), topic, 6)
    consumer = make_consumer(topic)
    assert values(consumer, 2) == [0, 1]
    assert consumer.lag() == {(topic, 0): 4}
    assert values(consumer, 4) == [2, 3, 4, 5]
    assert consumer.lag() == {(topic, 0): 0}


def test_a_second_member_takes_over_partitions_and_the_first_hears_of_it(
    make_topic: MakeTopic, make_consumer: MakeConsumer
) -> None:
    topic = make_topic("shared", 2)
    mine: dict[str, set[Place]] = {"first": set(), "second": set()}

    def claim(name: str) -> Consumer:
        def claimed(places: list[Place]) -> dict[Place, int]:
            mine[name] |= set(places)
            return from_zero(places)

        return make_consumer(topic, claimed, mine[name].difference_update)

    first = claim("first")
    while len(mine["first"]) < 2:
        first.poll_batch(10, 0.05)
    second = claim("second")
    while [len(places) for places in mine.values()] != [1, 1]:  # either may hear of it first
        first.poll_batch(10, 0.05)
        second.poll_batch(10, 0.05)
    assert mine["first"] | mine["second"] == {(topic, 0), (topic, 1)}
    second.close()
    assert mine["second"] == set()


def test_a_batch_is_no_larger_than_asked_and_does_not_wait_to_fill(
    make_topic: MakeTopic, make_producer: MakeProducer, make_consumer: MakeConsumer
) -> None:
    topic = make_topic("batch", 1)
    fill(make_producer(), topic, 5)
    consumer = make_consumer(topic)
    sizes: list[int] = []
    while sum(sizes) < 5:
        sizes.append(len(consumer.poll_batch(2, 1.0)))
    assert max(sizes) <= 2


class _Interrupted:
    """A client in whose `consume` something happens to the record polled before."""

    def __init__(self, happens: Callable[[], None]) -> None:
        self._happens = happens

    def poll(self, _timeout: float) -> Message:
        return Message(topic="t", partition=0, offset=9, value=b"polled")

    def consume(self, _count: int, _timeout: float) -> list[Message]:
        self._happens()
        return [Message(topic="t", partition=0, offset=4, value=b"claimed")]


def test_a_record_polled_before_a_revocation_is_not_handed_out_after_it(embedded_kafka: EmbeddedBroker) -> None:
    consumer = Consumer(embedded_kafka.bootstrap, "rebalancing")
    gone = _Interrupted(lambda: consumer._revoked.update([("t", 0)]))
    real, consumer._kafka = consumer._kafka, gone  # type: ignore[assignment]
    try:
        assert [record.value for record in consumer.poll_batch(10, 0.1)] == [b"claimed"]
    finally:
        real.close()


def test_a_record_polled_before_an_error_is_handed_out_before_it(embedded_kafka: EmbeddedBroker) -> None:
    def fails() -> None:
        raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    consumer = Consumer(embedded_kafka.bootstrap, "failing")
    real, consumer._kafka = consumer._kafka, _Interrupted(fails)  # type: ignore[assignment]
    try:
        assert [record.value for record in consumer.poll_batch(10, 0.1)] == [b"polled"]
        with pytest.raises(Unavailable):
            consumer.poll_batch(10, 0.1)
    finally:
        real.close()


def test_a_partition_of_another_cannot_be_sought(make_topic: MakeTopic, make_consumer: MakeConsumer) -> None:
    topic = make_topic("foreign", 1)
    with pytest.raises(Unavailable):
        make_consumer(topic).seek(topic, 0, 1)
