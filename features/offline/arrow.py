"""Events as Arrow tables and back: each column of theirs is stored as it is, beside the bytes that it was made from.

`layout` says, row by row, what the columns were made by. Where today's code would make them differently (a column that
there wasn't, an event name that meant nothing yet), they are made again from `value`.
"""

from collections.abc import Collection
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.columns import (
    EVENT_NUMBERS,
    EVENT_TEXTS,
    LINE_NUMBERS,
    LINE_TEXTS,
    MISSING,
    NAMES,
    Bools,
    Events,
    Numbers,
    Rows,
    Text,
    concat,
)
from features.decoded import from_events
from features.events import EVENTS, canonical, decode
from features.money import exponent
from features.properties import AnyProperties

FORMAT = 1  # one more whenever a column's meaning changes though its name doesn't

_LINE_COLUMNS = {"item": "item_id", "price": "price_minor"}  # `price` is there already, in the major unit
LINES = pa.list_(
    pa.struct(
        [
            ("item_id", pa.string()),
            ("quantity", pa.float64()),
            ("price", pa.float64()),
            ("category", pa.string()),
            ("brand", pa.string()),
            ("variant", pa.string()),
            ("name", pa.string()),
            ("pieces", pa.int64()),
            ("cents", pa.int64()),
            ("price_minor", pa.int64()),
        ]
    )
)
EVENT_SCHEMA = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("event_time", pa.int64()),
        ("received_at", pa.int64()),
        ("available_at", pa.int64()),
        ("customer", pa.string()),
        ("message_id", pa.string()),
        ("message_hash", pa.uint64()),
        ("event", pa.string()),
        ("layout", pa.uint32()),
        ("duplicate", pa.bool_()),
        ("trusted", pa.bool_()),
        *((name, pa.int64()) for name in EVENT_NUMBERS),
        *((name, pa.string()) for name in EVENT_TEXTS),
        ("items", LINES),
        ("value", pa.binary()),
    ]
)
_ALWAYS = (
    "partition", "offset", "event_time", "received_at", "available_at", "customer", "message_hash", "event", "layout",
    "duplicate", "trusted",
)  # fmt: skip
_COLUMNS = (FORMAT, EVENT_NUMBERS, EVENT_TEXTS, LINE_NUMBERS, LINE_TEXTS, "trusted")
_MEANINGS = [*(EVENTS.get(name, AnyProperties).__name__ for name in NAMES), ""]
_LAYOUTS = np.array([crc32(repr((_COLUMNS, meaning)).encode()) for meaning in _MEANINGS], np.uint32)  # [-1]: unknown
_CODES = {name: code for code, name in enumerate(NAMES)}


def to_table(
    partition: int | Rows,
    events: Events,
    names: list[str],
    message_ids: list[str],
    offsets: Numbers,
    duplicates: Bools,
    values: list[bytes],
) -> pa.Table:
    """A table of EVENT_SCHEMA, a row an event; arguments as for `append_columns`."""
    columns = {
        "partition": np.full(events.n, partition, np.int32),
        "offset": offsets,
        "event_time": events.time,
        "received_at": events.received,
        "available_at": events.available,
        "customer": _strings(events.customer),
        "message_id": message_ids,
        "message_hash": events.message,
        "event": names,
        "layout": _LAYOUTS[events.name],
        "duplicate": duplicates,
        "trusted": events.trusted,
        **{name: _integers(column) for name, column in events.numbers.items()},
        **{name: _strings(column) for name, column in events.texts.items()},
        "items": _items(events),
        "value": values,
    }
    return pa.table(columns, schema=EVENT_SCHEMA)


def paths(names: Collection[str] | None) -> list[str]:
    """The Parquet columns that hold the named columns of Events, None being all, and those always needed."""
    wanted = {*EVENT_NUMBERS, *EVENT_TEXTS, *LINE_NUMBERS, *LINE_TEXTS} if names is None else {*names}
    of_events = [name for name in (*EVENT_NUMBERS, *EVENT_TEXTS) if name in wanted]
    of_lines = [name for name in (*LINE_NUMBERS, *LINE_TEXTS) if name in wanted or name == "pieces"]
    return [*_ALWAYS, *of_events, *(f"items.list.element.{_LINE_COLUMNS.get(name, name)}" for name in of_lines)]


def stale(table: pa.Table) -> Bools:
    """(n,) whether a row's columns must be made again.

    Args:    table: with `event` and, unless it is older than that column, `layout`.
    """
    if "layout" not in table.column_names:
        return np.ones(table.num_rows, bool)
    layout = pc.fill_null(table["layout"], 0).to_numpy()
    fresh: Bools = layout == _LAYOUTS[_codes(_text(table["event"]))]
    return ~fresh


