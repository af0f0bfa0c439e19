"""What events add to items and to all customers together: tiles of several sizes, a partial sum by bucket each.

A field of a tile is the number of its series, a colon and the item's id; where the series is keyed, a zero character
and the key follow. Every addition is made to a tile of each size that its series keeps: any of them is a whole sum.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec
import numpy as np

from features.checks import OTHERS, TEXTS
from features.columns import Events
from features.contributions import Reader, Rows, sub_of
from features.table import Need, Series, Table
from features.windows import DAY, HOUR, Ints, Window

Tiles = dict[int, dict[int, dict[str, int]]]  # step, first tile, field, addition

_MONTH = 31 * DAY
STEPS = (1, HOUR, DAY)  # of tiles that are ever kept
_KEY_BITS = 31  # of a sub, or of a text's number


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
    return need.by in OTHERS or need.by in TEXTS


def sub_of_field(need: Need, key: str) -> int:
    """The sub of a field's key."""
    return sub_of(key) if named(need) else int(key or 0)


class Part(NamedTuple):
    """n events, and the bucket of each."""

    events: Events
    bucket: Ints


class Added(NamedTuple):
    """k additions in the order of their buckets, steps, starts and fields; equal ones of these are still apart."""

    bucket: Ints
    step: Ints
    start: Ints  # in tiles of 5 minutes
    field: Ints  # index into fields
    value: Ints
    fields: list[str]


def tile_additions(table: Table, *parts: Part) -> dict[int, Tiles]:
    """By bucket what its events add.

    Args:    parts: of which no two add to the same series.
    """
    return _grouped(added(table, *parts))


def sent(tiles: Tiles) -> bytes:
    """Additions as a commit takes them, in MessagePack: as texts, since Lua's numbers hold 53 bits."""
    texts = {
        step: {start: {name: str(more) for name, more in fields.items()} for start, fields in starts.items()}
        for step, starts in tiles.items()
    }
    return msgspec.msgpack.encode(texts)


def added(table: Table, *parts: Part) -> Added:
    """What the events add, one addition a row; arguments as for `tile_additions`."""
    fields: list[str] = []
    rows = [each for part in parts for each in _rows(table, part, fields)]
    none = np.empty(0, np.int64)
    if not rows:
        return Added(none, none, none, none, none, [])
    buckets, steps, starts, field, value = (np.concatenate(column) for column in zip(*rows, strict=True))
    # One number sorts five times as fast as two: 65,536 buckets and all starts leave room for two million fields.
    first = starts.min()
    tile = (buckets * 4 + np.searchsorted(STEPS, steps)) * (starts.max() - first + 1) + starts - first
    order = np.argsort(tile * len(fields) + field)
    return Added(buckets[order], steps[order], starts[order], field[order], value[order], fields)


def _rows(table: Table, part: Part, values: list[str]) -> Iterator[tuple[Ints, Ints, Ints, Ints, Ints]]:
    """By series and size of tile: bucket, step, start, field and value of each addition. Fields go to `values`."""
    read = Reader(part.events)
    fields = _Fields(read, values)
    for number, series in shared(table).items():
        rows = read.rows(series.need)
        if len(rows.event):
            field, place = fields.of(number, series.need, rows), part.bucket[rows.event]
            for rung in series.rungs:
                start = read.start(rung.step)[rows.event]
                yield place, np.full(len(start), rung.step), start, field, rows.value


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

    def __init__(self, read: Reader, values: list[str]) -> None:
        self.read = read
        self.values = values
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
        keys, texts = self._keys(need, rows)
        pairs, index = np.unique(codes << _KEY_BITS | keys, return_inverse=True)
        first = len(self.values)
        self.values += [
            head + items[pair >> _KEY_BITS] + "\0" + texts(pair & (2**_KEY_BITS - 1)) for pair in pairs.tolist()
        ]
        place: Ints = first + index
        return place

    def _added(self, codes: Ints, values: Iterable[str], most: int) -> Ints:
        place = np.zeros(most, np.int64)
        there = _distinct(codes, most)
        place[there] = np.arange(len(there)) + len(self.values)
        self.values += values
        return place[codes]

    def _keys(self, need: Need, rows: Rows) -> tuple[Ints, Callable[[int], str]]:
        """What the rows are keyed by, as numbers, and how a number is written."""
        if not named(need):
            return rows.sub, str
        column = self.read.text("item" if need.by in OTHERS else need.by)
        return column.codes[rows.key].astype(np.int64), column.values.__getitem__


def _distinct(codes: Ints, most: int) -> list[int]:
    there = np.zeros(most, np.bool_)
    there[codes] = True
    return np.flatnonzero(there).tolist()
