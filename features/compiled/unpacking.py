"""Many states from their bytes at once: `features.packing.unpack`, compiled."""

from collections.abc import Sequence

import numpy as np

from features.cells import Cells
from features.columns import Numbers
from features.compiled import layout
from features.compiled.kernel import kernel
from features.compiled.layout import HEAD, N_SIZES, SIZES, Bytes, places, read2, read4, read8
from features.contributions import START_BITS, SUB_BITS, Keys
from features.errors import BrokenState
from features.packing import BY_PLACE, EVENT, LONG, NOBODY, OLD, head_of
from features.states import Names, Seen, States, Touches
from features.table import FORMAT
from features.windows import DAY, TILE_MS

_SUBS, _STARTS = np.uint64(SUB_BITS), np.uint64(START_BITS)
_LAST = 2**START_BITS - 1
_KINDS = 3
_ENDS_EARLY, _NOT_FITTING, _NAMELESS = 1, 2, 3
_WRONG = {
    _ENDS_EARLY: "a state ends before its columns do",
    _NOT_FITTING: "the columns of a state don't fit each other",
    _NAMELESS: "a key of a state has no name",
}
# Columns whose entries not every cell has, in the order of `used`, and the kind that has one; of values all above too.
_SOME = np.array(
    [
        (layout.VALUE_SHORT, 1, 0), (layout.VALUE_WORD, 2, 0), (layout.VALUE_TOP, 3, 0), (layout.SUB_PLACE, 1, 1),
        (layout.SUB_SHORT, 2, 1), (layout.SUB, 3, 1), (layout.START_DAY, 1, 1), (layout.START, 2, 1),
        (layout.START_FAR, 3, 1),
    ],
    np.int64,
)  # fmt: skip


