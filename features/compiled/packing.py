"""Many states as bytes at once: `features.packing.pack`, compiled."""

from itertools import pairwise

import numpy as np

from features.columns import Numbers
from features.compiled import layout
from features.compiled.kernel import kernel, place_of
from features.compiled.layout import HEAD, N_SIZES, SIZES, WIDTHS, Bytes, places, write2, write4, write8
from features.contributions import START_BITS, SUB_BITS, Keys
from features.packing import BY_PLACE, LONG, OLD
from features.states import States
from features.table import FORMAT
from features.windows import DAY, TILE_MS

_SUBS, _STARTS, _SERIES = np.uint64(2**SUB_BITS - 1), np.uint64(START_BITS), np.uint64(SUB_BITS + START_BITS)
_LAST = 2**START_BITS - 1
_PLACES, _SHORT, _WORD, _LONGEST_RUN = 256, 2**16, 2**32, 255
_OF_CELL, _OF_TOUCH, _OF_NAME, _OF_SEEN = 19, 11, 9, 12  # bytes at most


def pack(states: States) -> list[bytes]:
    """Each state as bytes."""
    cells, touches, names, seen = states
    size = states.n * (HEAD + 4 * N_SIZES) + len(names.heap)
    size += _OF_CELL * len(cells.key) + _OF_TOUCH * len(touches.time)
    size += _OF_NAME * len(names.sub) + _OF_SEEN * len(seen.message)
    heap, ends = np.empty(size, np.uint8), np.zeros(states.n + 1, np.int64)
    _pack(states, int(np.diff(cells.ends).max(initial=0)), heap, ends)
    whole = heap[: ends[-1]].tobytes()
    return [whole[begin:end] for begin, end in pairwise(ends.tolist())]


@kernel
def _pack(states: States, most: int, heap: Bytes, ends: Numbers) -> None:
    sizes, place, used = np.empty(N_SIZES, np.int64), np.empty(len(WIDTHS), np.int64), np.empty(len(WIDTHS), np.int64)
    found = np.empty((most, 3), np.int64)  # tag, what is written of the sub, what of the start
    # An attribute of a tuple costs in a loop, where a name of its own costs nothing.
    cell_ends, key, value = states.cells.ends, states.cells.key, states.cells.value
    touch_ends, time, event, sub = states.touches.ends, states.touches.time, states.touches.event, states.touches.sub
    name_ends, name, text, texts = states.names.ends, states.names.sub, states.names.at, states.names.heap
    seen_ends, received, message = states.seen.ends, states.seen.received, states.seen.message
    arrivals = states.seen.newest
    for state in range(len(ends) - 1):
        sizes[:] = 0
        first, end = cell_ends[state], cell_ends[state + 1]
        newest = value[first] if end > first else -1
        _measure_cells(key, value, first, end, newest, name, name_ends[state], name_ends[state + 1], found, sizes)
        sizes[SIZES[layout.MESSAGE]] = seen_ends[state + 1] - seen_ends[state]
        _measure_touches(
            time,
            sub,
            touch_ends[state],
            touch_ends[state + 1],
            newest,
            name,
            name_ends[state],
            name_ends[state + 1],
            sizes,
        )
        _measure_names(text, name_ends[state], name_ends[state + 1], sizes)
        kind = 0 if sizes.max() < _PLACES else 1 if sizes.max() < _SHORT else 2
        low, wide = ends[state], 1 << kind
        heap[low], heap[low + 1] = FORMAT, kind
        write8(heap, low + 2, np.uint64(arrivals[state]))
        for size in range(N_SIZES):
            at = low + HEAD + size * wide
            if wide == 1:
                heap[at] = np.uint8(sizes[size])
            elif wide == 2:
                write2(heap, at, np.uint64(sizes[size]))
            else:
                write4(heap, at, np.uint64(sizes[size]))
        stop = places(low + HEAD + N_SIZES * wide, sizes, place)
        used[:] = place
        _write_cells(value, first, end, found, used, heap)
        _write_touches(
            time,
            event,
            sub,
            touch_ends[state],
            touch_ends[state + 1],
            newest,
            name,
            name_ends[state],
            name_ends[state + 1],
            used,
            heap,
        )
        for row in range(seen_ends[state], seen_ends[state + 1]):
            _put8(heap, used, layout.MESSAGE, message[row])
            _put4(heap, used, layout.MESSAGE_AGE, arrivals[state] - received[row])
        ends[state + 1] = _write_names(name, text, texts, name_ends[state], name_ends[state + 1], used, heap, stop)


