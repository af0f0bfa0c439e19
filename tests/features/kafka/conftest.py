"""Short ways to write and read a few records."""

from collections.abc import Callable, Iterator

import pytest

from features.kafka.broker import EmbeddedBroker
from features.kafka.consumer import Consumer, Place, Record
from features.kafka.producer import Producer
from tests.conftest import Broker

MakeProducer = Callable[..., Producer]
MakeConsumer = Callable[..., Consumer]


@pytest.fixture
def make_producer(kafka: str) -> Iterator[MakeProducer]:
    """Producers that are closed after the test."""
    made: list[Producer] = []

    def make(bootstrap: str = kafka, **options: float) -> Producer:
        made.append(Producer(bootstrap, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for producer in made:
        producer.close(0.5)


@pytest.fixture
def make_consumer(broker: Broker) -> Iterator[MakeConsumer]:
    """Subscribed consumers, each in the group of the topic's name, that are closed after the test.

    The embedded broker waits for a whole session timeout, less a second, in every rebalance but a group's first.
    """
    made: list[Consumer] = []
    session_ms = 1_500 if isinstance(broker, EmbeddedBroker) else 3_000

    def make(
        topic: str,
        starts: Callable[[list[Place]], dict[Place, int]] | None = None,
        revoked: Callable[[list[Place]], None] | None = None,
    ) -> Consumer:
        consumer = Consumer(broker.bootstrap, f"group.{topic}", session_timeout_ms=session_ms)
        consumer.subscribe([topic], starts or from_zero, revoked or (lambda _places: None))
        made.append(consumer)
        return consumer

    yield make
    for consumer in made:
        consumer.close()


def from_zero(places: list[Place]) -> dict[Place, int]:
    """Every partition from its first record."""
    return dict.fromkeys(places, 0)


def read(consumer: Consumer, count: int, polls: int = 100) -> list[Record]:
    """The next `count` records, or fewer where they don't come."""
    records: list[Record] = []
    for _ in range(polls):
        records += consumer.poll_batch(count - len(records), 0.2)
        if len(records) >= count:
            break
    return records
