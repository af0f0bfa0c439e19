"""One state as plain Python lists, straight from its bytes: a request needs one state now, not columns of thousands."""

from itertools import accumulate, islice, repeat
from operator import or_
from typing import NamedTuple

import numpy as np

from features.contributions import START_BITS, SUB_BITS
from features.errors import BrokenState
from features.packing import BY_PLACE, COLUMNS, EVENT, LONG, OLD, head_of
from features.states import States
from features.windows import DAY, TILE_MS

Touch = tuple[int, int, int]  # time, index into TOUCHING, sub of the item


class Plain(NamedTuple):
    """One state: cells by key, newest touches, and what keys are called; text i is heap[at[i]:at[i + 1]]."""

    key: list[int]
    value: list[int]
    touches: list[Touch]
    sub: list[int]
    at: list[int]
    heap: bytes

    @property
    def newest(self) -> int:
        """Time of the newest event, ms UTC; -1: none."""
        return self.value[0] if self.value else -1


def plain_of(state: States) -> Plain:
    """One state from columns of it alone."""
    cells, touches, names = state.cells, state.touches, state.names
    return Plain(
        cells.key.tolist(),
        cells.value.tolist(),
        list(zip(touches.time.tolist(), touches.event.tolist(), touches.sub.tolist(), strict=True)),
        names.sub.tolist(),
        names.at.tolist(),
        names.heap.tobytes(),
    )


def read_plain(packed: bytes | None) -> Plain:
    """One state from its bytes; None is a customer never seen.

    Raises:  BrokenState: these bytes aren't a state of this format.
    """
    if not packed:
        return Plain([], [], [], [], [0], b"")
    at, sizes = head_of(packed)
    data: dict[str, list[int]] = {}
    for width, names in COLUMNS.items():
        number = sum(sizes[name] for name in names)
        if at + number * width > len(packed):
            raise BrokenState("a state ends before its columns do")
        block = np.frombuffer(packed, f"<u{width}", number, at).tolist()
        at += number * width
        begin = 0
        for name in names:
            data[name] = block[begin : begin + sizes[name]]
            begin += sizes[name]
    try:
        return _read(data, packed[at:])
    except (IndexError, ValueError, StopIteration) as error:
        raise BrokenState("the columns of a state don't fit each other") from error


def _read(data: dict[str, list[int]], heap: bytes) -> Plain:
    long = iter(data["long size"])
    ends = [0, *accumulate([size if size < LONG else next(long) for size in data["size"]])]  # a generator hides its end
    if ends[-1] != len(heap):
        raise BrokenState("the names of a state don't fill the rest of it")
    value = _values(data)
    key = _keys(data, value[0] if value else 0)
    if len(key) != len(value):
        raise BrokenState("a state doesn't have as many keys as values")
    return Plain(key, value, _touches(data, value[0] if value else 0), data["name"], ends, heap)


def _values(data: dict[str, list[int]]) -> list[int]:
    found, at = data["value"], 0
    high = {
        1: (short << 8 for short in data["value short"]),
        2: (word << 24 for word in data["value word"]),
        3: (top << 56 for top in data["value top"]),
    }
    for shape, run in zip(data["shape"], data["run"], strict=True):
        for kind in range(1, (shape & 3) + 1):
            found[at : at + run] = map(or_, found[at : at + run], high[kind])
        at += run
    return [number >> 1 ^ -(number & 1) for number in found]


def _keys(data: dict[str, list[int]], newest: int) -> list[int]:
    tile = min(max(newest // TILE_MS, 0), 2**START_BITS - 1)
    day, named = tile // DAY, data["name"]
    subs = (
        repeat(0),
        (named[place] << START_BITS for place in data["sub place"]),
        (short << START_BITS for short in data["sub short"]),
        (sub << START_BITS for sub in data["sub"]),
    )
    days = ((day - before) * DAY for before in data["start day"])
    starts = (repeat(0), days, (tile - before for before in data["start"]), iter(data["start far"]))
    keys: list[int] = []
    for series, shape, run in zip(data["series"], data["shape"], data["run"], strict=True):
        first = (series | shape >> 6 << 8) << SUB_BITS + START_BITS
        sub, start = islice(subs[shape >> 4 & 3], run), starts[shape >> 2 & 3]
        keys += [first | low | high for high, low in zip(sub, start, strict=False)]
    return keys


def _touches(data: dict[str, list[int]], newest: int) -> list[Touch]:
    high, place, raw = iter(data["touch age high"]), iter(data["touch place"]), iter(data["touch sub"])
    names = data["name"]
    found = []
    for code, low in zip(data["touch"], data["touch age"], strict=True):
        age = low | next(high) << 32 if code & OLD else low
        found.append((newest - age, code & EVENT, names[next(place)] if code & BY_PLACE else next(raw)))
    return found
