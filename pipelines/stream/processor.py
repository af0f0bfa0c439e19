"""One worker's work on one batch: decode, fold in memory, log on disk, commit to Redis, in this order.

A worker may die between any two of these steps. Whoever has its partitions next claims their buckets, folds from the
log what was logged and not committed, and reads Kafka from where the log ends. Only a dead letter may come twice.
"""

import logging
from collections.abc import Callable

import numpy as np

from features.definitions import FEATURES
from features.errors import BadInput, Rewound
from features.identity import edge_from_json
from features.items import decode_item
from features.kafka.consumer import Place, Record
from features.kafka.producer import Producer
from features.offline import EventLog, ItemLog, LoggedItem, Segments, append_items, append_partitions
from features.online import BucketCommit, CatalogueStore, Client, IdentityStore
from features.settings import Settings
from features.table import Table
from pipelines.backfill import catch_up, partitions_of_source
from pipelines.folding import Batch, Bools, Buckets, buckets_of_partition, stubs
from pipelines.stream.latency import Latency
from pipelines.stream.outbox import Outbox
from pipelines.stream.sources import Accepted, EventTopic, accept, begun, edge_topic, event_topic, name_of

# After each of them a worker may die; tests make it.
STEPS = ("claimed", "decoded", "folded", "sent", "logged", "stubbed", "committed", "items-logged", "items-committed",
         "edges-stored", "edges-committed")  # fmt: skip

logger = logging.getLogger("kindred.stream")


