"""A derived topic whose partitions follow an attribute of customers, for readers that work by country or device.

Kindred's own topics stay keyed by customer. Every event is passed on as it came, under the value of a text feature of
its customer as key; a reader finds all events of one value in one partition. Delivery is at least once: an event's
messageId tells a repetition.
"""

import logging
from collections.abc import Callable

import numpy as np

from features.definitions import FEATURES
from features.errors import BadInput, MalformedEvent, Overloaded, Unavailable
from features.events import decode
from features.kafka.consumer import Consumer, Place, Record
from features.kafka.producer import Producer
from features.kafka.topics import Topic, ensure_topics, first_offsets, log_id
from features.online import Client, StateStore
from features.packing import unpack
from features.reading import evaluate, value_of
from features.settings import Settings
from features.table import Table
from pipelines.folding import Buckets

SOURCE = "events"
BATCH = 2_000

logger = logging.getLogger("kindred.align")


class Aligner:
    """Passes events on; `client` also keeps how far each partition has been passed on."""

    def __init__(
        self, settings: Settings, client: Client, producer: Producer, by: str, topic: str, table: Table = FEATURES
    ) -> None:
        feature = table.features.get(by)
        if feature is None or feature.dtype != "str":
            known = sorted(name for name, each in table.features.items() if each.dtype == "str")
            raise BadInput(f"there is no text feature {by!r} to align by; known: {', '.join(known)}", "by")
        self.feature = feature
        self.table = table
        self.client = client
        self.producer = producer
        self.topic = topic
        self.kafka = settings.kafka
        self.buckets = Buckets(settings.buckets)
        self.store = StateStore(client, SOURCE, settings.buckets, table.generation)
        self.positions = f"kindred:align:{topic}:{log_id(settings.kafka, SOURCE)}"
        self._failures: list[Exception] = []

    def starts(self, places: list[Place]) -> dict[Place, int]:
        """Where to read each partition from."""
        stored = self.client.hgetall(self.positions)
        kept = first_offsets(self.kafka, SOURCE)
        return {place: max(int(stored.get(str(place[1]).encode(), 0)), kept.get(place[1], 0)) for place in places}

    def take(self, records: list[Record], now: int) -> int:
        """Pass a batch on and remember it, once Kafka has it; returns how many.

        Args:    now: ms UTC, the moment at which the attribute is read.
        Raises:  Unavailable: Kafka doesn't take them.
        """
        sent = 0
        events = [(record, customer) for record in records if (customer := _customer(record))]
        values = self._values([customer for _, customer in events], now)
        for record, customer in events:
            key = values[customer] or ""
            headers = [(name, value or b"") for name, value in record.headers]
            try:
                self.producer.send(self.topic, key.encode(), record.value, headers, self._sent)
            except Overloaded:
                self.producer.flush()
                self.producer.send(self.topic, key.encode(), record.value, headers, self._sent)
            sent += 1
        self.producer.flush()
        if self._failures:
            raise Unavailable(f"{len(self._failures)} events couldn't be passed on: {self._failures[0]}")
        for partition, end in {record.partition: record.offset + 1 for record in records}.items():
            self.client.hset(self.positions, str(partition), str(end))
        return sent

    def _values(self, customers: list[str], now: int) -> dict[str, str | None]:
        """The attribute of each customer now."""
        ids = sorted(set(customers))
        homes = self.buckets.of(ids).tolist()
        owned: dict[int, list[str]] = {}
        for customer, bucket in zip(ids, homes, strict=True):
            owned.setdefault(bucket, []).append(customer)
        read = self.store.read(owned)
        names = [customer for bucket in owned for customer in owned[bucket]]
        states = unpack([value for bucket in owned for value in read[bucket][1]])
        found = evaluate(self.table, states, np.full(len(names), now), [self.feature.name])[self.feature.name]
        return {name: value_of(self.feature, found, at) for at, name in enumerate(names)}

    def _sent(self, error: Exception | None) -> None:
        if error is not None:
            self._failures.append(error)


def run(
    settings: Settings,
    client: Client,
    by: str,
    topic: str,
    partitions: int,
    stopping: Callable[[], bool],
    now: Callable[[], int],
) -> None:
    """Pass events on until `stopping()`, from where it was left."""
    ensure_topics(settings.kafka, {topic: Topic(partitions, {"message.timestamp.type": "CreateTime"})})
    producer = Producer(settings.kafka, linger_ms=5)
    aligner = Aligner(settings, client, producer, by, topic)
    consumer = Consumer(settings.kafka, f"kindred-align-{topic}")
    try:
        consumer.subscribe([SOURCE], aligner.starts, lambda _: None)
        while not stopping():
            records = consumer.poll_batch(BATCH, 0.2)
            if records:
                logger.info("%d events passed on to %s", aligner.take(records, now()), topic)
    finally:
        consumer.close()
        producer.close()


def _customer(record: Record) -> str:
    """Whose event it is; what the stream processor refuses is not passed on."""
    try:
        return decode(record.value or b"", record.timestamp_ms).customer
    except MalformedEvent:
        return ""
