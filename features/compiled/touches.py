"""The newest touches of states after a batch, and the names of the keys that their cells and touches have."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.cells import Cells
from features.columns import NAMES, Bools, Events, Numbers
from features.compiled.cells import Called
from features.compiled.kernel import kernel, owned, place_of
from features.contributions import START_BITS, SUB_BITS, Reader
from features.states import RECENT, TOUCHING, Names, Touches

_CODE = np.array([TOUCHING.index(name) if name in TOUCHING else -1 for name in (*NAMES, "")], np.int64)
_SERIES, _START, _SUB = np.uint64(SUB_BITS + START_BITS), np.uint64(START_BITS), np.uint64(2**SUB_BITS - 1)

Heap = npt.NDArray[np.uint8]


class Lines(NamedTuple):
    """The lines of a batch: where those of each event begin (n + 1,), the subs and codes of their items (m,)."""

    ends: Numbers
    sub: Numbers
    code: Numbers


class Texts(NamedTuple):
    """Texts in UTF-8: text i is `heap[at[i]:at[i + 1]]`."""

    at: Numbers
    heap: Heap


def texts_of(texts: Sequence[str]) -> Texts:
    """Texts for kernels."""
    encoded = [text.encode() for text in texts]
    at = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(text) for text in encoded], out=at[1:])
    return Texts(at, np.frombuffer(bytearray(b"".join(encoded)), np.uint8))


def lines_of(events: Events, read: Reader) -> Lines:
    """The lines of a batch."""
    ends = np.searchsorted(events.line_of, np.arange(events.n + 1)).astype(np.int64)
    return Lines(ends, owned(read.subs("item"), np.int64), owned(read.codes("item"), np.int64))


def add_touches(old: Touches, events: Events, lines: Lines, order: Numbers, first: Numbers) -> tuple[Touches, Called]:
    """The newest touches of old and new ones together, each of (time, event, item) once, and their items' names."""
    n, more = len(old.ends) - 1, len(lines.sub)
    new = Touches(np.zeros(n + 1, np.int64), *(np.empty(len(old.time) + more + 1, np.int64) for _ in range(3)))
    called = Called(np.zeros(n + 1, np.int64), np.empty(more, np.int64), np.empty(more, np.int64))
    code = _CODE[events.name]
    _touch(old, code, owned(events.time, np.int64), lines, order, first, new, called)
    end = new.ends[-1]
    return Touches(new.ends, new.time[:end].copy(), new.event[:end].copy(), new.sub[:end].copy()), called


def add_names(
    named: Bools, old: Names, cells: Cells, touches: Touches, lost: Bools, called: tuple[Called, Called], texts: Texts
) -> Names:
    """The names with those of what was called; without those that nothing refers to any more in states that lost
    something.

    Args:    named: (series,) whose keys have names.
    """
    of_cells, of_touches = called
    most = int((np.diff(of_cells.ends) + np.diff(of_touches.ends)).max(initial=0))
    told = sum(int(np.diff(texts.at)[each.code[: each.ends[-1]]].sum()) for each in called)
    size = len(old.sub) + len(of_cells.sub) + len(of_touches.sub)
    ends, at = np.zeros(len(old.ends), np.int64), np.zeros(size + 1, np.int64)
    sub, heap = np.empty(size, np.int64), np.empty(len(old.heap) + told, np.uint8)
    _name(named, old, cells, touches, lost, of_cells, of_touches, texts, most, ends, sub, at, heap)
    return Names(ends, sub[: ends[-1]].copy(), at[: ends[-1] + 1].copy(), heap[: at[ends[-1]]].copy())


@kernel
def _touch(
    old: Touches,
    code: Numbers,
    time: Numbers,
    lines: Lines,
    order: Numbers,
    first: Numbers,
    new: Touches,
    called: Called,
) -> None:
    base, told = 0, 0
    # An attribute of a tuple costs in a loop, where a name of its own costs nothing.
    old_ends, old_time, old_event, old_sub = old.ends, old.time, old.event, old.sub
    new_ends, new_time, new_event, new_sub = new.ends, new.time, new.event, new.sub
    line_ends, line_sub, line_code = lines.ends, lines.sub, lines.code
    told_ends, told_sub, told_code = called.ends, called.sub, called.code
    for state in range(len(old_ends) - 1):
        end = base
        for row in range(old_ends[state], old_ends[state + 1]):
            new_time[end], new_event[end], new_sub[end] = old_time[row], old_event[row], old_sub[row]
            end += 1
        for place in range(first[state], first[state + 1]):
            event = order[place]
            if code[event] < 0:
                continue
            for line in range(line_ends[event], line_ends[event + 1]):
                told_sub[told], told_code[told] = line_sub[line], line_code[line]
                told += 1
                end = inserted(new_time, new_event, new_sub, base, end, time[event], code[event], line_sub[line])
        base = end
        new_ends[state + 1], told_ends[state + 1] = base, told


