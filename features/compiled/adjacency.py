"""Views that follow each other in the newest touches of customers: which came and which went, found by kernels."""

from typing import NamedTuple

import numpy as np

from features.columns import Numbers
from features.compiled.kernel import kernel, place_of
from features.compiled.touches import inserted
from features.states import RECENT, TOUCHING, Names, Touches
from features.windows import SESSION, TILE_MS

_VIEW = TOUCHING.index("Product Viewed")
_GAP = SESSION * TILE_MS
_MOST = 4  # changes of one touch: it parts two views, stands by both, and another touch makes room for it


class Changes(NamedTuple):
    """By whom, when (the later view's time), which items (their subs, the later one first), and 1 or -1."""

    owner: Numbers
    time: Numbers
    later: Numbers
    earlier: Numbers
    sign: Numbers


def changes_of_states(old: Touches, new: Touches) -> Changes:
    """What the touches of n states say more than they did, and no longer; the owner is the state."""
    found = _room(int(np.count_nonzero(old.event == _VIEW) + np.count_nonzero(new.event == _VIEW)))
    n = _of_states(old, new, found)
    return Changes(*(column[:n] for column in found))


def changes_of_touches(ends: Numbers, time: Numbers, event: Numbers, sub: Numbers) -> Changes:
    """The same of touches that come one by one; the owner is the row of the one that changed something.

    Args:    ends: (customers + 1,) where the touches of each begin, in the order in which they came.
    """
    found = _room(_MOST * len(time))
    n = _of_touches(ends, time, event, sub, found)
    return Changes(*(column[:n] for column in found))


def named(found: Changes, old: Names, new: Names) -> Numbers:
    """(n, 2) where the texts of both items are, the later one first; those of old states come after all new ones."""
    names = np.empty((len(found.owner), 2), np.int64)
    _name(found, old.ends, old.sub, new.ends, new.sub, names)
    return names


def _room(most: int) -> Changes:
    return Changes(*(np.empty(most, np.int64) for _ in Changes._fields))


@kernel
def _of_states(old: Touches, new: Touches, found: Changes) -> int:
    count = 0
    for state in range(len(new.ends) - 1):
        count = _differ(
            old.time, old.event, old.sub, old.ends[state], old.ends[state + 1],
            new.time, new.event, new.sub, new.ends[state], new.ends[state + 1],
            state, found, count,
        )  # fmt: skip
    return count


@kernel
def _of_touches(ends: Numbers, time: Numbers, event: Numbers, sub: Numbers, found: Changes) -> int:
    old_time, old_event, old_sub = np.empty(RECENT, np.int64), np.empty(RECENT, np.int64), np.empty(RECENT, np.int64)
    new_time, new_event, new_sub = np.empty(RECENT, np.int64), np.empty(RECENT, np.int64), np.empty(RECENT, np.int64)
    count = 0
    for whose in range(len(ends) - 1):
        size = 0
        for row in range(ends[whose], ends[whose + 1]):
            for at in range(size):
                old_time[at], old_event[at], old_sub[at] = new_time[at], new_event[at], new_sub[at]
            before = size
            size = inserted(new_time, new_event, new_sub, 0, size, time[row], event[row], sub[row])
            count = _differ(
                old_time, old_event, old_sub, 0, before, new_time, new_event, new_sub, 0, size, row, found, count
            )
    return count


@kernel
def _differ(
    old_time: Numbers,
    old_event: Numbers,
    old_sub: Numbers,
    old_row: int,
    old_end: int,
    new_time: Numbers,
    new_event: Numbers,
    new_sub: Numbers,
    new_row: int,
    new_end: int,
    owner: int,
    found: Changes,
    count: int,
) -> int:
    """Pairs of views of both, newest first, held against each other; returns how many changes there are now."""
    old_row, old_next = _pair(old_time, old_event, old_sub, old_row, old_end)
    new_row, new_next = _pair(new_time, new_event, new_sub, new_row, new_end)
    while old_row < old_end or new_row < new_end:
        gone, came = old_row < old_end, new_row < new_end
        if gone and came:
            time, sub = old_time[old_row] - new_time[new_row], old_sub[old_row] - new_sub[new_row]
            if time == 0 and sub == 0:
                if old_time[old_next] == new_time[new_next] and old_sub[old_next] == new_sub[new_next]:
                    old_row, old_next = _pair(old_time, old_event, old_sub, old_next, old_end)
                    new_row, new_next = _pair(new_time, new_event, new_sub, new_next, new_end)
                    continue
            else:
                gone = time > 0 or (time == 0 and sub < 0)
                came = not gone
        if gone:
            _tell(found, count, owner, old_time[old_row], old_sub[old_row], old_sub[old_next], -1)
            count += 1
            old_row, old_next = _pair(old_time, old_event, old_sub, old_next, old_end)
        if came:
            _tell(found, count, owner, new_time[new_row], new_sub[new_row], new_sub[new_next], 1)
            count += 1
            new_row, new_next = _pair(new_time, new_event, new_sub, new_next, new_end)
    return count


@kernel
def _pair(time: Numbers, event: Numbers, sub: Numbers, row: int, end: int) -> tuple[int, int]:
    """The next view with the one before it, where that is of another item and within a session; else the end."""
    while row < end and event[row] != _VIEW:
        row += 1
    while row < end:
        before = row + 1
        while before < end and event[before] != _VIEW:
            before += 1
        if before < end and sub[before] != sub[row] and time[row] - time[before] < _GAP:
            return row, before
        row = before
    return end, end


@kernel
def _tell(found: Changes, at: int, owner: int, time: int, later: int, earlier: int, sign: int) -> None:
    found.owner[at], found.time[at], found.sign[at] = owner, time, sign
    found.later[at], found.earlier[at] = later, earlier


@kernel
def _name(
    found: Changes, old_ends: Numbers, old_sub: Numbers, new_ends: Numbers, new_sub: Numbers, names: Numbers
) -> None:
    for at in range(len(found.owner)):
        owner = found.owner[at]
        for side in range(2):
            sub = found.earlier[at] if side else found.later[at]
            if found.sign[at] > 0:
                names[at, side] = place_of(new_sub, new_ends[owner], new_ends[owner + 1], sub)
            else:
                names[at, side] = len(new_sub) + place_of(old_sub, old_ends[owner], old_ends[owner + 1], sub)
