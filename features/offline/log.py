"""The event log and the item log: what the stream processor and the imports write, and everything is rebuilt from."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.columns import Bools, Events, Numbers
from features.decoded import from_events
from features.events import Event, decode
from features.offline.arrow import paths, stale, to_events, to_table
from features.offline.segments import Piece, Segments, sources

ITEM_SCHEMA = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("item_id", pa.string()),
        ("value", pa.binary()),
        ("available_at", pa.int64()),
    ]
)


class LoggedEvent(NamedTuple):
    """One row: where it stands in its source, when it became known (ms UTC), and the bytes as they came."""

    partition: int
    offset: int
    available_at: int
    event: Event
    duplicate: bool
    value: bytes


class LoggedItem(NamedTuple):
    """One catalogue upsert; no value deletes the item. `available_at` (ms UTC) is stamped when it is logged."""

    partition: int
    offset: int
    item_id: str
    value: bytes | None
    available_at: int = 0


class EventLog:
    """All events by source: a Kafka topic's incarnation or an imported file. Times are ms UTC."""

    def __init__(self, data: Path) -> None:
        self.folder = data / "events"

    def source(self, name: str) -> Segments:
        """The log of one source; its folder appears with its first segment."""
        return Segments(self.folder / name)

    def sources(self) -> list[Segments]:
        """Every source that has been logged, by name."""
        return sources(self.folder)


class ItemLog(EventLog):
    """All catalogue upserts by source; the last one of an item, in its source's order, is what it is."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.folder = data / "items"


def append_columns(
    log: Segments,
    partition: int,
    start: int,
    end: int,
    events: Events,
    names: list[str],
    message_ids: list[str],
    offsets: Numbers,
    duplicates: Bools,
    values: list[bytes],
) -> None:
    """Write the offsets [start, end) of a partition.

    Args:    events: those that were accepted, with all columns; and for each of them: names: the event's, known or not;
             message_ids; offsets: ascending; duplicates: whether it was counted before; values: the bytes as they came.
    """
    whole = np.full(events.n, partition, np.int64)
    append_partitions(log, {partition: (start, end)}, whole, events, names, message_ids, offsets, duplicates, values)


def append_partitions(
    log: Segments,
    ranges: Mapping[int, tuple[int, int]],
    partition: Numbers,
    events: Events,
    names: list[str],
    message_ids: list[str],
    offsets: Numbers,
    duplicates: Bools,
    values: list[bytes],
) -> None:
    """The same for several partitions at once: as many segments, made as one table.

    Args:    ranges: start and end by partition; partition: (n,) of each event, ascending; offsets ascend in each.
    """
    table = to_table(partition.astype(np.int32), events, names, message_ids, offsets, duplicates, values)
    pieces = []
    for each, (start, end) in ranges.items():
        first, last = np.searchsorted(partition, [each, each + 1]).tolist()
        date = int(events.available[first]) if last > first else 0
        pieces.append(Piece(each, start, end, date, table.slice(first, last - first)))
    log.append_all(pieces)


def append_events(log: Segments, partition: int, start: int, end: int, rows: list[LoggedEvent]) -> None:
    """Write the offsets [start, end) of a partition; rows holds those of them that were accepted."""
    append_columns(
        log,
        partition,
        start,
        end,
        from_events([row.event for row in rows], [row.available_at for row in rows]),
        [row.event.name for row in rows],
        [row.event.message_id for row in rows],
        np.array([row.offset for row in rows], np.int64),
        np.array([row.duplicate for row in rows], bool),
        [row.value for row in rows],
    )


def append_items(log: Segments, partition: int, start: int, end: int, rows: list[LoggedItem], now: int) -> None:
    """Write the offsets [start, end) of a partition of catalogue upserts."""
    columns = {name: [getattr(row, name) for row in rows] for name in ITEM_SCHEMA.names}
    columns["available_at"] = [now] * len(rows)
    log.append(start, end, partition, now, pa.table(columns, schema=ITEM_SCHEMA))


def read_events(
    log: Segments, positions: dict[int, int] | None = None, batch_rows: int = 20_000
) -> Iterator[list[LoggedEvent]]:
    """Batches of one partition each, in offset order.

    Args:    positions: where to start each partition, leaving out the others; None is all of everything.
    """
    names = ["partition", "offset", "available_at", "duplicate", "value"]
    for table in log.tables(positions, batch_rows, lambda _: names):
        columns = [table.column(name).to_pylist() for name in names]
        rows = [
            LoggedEvent(partition, offset, available_at, decode(value, available_at), duplicate, value)
            for partition, offset, available_at, duplicate, value in zip(*columns, strict=True)
        ]
        if rows:
            yield rows


def read_columns(
    log: Segments,
    positions: dict[int, int] | None = None,
    batch_rows: int = 20_000,
    columns: Collection[str] | None = None,
) -> Iterator[tuple[int, Numbers, Bools, Events]]:
    """Batches of one partition each, in offset order: the partition, offsets (n,), whether each is a duplicate, events.

    Args:    positions: where to start each partition, leaving out the others; None is all of everything.
             columns: the only numbers and texts of Events that are needed; None is all.
    """
    wanted = paths(columns)

    def needed(file: pq.ParquetFile) -> list[str]:
        return [*wanted, "value"] if stale(file.read(["event", "layout"])).any() else wanted

    for table in log.tables(positions, batch_rows, needed):
        if table.num_rows:
            offsets, duplicates = table["offset"].to_numpy(), table["duplicate"].to_numpy()
            yield table["partition"][0].as_py(), offsets, duplicates, to_events(table, columns)


def read_items(
    log: Segments, positions: dict[int, int] | None = None, batch_rows: int = 20_000
) -> Iterator[list[LoggedItem]]:
    """Batches of catalogue upserts of one partition each, in offset order; positions as for events."""
    for table in log.tables(positions, batch_rows):
        rows = [LoggedItem(**row) for row in table.to_pylist()]
        if rows:
            yield rows
