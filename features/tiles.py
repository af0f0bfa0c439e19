"""What events add to items and to all customers together: tiles of several sizes, a partial sum by bucket each.

A field of a tile is the number of its series, a colon and the item's id; where the series is keyed, a zero character
and the key follow. Every addition is made to a tile of each size that its series keeps: any of them is a whole sum.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec
import numpy as np

from features.checks import TEXTS
from features.columns import Events
from features.contributions import SUB_BITS, Reader, Rows, sub_of
from features.table import Need, Series, Table
from features.windows import DAY, HOUR, Ints, Window

Tiles = dict[int, dict[int, dict[str, int]]]  # step, first tile, field, addition

_MONTH = 31 * DAY
STEPS = (1, HOUR, DAY)  # of tiles that are ever kept


class Place(NamedTuple):
    """What a field says: whose sum it is (an empty item is all customers together), and of which key."""

    series: int
    item: str
    key: str


def shared(table: Table) -> dict[int, Series]:
    """The series of items and of all customers, by number."""
    return {number: each for number, each in enumerate(table.series) if each.need.entity in {"item", "global"}}


def kept_tiles(table: Table) -> dict[int, int]:
    """How many tiles of each step a bucket keeps beside its newest: as many as the longest window may still need."""
    kept: dict[int, int] = {}
    for series in shared(table).values():
        for rung in series.rungs:
            kept[rung.step] = max(kept.get(rung.step, 0), *(_tiles(each, rung.step) for each in rung.windows))
    return kept


def _tiles(window: Window, step: int) -> int:
    """Horizons go by whole hours, so they lie up to one further back; and one tile of slack."""
    length = (window.months + 1) * _MONTH if window.months >= 0 else window.length + window.ago
    return -(-(length + HOUR) // step) + 1


def place_of(table: Table, field: str) -> Place:
    """What a field of a tile says."""
    number, _, item = field.partition(":")
    series, key = int(number), ""
    if table.series[series].need.by:
        item, _, key = item.partition("\0")
    return Place(series, item, key)


def named(need: Need) -> bool:
    """Whether a series is keyed by texts, whose names are kept."""
    return need.by == "with" or need.by in TEXTS


def sub_of_field(need: Need, key: str) -> int:
    """The sub of a field's key."""
    return sub_of(key) if named(need) else int(key or 0)


class Added(NamedTuple):
    """k additions in the order of their buckets, steps, starts and fields; equal ones of these are still apart."""

    bucket: Ints
    step: Ints
    start: Ints  # in tiles of 5 minutes
    field: Ints  # index into fields
    value: Ints
    fields: list[str]


def tile_additions(table: Table, events: Events, bucket: Ints) -> dict[int, Tiles]:
    """By bucket what its events add.

    Args:    bucket: (n,) of each event.
    """
    return _grouped(added(table, events, bucket))


def sent(tiles: Tiles) -> bytes:
    """Additions as a commit takes them, in MessagePack: as texts, since Lua's numbers hold 53 bits."""
    texts = {
        step: {start: {name: str(more) for name, more in fields.items()} for start, fields in starts.items()}
        for step, starts in tiles.items()
    }
    return msgspec.msgpack.encode(texts)


def added(table: Table, events: Events, bucket: Ints) -> Added:
    """What the events add, one addition a row; arguments as for `tile_additions`."""
    read = Reader(events)
    fields = _Fields(table, read)
    none = np.empty(0, np.int64)
    parts: list[tuple[Ints, Ints, Ints, Ints, Ints]] = []
    for number, series in shared(table).items():
        rows = read.rows(series.need)
        if len(rows.event):
            field, place = fields.of(number, series.need, rows), bucket[rows.event]
            for rung in series.rungs:
                start = read.start(rung.step)[rows.event]
                parts.append((place, np.full(len(start), rung.step), start, field, rows.value))
    if not parts:
        return Added(none, none, none, none, none, [])
    buckets, steps, starts, field, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    # One number sorts five times as fast as two: 65,536 buckets and all starts leave room for two million fields.
    first = starts.min()
    tile = (buckets * 4 + np.searchsorted(STEPS, steps)) * (starts.max() - first + 1) + starts - first
    order = np.argsort(tile * len(fields.values) + field)
    return Added(buckets[order], steps[order], starts[order], field[order], value[order], fields.values)


def _grouped(added: Added) -> dict[int, Tiles]:
    """Sums of rows that are in order."""
    found: dict[int, Tiles] = {}
    columns = (column.tolist() for column in added[:5])
    for bucket, step, start, field, value in zip(*columns, strict=True):
        tile = found.setdefault(bucket, {}).setdefault(step, {}).setdefault(start, {})
        tile[added.fields[field]] = tile.get(added.fields[field], 0) + value
    return found


class _Fields:
    """The fields that occur in a batch, each once."""

    def __init__(self, table: Table, read: Reader) -> None:
        self.table = table
        self.read = read
        self.values: list[str] = []
        self._items = read.events.line_texts["item"].values

    def of(self, number: int, need: Need, rows: Rows) -> Ints:
        """(k,) index of each row's field."""
        head = f"{number}:"
        if need.entity == "global":
            codes, items = np.zeros(len(rows.event), np.int64), [""]
        else:
            codes, items = self.read.events.line_texts["item"].codes[rows.line].astype(np.int64), self._items
        if not need.by:
            return self._added(codes, (head + items[code] for code in _distinct(codes, len(items))), len(items))
        pairs, index = np.unique(codes << SUB_BITS | rows.sub, return_inverse=True)
        text = self._reader(need)
        first = len(self.values)
        subs = (pairs & (2**SUB_BITS - 1)).tolist()
        self.values += [
            head + items[code] + "\0" + text(sub) for code, sub in zip((pairs >> SUB_BITS).tolist(), subs, strict=True)
        ]
        place: Ints = first + index
        return place

    def _added(self, codes: Ints, values: Iterable[str], most: int) -> Ints:
        place = np.zeros(most, np.int64)
        there = _distinct(codes, most)
        place[there] = np.arange(len(there)) + len(self.values)
        self.values += values
        return place[codes]

    def _reader(self, need: Need) -> Callable[[int], str]:
        if not named(need):
            return str
        column = self.read.text("item" if need.by == "with" else need.by)
        return {sub_of(value): value for value in column.values}.__getitem__


def _distinct(codes: Ints, most: int) -> list[int]:
    there = np.zeros(most, np.bool_)
    there[codes] = True
    return np.flatnonzero(there).tolist()
