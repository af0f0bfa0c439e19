"""The stream processor: Kafka to states in Redis and to the event log, each event exactly once.

One batch: decode -> fold in memory -> event log on disk -> dead letters acknowledged -> one atomic commit a bucket.
The position that a commit writes beside the states is the only one that counts, so a worker may die between any two of these
steps: what was logged is not logged again, what was not committed is read again.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from features.errors import BadInput, BadSetting, Fenced, MalformedEvent, OffsetOutOfRange, Rewound, Unavailable
from features.events import decode, partition_key
from features.items import decode_item
from features.kafka.consumer import Consumer, Place, Record
from features.kafka.producer import Producer
from features.kafka.topics import bucket_of, ensure_topics, log_id, partition_of, partitions_of
from features.offline import EventLog, ItemLog, LoggedEvent, LoggedItem, Segments, append_events, append_items
from features.online import CatalogueStore, Client, StateStore
from features.settings import Settings
from pipelines.backfill import restore, source_name
from pipelines.folding import Batch, Folder, buckets_of_partition, stubs

DEAD_LETTERS = "events.dead-letter"
BATCH = 5_000
COMPACT_EVERY_S = 60.0
AGAIN_AFTER_S = 1.0

logger = logging.getLogger("kindred.stream")


@dataclass
class EventTopic:
    """One topic of events: its log, its positions, and how many partitions it has."""

    topic: str
    partitions: int
    log: Segments
    folder: Folder
    logged: dict[int, int] = field(default_factory=dict)


class Processor:
    """One worker; use it from one thread. `now_ms` only stamps files, never states."""

    def __init__(self, settings: Settings, client: Client, producer: Producer, now_ms: Callable[[], int]) -> None:
        self.settings = settings
        self.client = client
        self.producer = producer
        self.now_ms = now_ms
        self.events = EventLog(settings.data)
        self.items = ItemLog(settings.data)
        self.catalogue = CatalogueStore(client)
        self.sources = {topic: self._source(topic) for topic in ("events", "events.rekey")}
        self.item_source = source_name("items", log_id(settings.kafka, "items"), partitions_of(settings.kafka, "items"))

    def assign(self, places: list[Place]) -> dict[Place, int]:
        """Claim the buckets of these partitions; returns where to read each from."""
        return {place: self._start(*place) for place in places}

    def process(self, records: list[Record]) -> None:
        """Take a batch of any of the topics, in the order given.

        Raises:  Fenced, Rewound: another worker has taken over; nothing was counted twice. Unavailable.
        """
        by_place: dict[Place, list[Record]] = {}
        for record in records:
            by_place.setdefault((record.topic, record.partition), []).append(record)
        for topic, source in self.sources.items():
            mine = {place[1]: batch for place, batch in by_place.items() if place[0] == topic}
            if mine:
                self._process_events(source, mine)
        for (topic, partition), batch in by_place.items():
            if topic == "items":
                self._process_items(partition, batch)

    def compact(self) -> None:
        """Merge the small files that live traffic leaves."""
        for log in (*(source.log for source in self.sources.values()), self.items.source(self.item_source)):
            log.compact()

    def _source(self, topic: str) -> EventTopic:
        partitions = partitions_of(self.settings.kafka, topic)
        if not partitions or self.settings.buckets % partitions:
            raise BadSetting(
                f"KINDRED_BUCKETS ({self.settings.buckets}) must be a multiple of {topic}'s {partitions} partitions",
                "KINDRED_BUCKETS",
            )
        name = source_name(topic, log_id(self.settings.kafka, topic), partitions)
        log = self.events.source(name)
        return EventTopic(topic, partitions, log, Folder(StateStore(self.client, name, self.settings.buckets), {}))

    def _start(self, topic: str, partition: int) -> int:
        if topic == "items":
            return self.catalogue.position(self.item_source, partition)
        source = self.sources[topic]
        buckets = buckets_of_partition(partition, source.partitions, self.settings.buckets)
        source.folder.positions.update(source.folder.store.claim(list(buckets)))
        source.logged[partition] = source.log.ends().get(partition, 0)
        return min(source.logged[partition], *(source.folder.positions[bucket] for bucket in buckets))

    def _process_events(self, source: EventTopic, records: dict[int, list[Record]]) -> None:
        batch = Batch()
        accepted = {partition: self._accept(source, batch, rows) for partition, rows in records.items()}
        commits, duplicates = source.folder.fold(batch)
        for partition, rows in accepted.items():
            self._log(source, partition, records[partition][-1].offset + 1, rows, duplicates)
        self.producer.flush()
        self.catalogue.create_missing(
            stub for rows in accepted.values() for row in rows if row.event.name == "Order Completed"
            for stub in stubs(row.event)
        )  # fmt: skip
        source.folder.commit(batch, commits)

    def _accept(self, source: EventTopic, batch: Batch, records: list[Record]) -> list[LoggedEvent]:
        """Decode a partition's records; what is malformed or misplaced goes to its own topic."""
        rows = []
        partition, end = records[0].partition, records[-1].offset + 1
        for bucket in buckets_of_partition(partition, source.partitions, self.settings.buckets):
            batch.ends[bucket] = max(end, source.folder.positions[bucket])
        for record in records:
            try:
                event = decode(record.value or b"", record.timestamp_ms)
            except MalformedEvent as error:
                self._dead_letter(record, str(error))
                continue
            key = partition_key(event)
            if partition_of(key, source.partitions) != partition:
                self._rekey(record, key)
                continue
            batch.add(bucket_of(key, self.settings.buckets), record.offset, event)
            rows.append(LoggedEvent(partition, record.offset, record.timestamp_ms, event, False, record.value or b""))
        return rows

    def _log(self, source: EventTopic, partition: int, end: int, rows: list[LoggedEvent], duplicates: set[int]) -> None:
        start = source.logged[partition]
        if end <= start:
            return
        fresh = [row._replace(duplicate=(row.offset in duplicates)) for row in rows if row.offset >= start]
        append_events(source.log, partition, start, end, fresh)
        source.logged[partition] = end

    def _rekey(self, record: Record, key: bytes) -> None:
        """A message whose key isn't its customer's lies in a partition that another worker may own."""
        if record.topic == "events.rekey":
            self._dead_letter(record, "the event lies on the wrong partition even after it was sent on")
        else:
            self.producer.send(
                "events.rekey", key, record.value, [(name, header or b"") for name, header in record.headers]
            )

    def _dead_letter(self, record: Record, reason: str) -> None:
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "reason": reason[:1000]}
        headers = [(f"kindred-{name}", str(value).encode()) for name, value in place.items()]
        self.producer.send(DEAD_LETTERS, record.key, record.value, headers)

    def _process_items(self, partition: int, records: list[Record]) -> None:
        rows = []
        for record in records:
            item_id = (record.key or b"").decode(errors="replace")
            try:
                if not item_id or (record.value and decode_item(record.value).item_id != item_id):
                    raise BadInput("the key of an item's message must be its item_id", "item_id")
            except BadInput as error:
                self._dead_letter(record, str(error))
                continue
            rows.append(LoggedItem(partition, record.offset, item_id, record.value or None))
        self.producer.flush()
        start, end = records[0].offset, records[-1].offset + 1
        append_items(self.items.source(self.item_source), partition, start, end, rows, self.now_ms())
        self.catalogue.upsert(self.item_source, partition, end, [(row.item_id, row.value) for row in rows])


