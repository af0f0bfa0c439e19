"""What a state lets go of: tiles grow coarser with age, and no series keeps more keys than its bound."""

from heapq import heappush, heappushpop

import numpy as np

from features.contributions import START_BITS, SUB_BITS, Bools, Keys
from features.table import Need, Series, Table
from features.windows import HOUR, TILE_MS, Ints

SKETCH = 256  # keys that a series keeps of a state
MOST_ITEMS = 2_000  # where they are items that count, not only are counted
_START = np.uint64(2**START_BITS - 1)
_SERIES = np.uint64(SUB_BITS + START_BITS)
_HOUR_MS = TILE_MS * HOUR


def hours(newest: Ints) -> Ints:
    """The hour of each state's newest event: ages go by it, so that many batches have nothing to do."""
    return newest // _HOUR_MS


def aged_keys(table: Table, key: Keys, owner: Ints, newest: Ints) -> tuple[Keys, Bools]:
    """The keys with tiles as coarse as the age of their state allows, and which of the cells anything still reads.

    Args:    newest: ms UTC by state. The order of tiles never changes by it, though some may become one.
    """
    keep = np.ones(len(key), np.bool_)
    kinds, kind_of = table.ladders
    start = (key & _START).view(np.int64)
    rows = np.flatnonzero(start)
    kind = kind_of.take((key[rows] >> _SERIES).view(np.int64))
    place = kind * len(newest) + owner[rows]
    hour = hours(newest) * _HOUR_MS
    aged = False
    for rung in range(max(len(series.rungs) for series in kinds)):
        horizons = np.concatenate([horizon(series, rung, hour) for series in kinds])
        old = np.flatnonzero(start.take(rows) < horizons.take(place))
        if not len(old):
            break
        aged = True
        rows, kind, place = rows[old], kind[old], place[old]  # what one rung keeps, no coarser one lets go
        step = np.array([coarser(series, rung) for series in kinds], np.int64)[kind]
        start[rows] -= np.where(step > 0, start[rows] % np.maximum(step, 1), start[rows])
        keep[rows[step < 0]] = False
    if not aged:
        return key, keep
    return (key & ~_START) | start.view(np.uint64), keep


def horizon(series: Series, rung: int, now: Ints) -> Ints:
    """Per moment the first tile that a rung keeps as it is; 0 where the ladder has no such rung."""
    return series.rungs[rung].horizon(now) if rung < len(series.rungs) else np.zeros_like(now)


def coarser(series: Series, rung: int) -> int:
    """The step of the next coarser tiles: 0 all time, -1 none at all."""
    if rung + 1 < len(series.rungs):
        return series.rungs[rung + 1].step
    return 0 if series.total else -1


def bounded(table: Table, ends: Ints, key: Keys) -> Bools:
    """Which cells stay where no series keeps more keys than its bound, whoever sends them.

    Of a series' keys that have been there since some moment, those with the smallest hashes are whole: a uniform
    sample. A cell goes when as many keys of smaller hashes are at least as new. They stay so for as long as the cell
    would, so what a state keeps doesn't depend on when this was looked at.

    Args:    ends: (n + 1,) where each state's cells begin and end; key: of the cells, in order.
    """
    keep = np.ones(len(key), np.bool_)
    for owner in np.flatnonzero(np.diff(ends) > SKETCH):
        rows = slice(ends[owner], ends[owner + 1])
        keep[rows] = _within(table, key[rows])
    return keep


def _within(table: Table, key: Keys) -> Bools:
    """Which cells of one state stay."""
    keep = np.ones(len(key), np.bool_)
    series = (key >> _SERIES).astype(np.int64)
    starts = np.flatnonzero(np.diff(series, prepend=-1))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(key)], strict=True):
        bound = bound_of(table.series[series[start]].need)
        if end - start > bound:
            keep[start:end] = _largest_sample(key[start:end], bound)
    return keep


def bound_of(need: Need) -> int:
    """How many keys a series keeps of a state."""
    if not need.by:
        return 2**62
    if need.of == "tile":  # one more key says how thick the others lie
        return SKETCH + 1
    return MOST_ITEMS if need.by == "item" else SKETCH


def _largest_sample(key: Keys, bound: int) -> Bools:
    sub = key >> np.uint64(START_BITS)
    start = (key & _START).astype(np.int64)
    keys = np.flatnonzero(np.concatenate(([True], sub[1:] != sub[:-1])))
    ends = [*keys[1:].tolist(), len(key)]
    keep = np.ones(len(key), np.bool_)
    newest: list[int] = []  # the newest tiles of the keys before, the largest `bound` of them
    for begin, end in zip(keys.tolist(), ends, strict=True):
        last = int(start[end - 1])
        if len(newest) < bound:
            heappush(newest, last)
        else:
            keep[begin:end] = start[begin:end] > newest[0]
            heappushpop(newest, last)
    return keep
