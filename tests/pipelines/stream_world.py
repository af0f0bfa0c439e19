"""A Kafka of one test's own, an empty Redis and a data folder: what goes in, and what must have come of it."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import confluent_kafka
import redis

from features.errors import MalformedEvent
from features.events import Event, decode, partition_key
from features.folds import Profile, fold, pack
from features.kafka.consumer import Record
from features.kafka.producer import Producer
from features.kafka.topics import log_id, partition_of, partitions_of
from features.offline import EventLog, LoggedEvent, read_events
from features.online import StateStore, connect
from features.settings import Settings, to_environment
from pipelines.backfill import source_name
from pipelines.stream import Processor

BASE = 1_767_225_600_000  # 2026-01-01
ROOT = Path(__file__).parents[2]
Topics = ("events", "events.rekey")


@dataclass
class World:
    """`settings` lead to the servers; `produced` counts what was sent to `events`."""

    settings: Settings
    produced: int = 0
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = connect(self.settings.redis)
        self.producer = Producer(self.settings.kafka, linger_ms=0)

    def close(self) -> None:
        """Ends its workers and connections."""
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.producer.close(0.5)
        self.client.close()

    def send(self, *messages: dict[str, Any], key: bytes | None = None) -> None:
        """Puts events into Kafka under the right key, or under a given one."""
        for message in messages:
            raw = json.dumps(message).encode()
            self.send_raw(raw, partition_key(decode(raw, BASE)) if key is None else key)
        self.producer.flush()

    def send_raw(self, raw: bytes | None, key: bytes | None, topic: str = "events") -> None:
        """Puts any bytes into Kafka; waits for nothing."""
        self.producer.send(topic, key, raw)
        self.produced += topic == "events"

    def records(self, topic: str, starts: dict[int, int] | None = None) -> list[Record]:
        """What a topic holds, all or from these offsets on, by partition and offset."""
        ends = self.ends(topic)
        left = {p: end for p, end in ends.items() if (starts or {}).get(p, 0) < end}
        kafka = confluent_kafka.Consumer({"bootstrap.servers": self.settings.kafka, "group.id": "test"})
        kafka.assign([confluent_kafka.TopicPartition(topic, p, (starts or {}).get(p, 0)) for p in left])
        found: list[Record] = []
        deadline = time.monotonic() + 30
        while left:
            assert time.monotonic() < deadline, f"{topic}: {left} not reached"
            for message in kafka.consume(10_000, 0.1):
                assert message.error() is None, message.error()
                found.append(record_of(message))
                if found[-1].offset + 1 >= left.get(found[-1].partition, 0):
                    left.pop(found[-1].partition, None)
        kafka.close()
        return sorted(found, key=lambda record: (record.partition, record.offset))

    def ends(self, topic: str) -> dict[int, int]:
        """Each partition's end in Kafka."""
        kafka = confluent_kafka.Consumer({"bootstrap.servers": self.settings.kafka, "group.id": "test"})
        places = [confluent_kafka.TopicPartition(topic, p) for p in range(partitions_of(self.settings.kafka, topic))]
        ends: dict[int, int] = {}
        deadline = time.monotonic() + 30
        while len(ends) < len(places):
            try:
                ends = {place.partition: int(kafka.get_watermark_offsets(place, timeout=10)[1]) for place in places}
            except confluent_kafka.KafkaException:  # a topic made a moment ago may have no leader yet
                assert time.monotonic() < deadline, f"{topic} doesn't tell its ends"
        kafka.close()
        return ends

    def name(self, topic: str) -> str:
        """The source of a topic."""
        return source_name(topic, log_id(self.settings.kafka, topic), partitions_of(self.settings.kafka, topic))

    def expected(self, before: Iterable[Event] = ()) -> dict[str, bytes]:
        """Every customer's packed state, by one pass over Kafka's topics that shares nothing with the processor.

        Args:    before: events that came another way.
        """
        profiles: dict[str, Profile] = {}
        for each in before:
            fold(profiles.setdefault(each.customer, Profile()), each)
        for topic in Topics:
            for _, each in rightly_placed(self.records(topic), partitions_of(self.settings.kafka, topic)):
                fold(profiles.setdefault(each.customer, Profile()), each)
        return {customer: pack(profile) for customer, profile in profiles.items()}

    def states(self, client: redis.Redis | None = None) -> dict[str, bytes]:
        """Every customer's packed state as Redis has it."""
        client = client or self.client
        keys = [key for key in client.scan_iter(count=1_000) if b"}:u:" in key or b"}:a:" in key]
        values = cast("list[bytes]", client.mget(keys)) if keys else []
        return {key.decode().partition("}:")[2]: value for key, value in zip(keys, values, strict=True)}

    def logged(self, topic: str = "events") -> list[LoggedEvent]:
        """The event log of a topic, as a reader gets it."""
        log = EventLog(self.settings.data).source(self.name(topic))
        return [row for rows in read_events(log) for row in rows]

    def assert_exact(self) -> None:
        """Profiles byte by byte as a clean pass gives them, and in the log each accepted record once and in order."""
        states, expected = self.states(), self.expected()
        assert states.keys() == expected.keys()
        wrong = [customer for customer in expected if states[customer] != expected[customer]]
        assert wrong == []
        counted: dict[tuple[str, str], int] = {}
        for topic in Topics:
            rows = self.logged(topic)
            placed = rightly_placed(self.records(topic), partitions_of(self.settings.kafka, topic))
            assert [(row.partition, row.offset) for row in rows] == [(r.partition, r.offset) for r, _ in placed]
            assert [row.value for row in rows] == [record.value for record, _ in placed]
            for row in rows:
                key = (row.event.customer, row.event.message_id)
                counted[key] = counted.get(key, 0) + (not row.duplicate)
        assert {key: times for key, times in counted.items() if times != 1} == {}

    def waiting(self) -> int:
        """How far all buckets together are behind the ends of the topics, by the truth of Redis and Kafka."""
        behind = 0
        for topic in Topics:
            ends = self.ends(topic)
            stands = StateStore(self.client, self.name(topic), self.settings.buckets).positions()
            behind += sum(max(0, ends[bucket % len(ends)] - position) for bucket, position in stands.items())
        return behind

    def stands(self, topic: str = "events") -> int:
        """The sum of all buckets' positions."""
        return sum(StateStore(self.client, self.name(topic), self.settings.buckets).positions().values())

    def claims(self) -> int:
        """How often a bucket of `events` has been claimed."""
        field = f"epoch:{self.name('events')}"
        return sum(int(self.client.hget(f"{{b:{b}}}:m", field) or 0) for b in range(self.settings.buckets))

    def until(self, ready: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Return once `ready()`; fail with the workers' logs if it takes too long."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            assert time.monotonic() < deadline, f"{self.waiting()} wait\n{self.log_tail()}"
            time.sleep(0.02)

    def caught_up(self, timeout_s: float = 60.0) -> None:
        """Wait until the workers have taken all that lies in Kafka."""
        self.until(lambda: self.waiting() == 0, timeout_s)

    def worker(self, *command: str) -> "subprocess.Popen[bytes]":
        """Start `kindred stream` in a process of its own, or another command with the same settings."""
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", *(command or ("pipelines.cli", "stream"))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, **to_environment(self.settings), "PYTHONPATH": str(ROOT)},
            )
        self.workers.append(process)
        return process

    @property
    def log_file(self) -> Path:
        """What the workers say."""
        return self.settings.data / "workers.log"

    def log_tail(self) -> str:
        """The end of what the workers said."""
        return self.log_file.read_text()[-3_000:] if self.log_file.exists() else ""

    def processor(self) -> Processor:
        """A processor in this process, owner of nothing yet."""
        return Processor(self.settings, self.client, self.producer, lambda: BASE)

    def pump(self, processor: Processor | None = None, batch: int = 500) -> Processor:
        """Let a processor, a new one by default, own everything and take all that lies in Kafka."""
        processor = processor or self.processor()
        topics = (*Topics, "items")
        starts = processor.assign([(t, p) for t in topics for p in range(partitions_of(self.settings.kafka, t))])
        for topic in ("events", "items", "events.rekey"):
            self.producer.flush()
            records = self.records(topic, {place[1]: start for place, start in starts.items() if place[0] == topic})
            for at in range(0, len(records), batch):
                processor.process(records[at : at + batch])
        return processor