def run(settings: Settings, client: Client, stopping: Callable[[], bool]) -> None:
    """Process until `stopping()`; whatever another worker or an outage takes away is claimed and read again.

    Raises:  OffsetOutOfRange: Kafka no longer holds what is missing; BadSetting.
    """
    ensure_topics(settings.kafka)
    restore(client, EventLog(settings.data), ItemLog(settings.data), settings.buckets)
    producer = Producer(settings.kafka, linger_ms=1)
    try:
        while not stopping():
            try:
                _session(settings, client, producer, stopping)
            except (Fenced, Rewound, Unavailable, ClientError) as error:
                logger.warning("starting over in %g s: %s", AGAIN_AFTER_S, error)
                time.sleep(AGAIN_AFTER_S)
    finally:
        producer.close()


def _session(settings: Settings, client: Client, producer: Producer, stopping: Callable[[], bool]) -> None:
    processor = Processor(settings, client, producer, lambda: time.time_ns() // 1_000_000)
    consumer = Consumer(settings.kafka, "kindred-stream")
    compacted = time.monotonic()
    try:
        consumer.subscribe(["events", "events.rekey", "items"], processor.assign, lambda _: None)
        while not stopping():
            records = consumer.poll_batch(BATCH, 0.2)
            if records:
                processor.process(records)
                consumer.commit_for_dashboards({(r.topic, r.partition): r.offset + 1 for r in records})
            elif time.monotonic() - compacted > COMPACT_EVERY_S:
                processor.compact()
                compacted = time.monotonic()
    finally:
        consumer.close()


__all__ = ["OffsetOutOfRange", "Processor", "run"]