@kernel
def inserted(
    times: Numbers, events: Numbers, subs: Numbers, base: int, end: int, time: int, event: int, sub: int
) -> int:
    """Newest first, then by event and item; returns the end after it."""
    which = event << SUB_BITS | sub
    into = base
    while into < end and (
        times[into] > time or (times[into] == time and events[into] << SUB_BITS | subs[into] < which)
    ):
        into += 1
    if into < end and times[into] == time and events[into] == event and subs[into] == sub:
        return end
    if into - base >= RECENT:
        return end
    end = min(end + 1, base + RECENT)
    for row in range(end - 1, into, -1):
        times[row], events[row], subs[row] = times[row - 1], events[row - 1], subs[row - 1]
    times[into], events[into], subs[into] = time, event, sub
    return end


@kernel
def _name(
    named: Bools,
    old: Names,
    cells: Cells,
    touches: Touches,
    lost: Bools,
    of_cells: Called,
    of_touches: Called,
    texts: Texts,
    most: int,
    ends: Numbers,
    sub: Numbers,
    at: Numbers,
    heap: Heap,
) -> None:
    subs, codes = np.empty(most, np.int64), np.empty(most, np.int64)
    place, used = np.empty(len(sub), np.int64), np.empty(len(sub), np.bool_)  # where the text of each name is
    base = 0
    # An attribute of a tuple costs in a loop, where a name of its own costs nothing.
    old_ends, old_sub, old_at, old_heap = old.ends, old.sub, old.at, old.heap
    text_at, text_heap = texts.at, texts.heap
    cells_told, cells_sub, cells_code = of_cells.ends, of_cells.sub, of_cells.code
    touches_told, touches_sub, touches_code = of_touches.ends, of_touches.sub, of_touches.code
    for state in range(len(ends) - 1):
        row, end, new = old_ends[state], old_ends[state + 1], 0
        begin, stop = cells_told[state], cells_told[state + 1]
        count = _unknown(old_sub, row, end, cells_sub, cells_code, begin, stop, subs, codes, 0)
        begin, stop = touches_told[state], touches_told[state + 1]
        count = _unknown(old_sub, row, end, touches_sub, touches_code, begin, stop, subs, codes, count)
        begin = base
        while row < end or new < count:
            if new == count or (row < end and old_sub[row] < subs[new]):
                sub[base], place[base] = old_sub[row], -1 - row
                row += 1
            else:
                sub[base], place[base] = subs[new], codes[new]
                new += 1
            base += 1
        if lost[state]:
            _mark(named, cells, touches, state, sub, begin, base, used)
        base = begin
        for row in range(begin, begin + end - old_ends[state] + count):
            if lost[state] and not used[row - begin]:
                continue
            text = place[row]
            if text < 0:
                source, low, size = old_heap, old_at[-1 - text], old_at[-text] - old_at[-1 - text]
            else:
                source, low, size = text_heap, text_at[text], text_at[text + 1] - text_at[text]
            sub[base] = sub[row]
            for byte in range(size):
                heap[at[base] + byte] = source[low + byte]
            at[base + 1] = at[base] + size
            base += 1
        ends[state + 1] = base


@kernel
def _unknown(
    there: Numbers,
    low: int,
    high: int,
    called: Numbers,
    texts: Numbers,
    begin: int,
    end: int,
    subs: Numbers,
    codes: Numbers,
    count: int,
) -> int:
    """Collect what is called and has no name yet, by sub, each once; returns how many there are with it."""
    for row in range(begin, end):
        one = called[row]
        place = place_of(there, low, high, one)
        if one == 0 or (place < high and there[place] == one):
            continue
        into = place_of(subs, 0, count, one)
        if into < count and subs[into] == one:
            continue
        for at in range(count, into, -1):
            subs[at], codes[at] = subs[at - 1], codes[at - 1]
        subs[into], codes[into] = one, texts[row]
        count += 1
    return count


@kernel
def _mark(
    named: Bools,
    cells: Cells,
    touches: Touches,
    state: int,
    names: Numbers,
    begin: int,
    end: int,
    used: Bools,
) -> None:
    """Which of a state's names, from `begin` to `end`, its cells and touches refer to."""
    used[: end - begin] = False
    before = np.uint64(0)
    ends, keys = cells.ends, cells.key
    for row in range(ends[state], ends[state + 1]):
        key = keys[row] >> _START
        if key != before and named[np.int64(keys[row] >> _SERIES)]:
            _mark_one(names, begin, end, np.int64(key & _SUB), used)
        before = key
    ends, subs = touches.ends, touches.sub
    for row in range(ends[state], ends[state + 1]):
        _mark_one(names, begin, end, subs[row], used)


@kernel
def _mark_one(names: Numbers, begin: int, end: int, one: int, used: Bools) -> None:
    at = place_of(names, begin, end, one)
    if at < end and names[at] == one:
        used[at - begin] = True