def record_of(message: Any) -> Record:
    """A message as the processor gets it."""
    time_ms, headers = message.timestamp()[1], tuple(message.headers() or ())
    place = (message.topic(), message.partition(), message.offset())
    return Record(*place, message.key(), message.value(), time_ms, headers)


def rightly_placed(records: list[Record], partitions: int) -> list[tuple[Record, Event]]:
    """The records that hold an event of a customer whose partition this is, each with its event."""
    found = []
    for record in records:
        try:
            event = decode(record.value or b"", record.timestamp_ms)
        except MalformedEvent:
            continue
        if partition_of(partition_key(event), partitions) == record.partition:
            found.append((record, event))
    return found


def traffic(seed: int, count: int, customers: int = 40) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of a shop's events: late ones, duplicates, orders, refunds, a few malformed or under a wrong key."""
    random_ = random.Random(seed)
    sent: list[tuple[bytes, bytes]] = []
    for number in range(count):
        chance = random_.random()
        if sent and chance < 0.05:
            yield random_.choice(sent)
            continue
        customer = f"c{random_.randrange(customers)}"
        if chance < 0.07:
            yield customer.encode(), b'{"type":"track","userId":"' + customer.encode() + b'","event":7}'
            continue
        key = b"somebody-else" if chance < 0.09 else customer.encode()
        sent.append((key, json.dumps(event(random_, f"m{seed}-{number}", customer)).encode()))
        yield sent[-1]


def event(random_: random.Random, message_id: str, customer: str) -> dict[str, Any]:
    """One event of a shop of 30 items."""
    name = random_.choice(["Product Viewed"] * 6 + ["Product Added", "Order Completed", "Order Refunded", "Unheard Of"])
    at = BASE + random_.randrange(20 * 3_600_000)
    line = {"product_id": f"i{random_.randrange(30)}", "price": random_.randrange(1, 9_999) / 100, "category": "garden"}
    order = {"order_id": message_id, "currency": "GBP", "products": [line | {"quantity": random_.randrange(1, 4)}]}
    return {
        "type": "track",
        "messageId": message_id,
        "userId": customer,
        "event": name,
        "timestamp": iso(at),
        "receivedAt": iso(BASE + 20 * 3_600_000 + random_.randrange(3_600_000)),
        "properties": order if name.startswith("Order") else line,
    }


def iso(ms: int) -> str:
    """A time as it stands on the wire."""
    seconds, rest = divmod(ms, 1_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:03d}Z"


def viewed(customer: str, item: str = "i1", message_id: str | None = None, **fields: object) -> dict[str, Any]:
    """A view of an item at the start of 2026."""
    message: dict[str, Any] = {
        "type": "track",
        "event": "Product Viewed",
        "userId": customer,
        "properties": {"product_id": item},
    }
    return message | {"messageId": message_id or f"{customer}-{item}", "timestamp": iso(BASE)} | fields


def send(world: World, seed: int, count: int) -> None:
    """Puts traffic into Kafka and waits until it is there."""
    for key, value in traffic(seed, count):
        world.send_raw(value, key)
    world.producer.flush()
