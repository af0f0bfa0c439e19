"""The topics that a worker reads: where each stands, what of it is in the log, and how its records become columns."""

import logging
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np

from features.columns import NAMES, Events
from features.errors import BadSetting
from features.events import decode
from features.identity import Edge, edges_of
from features.intake import take_in
from features.kafka.consumer import Record
from features.kafka.topics import first_offsets, is_embedded, log_id, partitions_of
from features.offline import EventLog, Segments, append_events
from features.online import Client, StateStore
from features.settings import Settings
from features.table import Table
from features.windows import Ints
from pipelines.backfill import folder_of, partitions_of_source, source_name
from pipelines.folding import Buckets, Folder
from pipelines.stream.outbox import Outbox

_DRAWING = [NAMES.index(name) for name in ("identify", "alias")]
EMBEDDED_SESSION_MS = 1_500  # the embedded broker waits nearly that long in every rebalance
IDENTITY = "identity"  # edges, and how far they were read, belong to no generation of features

logger = logging.getLogger("kindred.stream")
T = TypeVar("T")


@dataclass
class EventTopic:
    """One topic of events: its log, its positions, and how far the log of each owned partition goes."""

    topic: str
    partitions: int
    log: Segments
    folder: Folder
    logged: dict[int, int] = field(default_factory=dict)


class Accepted(NamedTuple):
    """The events of a batch, with what their log keeps beside them."""

    events: Events
    bucket: Ints
    partition: Ints
    offset: Ints
    names: list[str]
    message_ids: list[str]
    values: list[bytes]
    edges: list[tuple[int, Edge]]  # which event draws which edge of identity


def event_topic(settings: Settings, client: Client, topic: str, table: Table) -> EventTopic:
    """A topic of events that nothing is owned of yet.

    Raises:  BadSetting: its partitions don't divide the buckets.
    """
    name = _checked(settings, topic)
    log = EventLog(settings.data).source(name)
    folder = folder_of(client, name, settings.buckets, table)
    return EventTopic(topic, partitions_of_source(name), log, folder)


def edge_topic(settings: Settings, client: Client) -> StateStore:
    """The positions of the topic `identity`.

    Raises:  BadSetting: its partitions don't divide the buckets.
    """
    return StateStore(client, _checked(settings, "identity"), settings.buckets, IDENTITY)


def session_ms(settings: Settings) -> int:
    """How long a member of a consumer group may be silent."""
    return EMBEDDED_SESSION_MS if is_embedded(settings.kafka) else settings.session_ms


def name_of(kafka: str, topic: str) -> str:
    """The source that a topic is."""
    return source_name(topic, log_id(kafka, topic), partitions_of(kafka, topic))


def _checked(settings: Settings, topic: str) -> str:
    name = name_of(settings.kafka, topic)
    partitions = partitions_of_source(name)
    if settings.buckets % partitions:
        raise BadSetting(
            f"KINDRED_BUCKETS ({settings.buckets}) must be a multiple of {topic}'s {partitions} partitions",
            "KINDRED_BUCKETS",
        )
    return name


def begun(kafka: str, source: EventTopic, partitions: list[int]) -> dict[int, int]:
    """The log's ends; a partition that was never read begins, with a warning, at Kafka's oldest record."""
    ends = source.log.ends()
    fresh = [partition for partition in partitions if partition not in ends]
    if not fresh:
        return ends
    lowest = first_offsets(kafka, source.topic)
    for partition in fresh:
        if lowest.get(partition, 0) > 0:
            append_events(source.log, partition, 0, lowest[partition], [])
            logger.warning("%s[%d] begins at offset %d", source.topic, partition, lowest[partition])
    return source.log.ends()


def accept(source: EventTopic, records: list[Record], outbox: Outbox, buckets: Buckets) -> Accepted:
    """Decode records; what is malformed or misplaced goes to its own topic."""
    values = [record.value or b"" for record in records]
    taken = take_in(values, [record.timestamp_ms for record in records])
    for at, error in taken.refused:
        outbox.dead_letter(records[at], str(error))
    columns = taken.events
    bucket = buckets.of(columns.customer.values)[columns.customer.codes]
    partition = np.array([records[at].partition for at in taken.rows], np.int64)
    offset = np.array([records[at].offset for at in taken.rows], np.int64)
    right = bucket % source.partitions == partition
    rows, names, message_ids = taken.rows, taken.names, taken.message_ids
    if not right.all():
        for at in np.flatnonzero(~right).tolist():
            outbox.rekey(records[rows[at]], columns.customer.values[columns.customer.codes[at]][2:].encode())
        columns, bucket, partition, offset = columns.take(right), bucket[right], partition[right], offset[right]
        kept = np.flatnonzero(right).tolist()
        rows, names, message_ids = _some(rows, kept), _some(names, kept), _some(message_ids, kept)
    accepted = [values[row] for row in rows]
    drawing = np.flatnonzero(np.isin(columns.name, _DRAWING)).tolist()
    return Accepted(
        columns,
        bucket,
        partition,
        offset,
        names,
        message_ids,
        accepted,
        [(at, edge) for at in drawing for edge in _edges(accepted[at], int(columns.available[at]))],
    )


def _some(values: list[T], places: list[int]) -> list[T]:
    return [values[at] for at in places]


def _edges(raw: bytes, available_at: int) -> list[Edge]:
    return [edge for edge in edges_of(decode(raw, available_at), raw, available_at) if edge.counts]