def to_events(table: pa.Table, names: Collection[str] | None) -> Events:
    """The rows as events, with the named columns.

    Args:    table: with the columns of `paths(names)`, and `value` where a row is stale.
    """
    again = stale(table)
    if not again.any():
        return _read(table, names)
    old = table.filter(pa.array(again))
    known = old["available_at"].to_pylist()
    events = [decode(value, at) for value, at in zip(old["value"].to_pylist(), known, strict=True)]
    made = _only(from_events(events, known), names)
    if again.all():
        return made
    place = np.argsort(np.concatenate([np.flatnonzero(~again), np.flatnonzero(again)]))
    return concat([_read(table.filter(pa.array(~again)), names), made]).take(place)


def _read(table: pa.Table, names: Collection[str] | None) -> Events:
    items = table["items"].combine_chunks()
    lines = items.flatten()
    counts = pc.list_value_length(items).to_numpy(zero_copy_only=False)
    return Events(
        customer=_text(table["customer"]),
        name=_codes(_text(table["event"])),
        time=_numbers(table["event_time"]),
        received=_numbers(table["received_at"]),
        available=_numbers(table["available_at"]),
        message=table["message_hash"].to_numpy(),
        trusted=table["trusted"].to_numpy(),
        numbers={name: _numbers(table[name]) for name in EVENT_NUMBERS if _wanted(name, names)},
        texts={name: _text(table[name]) for name in EVENT_TEXTS if _wanted(name, names)},
        line_of=np.repeat(np.arange(table.num_rows, dtype=np.int32), counts),
        line_numbers={name: _numbers(_field(lines, name)) for name in LINE_NUMBERS if _wanted(name, names)},
        line_texts={name: _text(_field(lines, name)) for name in LINE_TEXTS if _wanted(name, names)},
    )


def _only(events: Events, names: Collection[str] | None) -> Events:
    return events._replace(
        numbers={name: column for name, column in events.numbers.items() if _wanted(name, names)},
        texts={name: column for name, column in events.texts.items() if _wanted(name, names)},
        line_numbers={name: column for name, column in events.line_numbers.items() if _wanted(name, names)},
        line_texts={name: column for name, column in events.line_texts.items() if _wanted(name, names)},
    )


def _wanted(name: str, names: Collection[str] | None) -> bool:
    return names is None or name in names


def _field(lines: Any, name: str) -> Any:
    return lines.field(_LINE_COLUMNS.get(name, name))


def _codes(events: Text) -> Any:
    """(n,) int16 index into NAMES of the events' names."""
    return np.array([_CODES.get(canonical(name), -1) for name in events.values], np.int16)[events.codes]


def _numbers(column: Any) -> Numbers:
    numbers: Numbers = pc.fill_null(column, MISSING).to_numpy()
    return numbers


def _text(column: Any) -> Text:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    encoded = array.dictionary_encode()
    values: list[str] = encoded.dictionary.to_pylist()
    codes: Rows = pc.fill_null(encoded.indices, len(values)).to_numpy()
    return Text(codes, [*values, ""] if encoded.null_count else values)


def _integers(column: Numbers) -> Any:
    return pa.array(column, mask=column == MISSING)


def _strings(column: Text) -> Any:
    """Absent texts as nulls."""
    return pa.array([value or None for value in column.values], pa.string()).take(pa.array(column.codes))


def _items(events: Events) -> Any:
    """The lines of each event; `price` in the major unit, `quantity` in pieces."""
    numbers, texts = events.line_numbers, events.line_texts
    currency = events.texts["currency"]
    scale = np.array([10.0 ** exponent(code) for code in currency.values])[currency.codes][events.line_of]
    lines = {
        "item_id": _strings(texts["item"]),
        "quantity": pa.array(numbers["pieces"].astype(np.float64)),
        "price": pa.array(numbers["price"] / scale, mask=numbers["price"] == MISSING),
        "category": _strings(texts["category"]),
        "brand": _strings(texts["brand"]),
        "variant": _strings(texts["variant"]),
        "name": _strings(texts["name"]),
        "pieces": pa.array(numbers["pieces"]),
        "cents": _integers(numbers["cents"]),
        "price_minor": _integers(numbers["price"]),
    }
    ends = np.searchsorted(events.line_of, np.arange(events.n + 1)).astype(np.int32)
    struct = pa.StructArray.from_arrays(list(lines.values()), fields=list(LINES.value_type))
    return pa.ListArray.from_arrays(pa.array(ends), struct, type=LINES)
