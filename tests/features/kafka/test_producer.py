"""A record counts as sent once Kafka has it, and every other end is told in bounded time."""

import asyncio
import threading

import pytest

from features.errors import BadInput, Overloaded, Unavailable
from features.kafka.producer import is_up
from tests.conftest import Broker, MakeTopic
from tests.features.kafka.conftest import MakeConsumer, MakeProducer, read


def test_an_acknowledged_record_can_be_read(
    make_topic: MakeTopic, make_producer: MakeProducer, make_consumer: MakeConsumer
) -> None:
    topic, producer = make_topic("acknowledged", 4), make_producer()
    asyncio.run(producer.send_wait(topic, b"u1", b"hello", [("reason", b"why")]))
    (record,) = read(make_consumer(topic), 1)
    assert (record.topic, record.offset, record.key, record.value) == (topic, 0, b"u1", b"hello")
    assert record.headers == (("reason", b"why"),)
    assert record.timestamp_ms > 1_600_000_000_000


def test_a_null_value_arrives_as_null(
    make_topic: MakeTopic, make_producer: MakeProducer, make_consumer: MakeConsumer
) -> None:
    topic, producer = make_topic("deleted", 1), make_producer()
    producer.send(topic, b"i1", None)
    producer.flush()
    assert [(record.key, record.value) for record in read(make_consumer(topic), 1)] == [(b"i1", None)]


def test_a_callback_that_fails_does_not_silence_the_next_one(
    make_topic: MakeTopic, make_producer: MakeProducer, caplog: pytest.LogCaptureFixture
) -> None:
    topic, producer, second = make_topic("broken", 1), make_producer(), threading.Event()

    def broken(_error: Exception | None) -> None:
        raise RuntimeError("broken callback")

    producer.send(topic, b"a", b"1", (), broken)
    producer.send(topic, b"b", b"2", (), lambda _error: second.set())
    assert second.wait(10)
    assert "a delivery callback failed" in caplog.text


def test_a_broker_that_went_away_is_told_in_bounded_time_and_the_client_goes_on_once_it_is_back(
    broker: Broker, make_topic: MakeTopic, make_producer: MakeProducer, make_consumer: MakeConsumer
) -> None:
    topic, producer = make_topic("outage", 1), make_producer(delivery_timeout_ms=3_000)
    asyncio.run(producer.send_wait(topic, b"k", b"before"))
    broker.set_down()
    try:
        with pytest.raises(Unavailable, match=broker.bootstrap):
            asyncio.run(producer.send_wait(topic, b"k", b"lost"))
        assert is_up(broker.bootstrap, 0.3)[0] is False
        assert broker.bootstrap in is_up(broker.bootstrap, 0.3)[1]
    finally:
        broker.set_up()
    assert is_up(broker.bootstrap, 10)[0] is True
    asyncio.run(producer.send_wait(topic, b"k", b"after"))
    assert [record.value for record in read(make_consumer(topic), 2)] == [b"before", b"after"]


def test_a_full_queue_says_so_at_once(make_topic: MakeTopic, make_producer: MakeProducer) -> None:
    topic, producer = make_topic("full", 1), make_producer("127.0.0.1:9", max_queued=3, delivery_timeout_ms=1_000)
    fates: list[Exception | None] = []
    for _ in range(3):
        producer.send(topic, b"k", b"v", (), fates.append)
    with pytest.raises(Overloaded, match="queue to Kafka"):
        producer.send(topic, b"k", b"v", (), fates.append)
    with pytest.raises(Unavailable, match="3 records"):
        producer.flush(0.01)
    producer.flush(10)
    assert [type(fate) for fate in fates] == [Unavailable] * 3


def test_a_record_too_large_is_refused_at_once(make_topic: MakeTopic, make_producer: MakeProducer) -> None:
    topic, producer = make_topic("large", 1), make_producer()
    with pytest.raises(BadInput, match="larger"):
        producer.send(topic, b"k", b"x" * 2_000_000)
