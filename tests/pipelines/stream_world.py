"""A Kafka of one test's own, an empty Redis and a data folder: what goes in, and what must have come of it."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import confluent_kafka

from features.definitions import FEATURES
from features.events import decode, partition_key
from features.kafka.consumer import Record
from features.kafka.producer import Producer
from features.kafka.topics import log_id, partitions_of
from features.offline import LoggedEvent
from features.online import AWAY, Client, StateStore, connect
from features.online.state import meta_key
from features.settings import Settings, to_environment
from pipelines.backfill import source_name
from pipelines.stream import Processor
from tests.pipelines.stream_truth import assert_exact, logged
from tests.pipelines.traffic import BASE, traffic

ROOT = Path(__file__).parents[2]
TOPICS = ("events", "events.rekey")
READ = {"events": FEATURES.generation, "events.rekey": FEATURES.generation, "identity": "identity"}


@dataclass
class World:
    """`settings` lead to the servers; `clean` is an empty Redis for what is compared with."""

    settings: Settings
    clean: str = ""
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = replace(self.settings, session_ms=3_000)  # so that a dead worker is missed soon
        self.client = connect(self.settings.redis)
        self.producer = Producer(self.settings.kafka, linger_ms=0)
        self._names: dict[str, str] = {}

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

    def records(self, topic: str, starts: dict[int, int] | None = None) -> list[Record]:
        """What a topic holds, all or from these offsets on, by partition and offset."""
        left = {p: end for p, end in self.ends(topic).items() if (starts or {}).get(p, 0) < end}
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
        places = [confluent_kafka.TopicPartition(topic, p) for p in range(self.partitions(topic))]
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
        if topic not in self._names:
            kafka = self.settings.kafka
            self._names[topic] = source_name(topic, log_id(kafka, topic), partitions_of(kafka, topic))
        return self._names[topic]

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has."""
        return int(self.name(topic).rpartition(".p")[2]) if topic in READ else partitions_of(self.settings.kafka, topic)

    def store(self, topic: str = "events") -> StateStore:
        """The states, by positions in a topic."""
        return StateStore(self.client, self.name(topic), self.settings.buckets, READ[topic])

    def waiting(self) -> int:
        """How far all buckets together are behind the ends of the topics, by the truth of Redis and Kafka."""
        behind = 0
        for topic in READ:
            ends = self.ends(topic)
            stands = self.store(topic).positions()
            behind += sum(max(0, ends[bucket % len(ends)] - position) for bucket, position in stands.items())
        return behind

    def stands(self, topic: str = "events") -> int:
        """The sum of all buckets' positions."""
        return sum(self.store(topic).positions().values())

    def claims(self) -> int:
        """How often a bucket of `events` has been claimed."""
        keys = [meta_key(bucket, READ["events"]) for bucket in range(self.settings.buckets)]
        return sum(int(self.client.hget(key, f"epoch:{self.name('events')}") or 0) for key in keys)

    def until(self, ready: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Return once `ready()`; fail with the workers' logs if it takes too long. Redis may be away meanwhile."""
        deadline = time.monotonic() + timeout_s
        while not _ready(ready):
            assert time.monotonic() < deadline, f"not in time\n{self.log_tail()}"
            time.sleep(0.03)

    def caught_up(self, timeout_s: float = 60.0) -> None:
        """Wait until the workers have taken all that lies in Kafka."""
        self.until(lambda: self.waiting() == 0, timeout_s)

    def moved(self, events: int, timeout_s: float = 60.0) -> None:
        """Wait until the workers have got on by about so many events, or have taken all."""
        goal = self.stands() + events * self.settings.buckets // self.partitions("events")
        self.until(lambda: self.stands() >= goal or self.waiting() == 0, timeout_s)

    def worker(self, *command: str) -> "subprocess.Popen[bytes]":
        """Start `kindred stream` in a process of its own, or another command with the same settings."""
        self.settings.data.mkdir(parents=True, exist_ok=True)
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

    def processor(self, step: Callable[[str], None] = lambda _: None) -> Processor:
        """A processor in this process, owner of nothing yet."""
        return Processor(self.settings, self.client, self.producer, lambda: BASE, step=step)

    def pump(self, processor: Processor | None = None, batch: int = 500) -> Processor:
        """Let a processor, a new one by default, own everything and take all that lies in Kafka."""
        processor = processor or self.processor()
        starts = processor.assign([(t, p) for t in (*READ, "items") for p in range(self.partitions(t))])
        for topic in ("events", "items", "events.rekey", "identity"):
            self.producer.flush()
            records = self.records(topic, {place[1]: start for place, start in starts.items() if place[0] == topic})
            for at in range(0, len(records), batch):
                processor.process(records[at : at + batch])
        return processor

    def pour(self, seed: int, count: int, hot: float = 0.0) -> None:
        """Puts traffic into Kafka and waits until it is there."""
        for key, value in traffic(seed, count, hot=hot):
            self.send_raw(value, key)
        self.producer.flush()

    @contextmanager
    def flowing(self, seed: int, count: int, hot: float = 0.0) -> Iterator[None]:
        """Traffic that goes on arriving from another thread while the block runs; all has been sent when it ends."""

        def go() -> None:
            for number, (key, value) in enumerate(traffic(seed, count, hot=hot)):
                self.send_raw(value, key)
                if number % 20 == 0:
                    self.producer.flush()
            self.producer.flush()

        thread = threading.Thread(target=go)
        thread.start()
        try:
            yield
        finally:
            thread.join()

    def logged(self, topic: str = "events") -> list[LoggedEvent]:
        """The event log of a topic, as a reader gets it."""
        return logged(self.settings, self.name(topic))

    def assert_exact(self) -> None:
        """Everything as a clean pass over Kafka's topics gives it: see `stream_truth`."""
        records = {topic: self.records(topic) for topic in TOPICS}
        assert_exact(
            self.settings, self.client, self.clean_client(), {t: (self.name(t), r) for t, r in records.items()}
        )

    def clean_client(self) -> Client:
        """A Redis with nothing in it, for what is compared with."""
        client = connect(self.clean or self.settings.redis + "/1")
        client.flushdb()
        return client


def _ready(ready: Callable[[], bool]) -> bool:
    try:
        return ready()
    except AWAY:
        return False


def record_of(message: Any) -> Record:
    """A message as the processor gets it."""
    time_ms, headers = message.timestamp()[1], tuple(message.headers() or ())
    place = (message.topic(), message.partition(), message.offset())
    return Record(*place, message.key(), message.value(), time_ms, headers)
