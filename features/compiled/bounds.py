"""No series of a state keeps more keys than its bound: what `features.aging` says, compiled."""

from heapq import heappush, heappushpop

import numpy as np

from features.cells import Cells, select
from features.columns import Bools, Numbers
from features.compiled.kernel import kernel
from features.contributions import START_BITS, SUB_BITS, Keys

_SERIES = np.uint64(SUB_BITS + START_BITS)
_START = np.uint64(START_BITS)
_STARTS = np.uint64(2**START_BITS - 1)


def bounded(cells: Cells, full: Bools, bounds: Numbers) -> tuple[Cells, Bools]:
    """The cells that stay, and (n,) which states let some go.

    Args:    full: (n,) the states to look at; bounds: (series,) how many keys each keeps.
    """
    keep = np.ones(len(cells.key), np.bool_)
    _sample(cells.ends, cells.key, full, bounds, keep)
    fewer = select(cells, keep)
    return fewer, np.diff(fewer.ends) < np.diff(cells.ends)


@kernel
def _sample(ends: Numbers, key: Keys, full: Bools, bounds: Numbers, keep: Bools) -> None:
    """What `features.aging.bounded` keeps of the states that are full."""
    for state in range(len(ends) - 1):
        begin = ends[state]
        while full[state] and begin < ends[state + 1]:
            end, keys = begin + 1, 1
            while end < ends[state + 1] and key[end] >> _SERIES == key[begin] >> _SERIES:
                keys += key[end] >> _START != key[end - 1] >> _START
                end += 1
            bound = bounds[np.int64(key[begin] >> _SERIES)]
            if keys > bound:
                _largest_sample(key, begin, end, bound, keep)
            begin = end


@kernel
def _largest_sample(key: Keys, begin: int, end: int, bound: int, keep: Bools) -> None:
    newest = [np.int64(0) for _ in range(0)]  # the newest tiles of the keys before, the largest `bound` of them
    while begin < end:
        stop = begin + 1
        while stop < end and key[stop] >> _START == key[begin] >> _START:
            stop += 1
        last = np.int64(key[stop - 1] & _STARTS)
        if len(newest) < bound:
            heappush(newest, last)
        else:
            for row in range(begin, stop):
                keep[row] = np.int64(key[row] & _STARTS) > newest[0]
            heappushpop(newest, last)
        begin = stop


@kernel
def is_full(key: Keys, begin: int, end: int, bounds: Numbers) -> bool:
    """Whether a series has more keys than it may keep."""
    count = 0
    for row in range(begin, end):
        if row == begin or key[row] >> _SERIES != key[row - 1] >> _SERIES:
            count = 1
        elif key[row] >> _START != key[row - 1] >> _START:
            count += 1
        if count > bounds[np.int64(key[row] >> _SERIES)]:
            return True
    return False
