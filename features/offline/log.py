"""The event log and the item log: what the stream processor and the imports write, and everything is rebuilt from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from features.events import Event, decode
from features.offline.segments import Segments, sources

LINES = pa.list_(
    pa.struct(
        [("item_id", pa.string()), ("quantity", pa.float64()), ("price", pa.float64()), ("category", pa.string())]
    )
)
EVENT_SCHEMA = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("event_time", pa.int64()),
        ("available_at", pa.int64()),
        ("customer", pa.string()),
        ("message_id", pa.string()),
        ("event", pa.string()),
        ("duplicate", pa.bool_()),
        ("items", LINES),
        ("value", pa.binary()),
    ]
)
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


def append_events(log: Segments, partition: int, start: int, end: int, rows: list[LoggedEvent]) -> None:
    """Write the offsets [start, end) of a partition; rows holds those of them that were accepted."""
    columns: dict[str, list[Any]] = {
        "partition": [row.partition for row in rows],
        "offset": [row.offset for row in rows],
        "event_time": [row.event.event_time for row in rows],
        "available_at": [row.available_at for row in rows],
        "customer": [row.event.customer for row in rows],
        "message_id": [row.event.message_id for row in rows],
        "event": [row.event.name for row in rows],
        "duplicate": [row.duplicate for row in rows],
        "items": [_lines(row.event) for row in rows],
        "value": [row.value for row in rows],
    }
    date = rows[0].available_at if rows else 0
    log.append(start, end, partition, date, pa.table(columns, schema=EVENT_SCHEMA))


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
    names = ("partition", "offset", "available_at", "duplicate", "value")
    for table in log.tables(positions, batch_rows):
        columns = [table.column(name).to_pylist() for name in names]
        rows = [
            LoggedEvent(partition, offset, available_at, decode(value, available_at), duplicate, value)
            for partition, offset, available_at, duplicate, value in zip(*columns, strict=True)
        ]
        if rows:
            yield rows


def read_items(
    log: Segments, positions: dict[int, int] | None = None, batch_rows: int = 20_000
) -> Iterator[list[LoggedItem]]:
    """Batches of catalogue upserts of one partition each, in offset order; positions as for events."""
    for table in log.tables(positions, batch_rows):
        rows = [LoggedItem(**row) for row in table.to_pylist()]
        if rows:
            yield rows


def _lines(event: Event) -> list[dict[str, Any]]:
    return [
        {
            "item_id": line.item_id,
            "quantity": 1.0 if line.quantity is None else line.quantity,
            "price": line.price,
            "category": line.category,
        }
        for line in event.lines
    ]