def unpack(packed: Sequence[bytes | None]) -> States:
    """States from their bytes; None is a customer never seen.

    Raises:  BrokenState: these bytes aren't a state of this format.
    """
    values = [value or NOBODY for value in packed]
    n = len(values)
    at = np.zeros(n + 1, np.int64)
    np.cumsum(np.fromiter(map(len, values), np.int64, n), out=at[1:])
    heap = np.frombuffer(b"".join(values), np.uint8)
    sizes, begin, newest = np.zeros((n, N_SIZES), np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    broken = _heads(heap, at, sizes, begin, newest)
    if broken >= 0:
        head_of(values[broken])  # says what is wrong with it
        raise BrokenState(_WRONG[_ENDS_EARLY])
    ends = np.zeros((N_SIZES, n + 1), np.int64)
    np.cumsum(sizes, axis=0, out=ends[:, 1:].T)
    message, touch, name, cell = (ends[SIZES[c]] for c in (layout.MESSAGE, layout.TOUCH, layout.NAME, layout.VALUE))
    seen = Seen(message, np.empty(message[-1], np.int64), np.empty(message[-1], np.uint64), newest)
    touches = Touches(touch, *(np.empty(touch[-1], np.int64) for _ in range(3)))
    names = Names(name, np.empty(name[-1], np.int64), np.zeros(name[-1] + 1, np.int64), np.empty(len(heap), np.uint8))
    cells = Cells(cell, np.empty(cell[-1], np.uint64), np.empty(cell[-1], np.int64))
    wrong = _fill(heap, at, sizes, begin, seen, touches, names, cells)
    if wrong:
        raise BrokenState(_WRONG[wrong])
    return States(cells, touches, names._replace(heap=names.heap[: names.at[-1]].copy()), seen)


@kernel
def _heads(heap: Bytes, at: Numbers, sizes: Numbers, begin: Numbers, newest: Numbers) -> int:
    """Read the head of each state; returns the first that is none, or whose columns don't fit into it, else -1."""
    into = np.empty(len(SIZES), np.int64)
    for state in range(len(at) - 1):
        low, high = at[state], at[state + 1]
        if high - low < HEAD + N_SIZES or heap[low] != FORMAT or heap[low + 1] >= _KINDS:
            return state
        wide = 1 << np.int64(heap[low + 1])
        begin[state] = low + HEAD + N_SIZES * wide
        if begin[state] > high:
            return state
        newest[state] = np.int64(read8(heap, low + 2))
        for size in range(N_SIZES):
            sizes[state, size] = np.int64(_size(heap, low + HEAD + size * wide, wide))
        if places(begin[state], sizes[state], into) > high:
            return state
    return -1


@kernel
def _size(heap: Bytes, at: int, wide: int) -> np.uint64:
    return np.uint64(heap[at]) if wide == 1 else read2(heap, at) if wide == 2 else read4(heap, at)


@kernel
def _fill(
    heap: Bytes, at: Numbers, sizes: Numbers, begin: Numbers, seen: Seen, touches: Touches, names: Names, cells: Cells
) -> int:
    """Read the columns; returns what is wrong with them, 0 for nothing."""
    place = np.empty(len(SIZES), np.int64)
    # An attribute of a tuple costs in a loop, where a name of its own costs nothing.
    name, text, texts = names.sub, names.at, names.heap
    key, value = cells.key, cells.value
    time, event, sub = touches.time, touches.event, touches.sub
    received, message = seen.received, seen.message
    for state in range(len(at) - 1):
        end = places(begin[state], sizes[state], place)
        first, last = names.ends[state], names.ends[state + 1]
        wrong = _names(heap, end, at[state + 1], place, sizes[state], first, name, text, texts)
        if not wrong:
            wrong = _cells(
                heap, place, sizes[state], name, first, last, key, value, cells.ends[state], cells.ends[state + 1]
            )
        if not wrong:
            begins = cells.ends[state]
            newest = value[begins] if cells.ends[state + 1] > begins else -1
            wrong = _touches(
                heap, place, sizes[state], name, first, last, newest, touches.ends[state], time, event, sub
            )
        if wrong:
            return wrong
        first = seen.ends[state]
        for row in range(sizes[state, SIZES[layout.MESSAGE]]):
            message[first + row] = read8(heap, place[layout.MESSAGE] + 8 * row)
            received[first + row] = seen.newest[state] - np.int64(read4(heap, place[layout.MESSAGE_AGE] + 4 * row))
    return 0


@kernel
def _names(
    heap: Bytes,
    begin: int,
    end: int,
    place: Numbers,
    sizes: Numbers,
    first: int,
    name: Numbers,
    at: Numbers,
    texts: Bytes,
) -> int:
    longer, text = 0, at[first]
    for row in range(sizes[SIZES[layout.NAME]]):
        name[first + row] = np.int64(read4(heap, place[layout.NAME] + 4 * row))
        size = np.int64(heap[place[layout.SIZE] + row])
        if size == LONG:
            if longer == sizes[SIZES[layout.LONG_SIZE]]:
                return _NOT_FITTING
            size = np.int64(read4(heap, place[layout.LONG_SIZE] + 4 * longer))
            longer += 1
        text += size
        at[first + row + 1] = text
    whole = text - at[first]
    if whole != end - begin or longer != sizes[SIZES[layout.LONG_SIZE]]:
        return _NOT_FITTING
    for byte in range(whole):
        texts[at[first] + byte] = heap[begin + byte]
    return 0


@kernel
def _cells(  # noqa: PLR0912 - a branch a kind: what a cell leaves out differs
    heap: Bytes,
    place: Numbers,
    sizes: Numbers,
    name: Numbers,
    first_name: int,
    last_name: int,
    keys: Keys,
    values: Numbers,
    first: int,
    end: int,
) -> int:
    cell, base = first, -1
    used = np.zeros(9, np.int64)  # of each column whose entries not every cell has
    for row in range(sizes[SIZES[layout.SERIES]]):
        shape = np.int64(heap[place[layout.SHAPE] + row])
        series = np.int64(heap[place[layout.SERIES] + row]) | shape >> 6 << 8
        run = np.int64(heap[place[layout.RUN] + row])
        value_kind, start_kind, sub_kind = shape & 3, shape >> 2 & 3, shape >> 4 & 3
        if not _fits(sizes, used, run, value_kind, start_kind, sub_kind) or cell + run > end:
            return _NOT_FITTING
        for _ in range(run):
            number = np.uint64(heap[place[layout.VALUE] + cell - first])
            if value_kind >= 1:
                number |= read2(heap, place[layout.VALUE_SHORT] + 2 * used[0]) << np.uint64(8)
                used[0] += 1
            if value_kind >= 2:
                number |= read4(heap, place[layout.VALUE_WORD] + 4 * used[1]) << np.uint64(24)
                used[1] += 1
            if value_kind >= 3:
                number |= np.uint64(heap[place[layout.VALUE_TOP] + used[2]]) << np.uint64(56)
                used[2] += 1
            value = np.int64(number >> np.uint64(1)) ^ -np.int64(number & np.uint64(1))
            if base < 0:  # of the first cell, which is the newest event
                base = min(max(value // TILE_MS, 0), _LAST)
            sub = np.uint64(0)
            if sub_kind == 1:
                named = np.int64(heap[place[layout.SUB_PLACE] + used[3]])
                used[3] += 1
                if first_name + named >= last_name:
                    return _NAMELESS
                sub = np.uint64(name[first_name + named])
            elif sub_kind == 2:
                sub = read2(heap, place[layout.SUB_SHORT] + 2 * used[4])
                used[4] += 1
            elif sub_kind == 3:
                sub = read4(heap, place[layout.SUB] + 4 * used[5])
                used[5] += 1
            start = 0
            if start_kind == 1:
                start = (base // DAY - np.int64(heap[place[layout.START_DAY] + used[6]])) * DAY
                used[6] += 1
            elif start_kind == 2:
                start = base - np.int64(read2(heap, place[layout.START] + 2 * used[7]))
                used[7] += 1
            elif start_kind == 3:
                start = np.int64(read4(heap, place[layout.START_FAR] + 4 * used[8]))
                used[8] += 1
            keys[cell] = (np.uint64(series) << _SUBS | sub) << _STARTS | np.uint64(start)
            values[cell] = value
            cell += 1
    if cell != end or not _is_used_up(sizes, used):
        return _NOT_FITTING
    return 0


@kernel
def _fits(sizes: Numbers, used: Numbers, run: int, value_kind: int, start_kind: int, sub_kind: int) -> bool:
    """Whether the columns have enough left for a run of cells."""
    for at in range(len(_SOME)):
        column, least, kind = _SOME[at]
        asked = value_kind if at < 3 else sub_kind if at < 6 else start_kind
        takes = asked >= least if kind == 0 else asked == least
        if takes and used[at] + run > sizes[SIZES[column]]:
            return False
    return True


@kernel
def _is_used_up(sizes: Numbers, used: Numbers) -> bool:
    for at in range(len(_SOME)):  # noqa: SIM110 - numba knows no generators
        if used[at] != sizes[SIZES[_SOME[at, 0]]]:
            return False
    return True


@kernel
def _touches(
    heap: Bytes,
    place: Numbers,
    sizes: Numbers,
    name: Numbers,
    first_name: int,
    last_name: int,
    newest: int,
    first: int,
    time: Numbers,
    event: Numbers,
    sub: Numbers,
) -> int:
    high, by_place, by_sub = 0, 0, 0
    for row in range(sizes[SIZES[layout.TOUCH]]):
        code = np.int64(heap[place[layout.TOUCH] + row])
        age = np.int64(read4(heap, place[layout.TOUCH_AGE] + 4 * row))
        if code & OLD:
            if high == sizes[SIZES[layout.TOUCH_AGE_HIGH]]:
                return _NOT_FITTING
            age += np.int64(read2(heap, place[layout.TOUCH_AGE_HIGH] + 2 * high)) << 32
            high += 1
        if code & BY_PLACE:
            if by_place == sizes[SIZES[layout.TOUCH_PLACE]]:
                return _NOT_FITTING
            named = first_name + np.int64(heap[place[layout.TOUCH_PLACE] + by_place])
            by_place += 1
            if named >= last_name:
                return _NAMELESS
            sub[first + row] = name[named]
        else:
            if by_sub == sizes[SIZES[layout.TOUCH_SUB]]:
                return _NOT_FITTING
            sub[first + row] = np.int64(read4(heap, place[layout.TOUCH_SUB] + 4 * by_sub))
            by_sub += 1
        time[first + row] = newest - age
        event[first + row] = code & EVENT
    used_up = by_place == sizes[SIZES[layout.TOUCH_PLACE]] and by_sub == sizes[SIZES[layout.TOUCH_SUB]]
    return 0 if used_up and high == sizes[SIZES[layout.TOUCH_AGE_HIGH]] else _NOT_FITTING