@kernel
def _put1(heap: Bytes, used: Numbers, column: int, number: int) -> None:
    """Write one more entry of a column of one byte."""
    heap[np.uint64(used[column])] = np.uint8(np.uint64(number) & np.uint64(255))
    used[column] += 1


@kernel
def _put2(heap: Bytes, used: Numbers, column: int, number: int) -> None:
    write2(heap, used[column], np.uint64(number))
    used[column] += 2


@kernel
def _put4(heap: Bytes, used: Numbers, column: int, number: int) -> None:
    write4(heap, used[column], np.uint64(number))
    used[column] += 4


@kernel
def _put8(heap: Bytes, used: Numbers, column: int, number: int) -> None:
    write8(heap, used[column], np.uint64(number))
    used[column] += 8


@kernel
def _named(names: Numbers, begin: int, end: int, sub: int) -> int:
    """Where a sub's name is among the first 256 of its state; -1: not there."""
    at = place_of(names, begin, end, sub)
    return at - begin if at < end and names[at] == sub and at - begin < _PLACES else -1


@kernel
def _zigzag(value: int) -> np.uint64:
    return np.uint64(value << 1 ^ value >> 63)


@kernel
def _measure_cells(
    keys: Keys,
    values: Numbers,
    first: int,
    end: int,
    newest: int,
    names: Numbers,
    names_begin: int,
    names_end: int,
    found: Numbers,
    sizes: Numbers,
) -> None:
    base = min(max(newest // TILE_MS, 0), _LAST)
    tag, run = -1, 0
    for row in range(first, end):
        key, number = keys[row], _zigzag(values[row])
        sub, start = np.int64((key >> _STARTS) & _SUBS), np.int64(key & np.uint64(_LAST))
        value_kind = (
            np.int64(number >= np.uint64(2**8))
            + np.int64(number >= np.uint64(2**24))
            + np.int64(number >= np.uint64(2**56))
        )
        sub_kind, sub_written = 2 if sub else 0, sub
        if sub >= _SHORT:
            named = _named(names, names_begin, names_end, sub)
            sub_kind, sub_written = (1, named) if named >= 0 else (3, sub)
        start_kind, start_written = _start_kind(start, base)
        before = tag
        tag = np.int64(key >> _SERIES) << 6 | value_kind | start_kind << 2 | sub_kind << 4
        found[row - first, 0], found[row - first, 1], found[row - first, 2] = tag, sub_written, start_written
        run = run + 1 if tag == before and run < _LONGEST_RUN else 1
        sizes[SIZES[layout.SERIES]] += run == 1
        sizes[SIZES[layout.VALUE]] += 1
        sizes[SIZES[layout.VALUE_SHORT]] += value_kind >= 1
        sizes[SIZES[layout.VALUE_WORD]] += value_kind >= 2
        sizes[SIZES[layout.VALUE_TOP]] += value_kind >= 3
        sizes[SIZES[layout.SUB_PLACE]] += sub_kind == 1
        sizes[SIZES[layout.SUB_SHORT]] += sub_kind == 2
        sizes[SIZES[layout.SUB]] += sub_kind == 3
        sizes[SIZES[layout.START_DAY]] += start_kind == 1
        sizes[SIZES[layout.START]] += start_kind == 2
        sizes[SIZES[layout.START_FAR]] += start_kind == 3


@kernel
def _start_kind(start: int, base: int) -> tuple[int, int]:
    """How a start is written, and what."""
    if start == 0:
        return 0, 0
    day = start // DAY
    days = base // DAY - day
    if day * DAY == start and 0 <= days < _PLACES:
        return 1, days
    return (2, base - start) if 0 <= base - start < _SHORT else (3, start)


@kernel
def _measure_touches(
    time: Numbers,
    sub: Numbers,
    begin: int,
    end: int,
    newest: int,
    names: Numbers,
    names_begin: int,
    names_end: int,
    sizes: Numbers,
) -> None:
    sizes[SIZES[layout.TOUCH]] = end - begin
    for row in range(begin, end):
        named = _named(names, names_begin, names_end, sub[row]) >= 0
        sizes[SIZES[layout.TOUCH_PLACE]] += named
        sizes[SIZES[layout.TOUCH_SUB]] += not named
        sizes[SIZES[layout.TOUCH_AGE_HIGH]] += newest - time[row] >= _WORD


@kernel
def _measure_names(at: Numbers, begin: int, end: int, sizes: Numbers) -> None:
    sizes[SIZES[layout.NAME]] = end - begin
    for row in range(begin, end):
        sizes[SIZES[layout.LONG_SIZE]] += at[row + 1] - at[row] >= LONG


@kernel
def _write_cells(values: Numbers, first: int, end: int, found: Numbers, used: Numbers, heap: Bytes) -> None:
    begin, count = 0, end - first
    for at in range(count):
        tag = found[at, 0]
        number = _zigzag(values[first + at])
        value_kind, start_kind, sub_kind = tag & 3, tag >> 2 & 3, tag >> 4 & 3
        _put1(heap, used, layout.VALUE, number)
        if value_kind >= 1:
            _put2(heap, used, layout.VALUE_SHORT, number >> np.uint64(8))
        if value_kind >= 2:
            _put4(heap, used, layout.VALUE_WORD, number >> np.uint64(24))
        if value_kind >= 3:
            _put1(heap, used, layout.VALUE_TOP, number >> np.uint64(56))
        if sub_kind == 1:
            _put1(heap, used, layout.SUB_PLACE, found[at, 1])
        elif sub_kind == 2:
            _put2(heap, used, layout.SUB_SHORT, found[at, 1])
        elif sub_kind == 3:
            _put4(heap, used, layout.SUB, found[at, 1])
        if start_kind == 1:
            _put1(heap, used, layout.START_DAY, found[at, 2])
        elif start_kind == 2:
            _put2(heap, used, layout.START, found[at, 2])
        elif start_kind == 3:
            _put4(heap, used, layout.START_FAR, found[at, 2])
        if at + 1 == count or found[at + 1, 0] != tag or at + 1 - begin == _LONGEST_RUN:
            _put1(heap, used, layout.SERIES, tag >> 6)
            _put1(heap, used, layout.SHAPE, tag & 63 | tag >> 14 << 6)
            _put1(heap, used, layout.RUN, at + 1 - begin)
            begin = at + 1


@kernel
def _write_touches(
    time: Numbers,
    event: Numbers,
    sub: Numbers,
    begin: int,
    end: int,
    newest: int,
    names: Numbers,
    names_begin: int,
    names_end: int,
    used: Numbers,
    heap: Bytes,
) -> None:
    for row in range(begin, end):
        age = newest - time[row]
        named = _named(names, names_begin, names_end, sub[row])
        old = age >= _WORD
        _put1(heap, used, layout.TOUCH, event[row] | (OLD if old else 0) | (BY_PLACE if named >= 0 else 0))
        _put4(heap, used, layout.TOUCH_AGE, age)
        if old:
            _put2(heap, used, layout.TOUCH_AGE_HIGH, age >> 32)
        if named >= 0:
            _put1(heap, used, layout.TOUCH_PLACE, named)
        else:
            _put4(heap, used, layout.TOUCH_SUB, sub[row])


@kernel
def _write_names(
    names: Numbers, at: Numbers, texts: Bytes, begin: int, end: int, used: Numbers, heap: Bytes, stop: int
) -> int:
    """Write the names and, after all columns, their texts; returns the end of the state."""
    for row in range(begin, end):
        size = at[row + 1] - at[row]
        _put4(heap, used, layout.NAME, names[row])
        _put1(heap, used, layout.SIZE, min(size, LONG))
        if size >= LONG:
            _put4(heap, used, layout.LONG_SIZE, size)
    low, size = at[begin], at[end] - at[begin]
    for byte in range(size):
        heap[stop + byte] = texts[low + byte]
    return stop + size
