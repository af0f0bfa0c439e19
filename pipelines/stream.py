"""The stream processor: Kafka to states in Redis and to the event log, each event exactly once.

One batch: decode -> fold in memory -> dead letters acknowledged -> event log on disk -> one atomic commit a bucket.
A worker may die between any two of these steps. Whoever has its partitions next claims their buckets, folds from the
log what was logged and not committed, and reads Kafka from where the log ends. Only a dead letter may come twice.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from features.errors import (
    BadInput,
    BadSetting,
    Fenced,
    MalformedEvent,
    Overloaded,
    Rewound,
    Unavailable,
)
from features.events import decode, partition_key
from features.items import decode_item
from features.kafka.consumer import Consumer, Place, Record
from features.kafka.producer import Headers, Producer
from features.kafka.topics import (
    bucket_of,
    ensure_topics,
    first_offsets,
    is_embedded,
    log_id,
    partition_of,
    partitions_of,
)
from features.offline import EventLog, ItemLog, LoggedEvent, LoggedItem, Segments, append_events, append_items
from features.online import AWAY, CatalogueStore, Client, StateStore
from features.settings import Settings
from pipelines.backfill import catch_up, restore, source_name
from pipelines.folding import Batch, Folder, buckets_of_partition, stubs

DEAD_LETTERS = "events.dead-letter"
BATCH = 5_000
COMPACT_EVERY_S = 10.0
SESSION_MS, EMBEDDED_SESSION_MS = 10_000, 1_500  # the embedded broker waits nearly that long in every rebalance
AGAIN_AFTER_S = 1.0
CUT_VALUE, CUT_KEY = 500_000, 1_000  # bytes kept of a dead letter that is larger than Kafka takes

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
        self.item_positions: dict[int, int] = {}
        self._failures: list[Exception] = []

    def assign(self, places: list[Place]) -> dict[Place, int]:
        """Become the owner of these partitions and of no others; returns where to read each from."""
        mine = {topic: [p for name, p in places if name == topic] for topic in (*self.sources, "items")}
        for topic, source in self.sources.items():
            self._claim(source, mine[topic])
        logged = self.items.source(self.item_source).ends()
        stored = {p: self.catalogue.position(self.item_source, p) for p in mine["items"]}
        self.item_positions = {p: min(position, logged.get(p, 0)) for p, position in stored.items()}
        starts = {topic: source.logged for topic, source in self.sources.items()} | {"items": self.item_positions}
        return {(topic, partition): starts[topic][partition] for topic, partition in places}

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
        """Merge the small files that live traffic leaves in its own partitions."""
        for source in self.sources.values():
            source.log.compact(self.now_ms(), source.logged)
        self.items.source(self.item_source).compact(self.now_ms(), self.item_positions)

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

    def _claim(self, source: EventTopic, partitions: list[int]) -> None:
        """What the log holds already is folded from there, so that reading Kafka goes on where the log ends."""
        buckets = self.settings.buckets
        wanted = [b for partition in partitions for b in buckets_of_partition(partition, source.partitions, buckets)]
        source.folder.positions = source.folder.store.claim(wanted)
        ends = self._begun(source, partitions)
        source.logged = {partition: ends.get(partition, 0) for partition in partitions}
        folded = catch_up(source.folder, self.catalogue, source.log, source.logged)
        if folded:
            logger.info("folded %d events from the log of %s", folded, source.log.name)

    def _begun(self, source: EventTopic, partitions: list[int]) -> dict[int, int]:
        """The log's ends; a partition that was never read begins, with a warning, at Kafka's oldest record."""
        ends = source.log.ends()
        if fresh := [partition for partition in partitions if partition not in ends]:
            lowest = first_offsets(self.settings.kafka, source.topic)
            for partition in fresh:
                if lowest.get(partition, 0) > 0:
                    append_events(source.log, partition, 0, lowest[partition], [])
                    logger.warning("%s[%d] begins at offset %d", source.topic, partition, lowest[partition])
        return source.log.ends() if fresh else ends

    def _process_events(self, source: EventTopic, records: dict[int, list[Record]]) -> None:
        batch = Batch()
        accepted = {partition: self._accept(source, batch, rows) for partition, rows in records.items()}
        commits, duplicates = source.folder.fold(batch)
        self._delivered()
        doubled = {(bucket % source.partitions, offset) for bucket, offset in duplicates}
        for partition, rows in accepted.items():
            marked = [row._replace(duplicate=(partition, row.offset) in doubled) for row in rows]
            self._log(source, partition, records[partition][-1].offset + 1, marked)
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

    def _log(self, source: EventTopic, partition: int, end: int, rows: list[LoggedEvent]) -> None:
        start = source.logged[partition]
        if end > start:
            append_events(source.log, partition, start, end, [row for row in rows if row.offset >= start])
            source.logged[partition] = end

    def _rekey(self, record: Record, key: bytes) -> None:
        """A message whose key isn't its customer's lies in a partition that another worker may own."""
        if record.topic == "events.rekey":
            self._dead_letter(record, "the event lies on the wrong partition even after it was sent on")
            return
        try:
            self._send("events.rekey", key, record.value, [(name, value or b"") for name, value in record.headers])
        except BadInput as error:
            self._dead_letter(record, str(error))

    def _dead_letter(self, record: Record, reason: str) -> None:
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "reason": reason[:1000]}
        headers = [(f"kindred-{name}", str(value).encode(errors="replace")) for name, value in place.items()]
        try:
            self._send(DEAD_LETTERS, record.key, record.value, headers)
        except BadInput:  # it came compressed; all of it is still where the headers say
            key, value = (record.key or b"")[:CUT_KEY], (record.value or b"")[:CUT_VALUE]
            self._send(DEAD_LETTERS, key, value, [*headers, ("kindred-cut", b"1")])

    def _send(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        try:
            self.producer.send(topic, key, value, headers, self._sent)
        except Overloaded:
            self.producer.flush()
            self.producer.send(topic, key, value, headers, self._sent)

    def _sent(self, error: Exception | None) -> None:
        if error is not None:
            self._failures.append(error)

    def _delivered(self) -> None:
        """Return once Kafka has whatever was sent on; until then the batch must not count as taken."""
        self.producer.flush()
        if self._failures:
            raise Unavailable(f"{len(self._failures)} records couldn't be sent on: {self._failures[0]}")

    def _process_items(self, partition: int, records: list[Record]) -> None:
        rows = []
        for record in records:
            item_id = (record.key or b"").decode(errors="replace")
            try:
                if not item_id or (record.value is not None and decode_item(record.value).item_id != item_id):
                    raise BadInput("the key of an item's message must be its item_id", "item_id")
            except BadInput as error:
                self._dead_letter(record, str(error))
                continue
            rows.append(LoggedItem(partition, record.offset, item_id, record.value))
        self._delivered()
        start, end = self.item_positions[partition], records[-1].offset + 1
        append_items(self.items.source(self.item_source), partition, start, end, rows, self.now_ms())
        upserts = [(row.item_id, row.value) for row in rows]
        self.catalogue.upsert(self.item_source, partition, end, upserts, position=start)
        self.item_positions[partition] = end


def run(settings: Settings, client: Client, stopping: Callable[[], bool]) -> None:
    """Process until `stopping()`; whatever another worker or an outage takes away is claimed and read again.

    Raises:  OffsetOutOfRange: Kafka no longer holds what is missing; BadSetting; Unavailable: no Kafka at the start.
    """
    ensure_topics(settings.kafka)
    producer = Producer(settings.kafka, linger_ms=1)
    try:
        while not stopping():
            try:
                _session(settings, client, producer, stopping)
            except (Fenced, Rewound, Overloaded, Unavailable, *AWAY) as error:
                logger.warning("starting over in %g s: %s", AGAIN_AFTER_S, error)
                time.sleep(AGAIN_AFTER_S)
    finally:
        producer.close()


def _session(settings: Settings, client: Client, producer: Producer, stopping: Callable[[], bool]) -> None:
    """Other sources are folded first; those that are read here, partition by partition as they are assigned."""
    processor = Processor(settings, client, producer, lambda: time.time_ns() // 1_000_000)
    live = {source.log.name for source in processor.sources.values()}
    restore(client, processor.events, processor.items, settings.buckets, skip=live)
    timeout_ms = EMBEDDED_SESSION_MS if is_embedded(settings.kafka) else SESSION_MS
    consumer = Consumer(settings.kafka, "kindred-stream", session_timeout_ms=timeout_ms)
    compacted = time.monotonic()
    try:
        consumer.subscribe([*processor.sources, "items"], processor.assign, lambda _: None)
        while not stopping():
            records = consumer.poll_batch(BATCH, 0.2)
            if records:
                processor.process(records)
                consumer.commit_for_dashboards({(r.topic, r.partition): r.offset + 1 for r in records})
            if time.monotonic() - compacted > COMPACT_EVERY_S:
                processor.compact()
                compacted = time.monotonic()
    finally:
        consumer.close()