class Processor:
    """One worker; use it from one thread.

    Args:    now_ms: the wall clock: stamps files and measures, and never touches states; step: told after each of
             STEPS; latency: the worker's figures, which outlive this.
    Raises:  BadSetting: a topic's partitions don't divide the buckets; Unavailable: Kafka doesn't answer.
    """

    def __init__(
        self,
        settings: Settings,
        client: Client,
        producer: Producer,
        now_ms: Callable[[], float],
        table: Table = FEATURES,
        step: Callable[[str], None] = lambda _: None,
        latency: Latency | None = None,
    ) -> None:
        self.settings = settings
        self.now_ms = now_ms
        self.table = table
        self.step = step
        self.latency = latency or Latency()
        self.outbox = Outbox(producer, self.latency.count)
        self.buckets = Buckets(settings.buckets)
        self.events = EventLog(settings.data)
        self.items = ItemLog(settings.data)
        self.catalogue = CatalogueStore(client)
        self.sources = {topic: event_topic(settings, client, topic, table) for topic in ("events", "events.rekey")}
        self.item_source = name_of(settings.kafka, "items")
        self.item_positions: dict[int, int] = {}
        self.identity = IdentityStore(client, settings.buckets)
        self.edges = edge_topic(settings, client)
        self.edge_positions: dict[int, int] = {}

    def assign(self, places: list[Place], progress: Callable[[int], None] = lambda _: None) -> dict[Place, int]:
        """Become the owner of these partitions and of no others; returns where to read each from.

        Args:    progress: told, while events are folded from the log, how many were.
        """
        mine = {topic: [p for name, p in places if name == topic] for topic in (*self.sources, "items", "identity")}
        for topic, source in self.sources.items():
            self._claim(source, mine[topic], progress)
        logged = self.items.source(self.item_source).ends()
        stored = {p: self.catalogue.position(self.item_source, p) for p in mine["items"]}
        self.item_positions = {p: min(position, logged.get(p, 0)) for p, position in stored.items()}
        starts = {topic: source.logged for topic, source in self.sources.items()}
        starts |= {"items": self.item_positions, "identity": self._claim_edges(mine["identity"])}
        self.step("claimed")
        return {(topic, partition): starts[topic][partition] for topic, partition in places}

    def process(self, records: list[Record]) -> None:
        """Take a batch of any of the topics, in the order given.

        Raises:  Fenced, Rewound: another worker has taken over; nothing was counted twice. Unavailable.
        """
        by_topic: dict[str, list[Record]] = {}
        for record in records:
            by_topic.setdefault(record.topic, []).append(record)
        for topic, source in self.sources.items():
            if topic in by_topic:
                self._process_events(source, by_topic[topic])
        if "identity" in by_topic:
            self._process_edges(by_topic["identity"])
        by_partition: dict[int, list[Record]] = {}
        for record in by_topic.get("items", ()):
            by_partition.setdefault(record.partition, []).append(record)
        for partition, batch in by_partition.items():
            self._process_items(partition, batch)

    def release(self) -> None:
        """Own nothing any more: what others do with it now is no mistake."""
        for source in self.sources.values():
            source.folder.positions, source.logged = {}, {}
        self.item_positions, self.edge_positions = {}, {}

    def check(self) -> None:
        """See whether Redis is where this worker left it: where no event comes, nothing else would tell.

        Raises:  Fenced, Rewound: another worker has followed, or Redis fell back to an older state.
        """
        for source in self.sources.values():
            source.folder.check()
        self.edges.read({bucket: [] for bucket in self.edge_positions})
        for partition, position in self.item_positions.items():
            stored = self.catalogue.position(self.item_source, partition)
            if stored < position:
                raise Rewound(f"{self.item_source}[{partition}]", stored)

    def places(self) -> list[tuple[Segments, list[int]]]:
        """The logs that it writes, each with the partitions that are its own."""
        events = [(source.log, list(source.logged)) for source in self.sources.values()]
        return [*events, (self.items.source(self.item_source), list(self.item_positions))]

    def _claim(self, source: EventTopic, partitions: list[int], progress: Callable[[int], None]) -> None:
        """What the log holds already is folded from there, so that reading Kafka goes on where the log ends."""
        buckets = self.settings.buckets
        wanted = [b for partition in partitions for b in buckets_of_partition(partition, source.partitions, buckets)]
        source.folder.positions = source.folder.store.claim(wanted)
        ends = begun(self.settings.kafka, source, partitions)
        source.logged = {partition: ends.get(partition, 0) for partition in partitions}
        folded = catch_up(source.folder, self.catalogue, source.log, source.logged, progress)
        if folded:
            logger.info("folded %d events from the log of %s", folded, source.log.name)

    def _process_events(self, source: EventTopic, records: list[Record]) -> None:
        took = self.latency.batch(records, self.now_ms)
        ends = _ends(records)
        found = accept(source, records, self.outbox, self.buckets)
        took("decode")
        self.step("decoded")
        moves = {
            each: max(end, source.folder.positions[each])
            for partition, end in ends.items()
            for each in buckets_of_partition(partition, source.partitions, self.settings.buckets)
        }
        batch = Batch(found.events, found.offset, found.bucket, moves)
        commits, duplicate = source.folder.fold(batch)
        took("fold")
        self.step("folded")
        for row, edge in found.edges:
            if not duplicate[row]:
                self.outbox.edge(edge)
        self.outbox.delivered()
        self.step("sent")
        self._log(source, ends, found, duplicate)
        took("log")
        self.catalogue.create_missing(stubs(found.events))
        self.step("stubbed")
        source.folder.commit(batch, commits)
        took("commit")
        self.latency.count(events=found.events.n, duplicates=int(duplicate.sum()))
        self.step("committed")

    def _log(self, source: EventTopic, ends: dict[int, int], found: Accepted, duplicate: Bools) -> None:
        """A segment a partition; what the log holds already, as a claim may have found, isn't written again."""
        ranges = {p: (source.logged[p], end) for p, end in sorted(ends.items()) if end > source.logged[p]}
        starts = np.full(source.partitions, np.iinfo(np.int64).max)
        for partition, (start, _) in ranges.items():
            starts[partition] = start
        rows = np.flatnonzero(found.offset >= starts[found.partition])
        rows = rows[np.argsort(found.partition[rows], kind="stable")]
        listed = rows.tolist()
        append_partitions(
            source.log,
            ranges,
            found.partition[rows],
            found.events.take(rows),
            [found.names[row] for row in listed],
            [found.message_ids[row] for row in listed],
            found.offset[rows],
            duplicate[rows],
            [found.values[row] for row in listed],
        )
        source.logged |= {partition: end for partition, (_, end) in ranges.items()}
        self.step("logged")

    def _claim_edges(self, partitions: list[int]) -> dict[int, int]:
        """Edges are kept idempotently beside their ids, so reading some again does no harm."""
        wanted = {partition: self._edge_buckets(partition) for partition in partitions}
        self.edge_positions = self.edges.claim([bucket for buckets in wanted.values() for bucket in buckets])
        return {p: min(self.edge_positions[bucket] for bucket in buckets) for p, buckets in wanted.items()}

    def _process_edges(self, records: list[Record]) -> None:
        found = []
        for record in records:
            try:
                found.append(edge_from_json(record.value or b""))
            except BadInput as error:
                self.outbox.dead_letter(record, str(error))
        self.outbox.delivered()
        self.identity.add(found)
        self.step("edges-stored")
        moves = {
            bucket: end
            for partition, end in _ends(records).items()
            for bucket in self._edge_buckets(partition)
            if end > self.edge_positions[bucket]
        }
        versions = self.edges.read({bucket: [] for bucket in moves})
        self.edges.commit([BucketCommit(b, versions[b][0], self.edge_positions[b], end) for b, end in moves.items()])
        self.edge_positions.update(moves)
        self.step("edges-committed")

    def _edge_buckets(self, partition: int) -> range:
        return buckets_of_partition(partition, partitions_of_source(self.edges.source), self.settings.buckets)

    def _process_items(self, partition: int, records: list[Record]) -> None:
        rows = []
        for record in records:
            item_id = (record.key or b"").decode(errors="replace")
            try:
                if not item_id or (record.value is not None and decode_item(record.value).item_id != item_id):
                    raise BadInput("the key of an item's message must be its item_id", "item_id")
            except BadInput as error:
                self.outbox.dead_letter(record, str(error))
                continue
            rows.append(LoggedItem(partition, record.offset, item_id, record.value))
        self.outbox.delivered()
        start, end = self.item_positions[partition], records[-1].offset + 1
        append_items(self.items.source(self.item_source), partition, start, end, rows, int(self.now_ms()))
        self.step("items-logged")
        upserts = [(row.item_id, row.value) for row in rows]
        self.catalogue.upsert(self.item_source, partition, end, upserts, position=start)
        self.item_positions[partition] = end
        self.step("items-committed")


def _ends(records: list[Record]) -> dict[int, int]:
    """The offset after the last record of each partition."""
    ends: dict[int, int] = {}
    for record in records:
        ends[record.partition] = max(ends.get(record.partition, 0), record.offset + 1)
    return ends
