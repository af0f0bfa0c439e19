"""States of customers, many at once, as columns: cells, newest touches, the names of keys, and the messages seen."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.cells import Cells, join, no_cells, series_of, sub_of_key
from features.columns import NAMES, Events
from features.contributions import SUB_BITS, Bools, Keys, Reader
from features.table import Table
from features.weights import WEIGHTS
from features.windows import Ints

RECENT = 100
TOUCHING: tuple[str, ...] = tuple(WEIGHTS)
TIME_BITS = 42  # of a ms UTC, until 2109
_LATEST = np.int64(2**TIME_BITS - 1)
_SUB = np.int64(2**SUB_BITS - 1)


class Touches(NamedTuple):
    """The newest touches of each state, newest first: time ms UTC, index into TOUCHING, sub of the item."""

    ends: Ints
    time: Ints
    event: Ints
    sub: Ints


class Names(NamedTuple):
    """The texts behind the subs of each state: text i is `heap[at[i]:at[i + 1]]`, UTF-8; by owner and sub."""

    ends: Ints
    sub: Ints
    at: Ints
    heap: npt.NDArray[np.uint8]


class Seen(NamedTuple):
    """The messages that each state reflects, of the 24 hours before `newest` (n,): when each came, and its hash."""

    ends: Ints
    received: Ints
    message: Keys
    newest: Ints


class States(NamedTuple):
    """n states. Their order is the caller's; equal states are equal column by column."""

    cells: Cells
    touches: Touches
    names: Names
    seen: Seen

    @property
    def n(self) -> int:
        """How many."""
        return self.cells.n


def no_states(n: int) -> States:
    """n states of customers never seen."""
    ends, none = np.zeros(n + 1, np.int64), np.empty(0, np.int64)
    return States(
        no_cells(n),
        Touches(ends, none, none, none),
        Names(ends, none, np.zeros(1, np.int64), np.empty(0, np.uint8)),
        Seen(ends, none, np.empty(0, np.uint64), np.zeros(n, np.int64)),
    )


def merged(table: Table, states: States, group: Ints, n: int) -> States:
    """Several states as one, as for the raw ids of one customer; the messages seen stay with the raw ids.

    Args:    group: (states.n,) index of the state that each becomes part of, of n.
    """
    touches = states.touches
    owner = group[owners(touches.ends)]
    empty = no_states(n)
    return States(
        join(table, states.cells, group, n),
        add_touches(empty.touches, owner, touches.time, touches.event, touches.sub),
        _regrouped(states.names, group, n),
        empty.seen,
    )


def owners(ends: Ints) -> Ints:
    """(N,) the state of each row."""
    return np.repeat(np.arange(len(ends) - 1), np.diff(ends))


def ends_of(owner: Ints, n: int) -> Ints:
    """(n + 1,) where each state's rows begin and end, of rows sorted by owner."""
    return np.concatenate(([0], np.cumsum(np.bincount(owner, minlength=n)))).astype(np.int64)


class Touched(NamedTuple):
    """The lines of a batch that tie a customer to an item: event, index into TOUCHING, sub and text of the item."""

    event: Ints
    name: Ints
    sub: Ints
    code: Ints


def touches_in(read: Reader, events: Events) -> Touched:
    """The lines that tie a customer to an item."""
    code = np.array([TOUCHING.index(name) if name in WEIGHTS else -1 for name in (*NAMES, "")], np.int64)
    found = code[events.name][events.line_of]
    line = np.flatnonzero(found >= 0)
    event = events.line_of[line].astype(np.int64)
    return Touched(event, found[line], read.subs("item")[line], read.codes("item")[line])


def add_touches(old: Touches, owner: Ints, time: Ints, event: Ints, sub: Ints) -> Touches:
    """The newest touches of old and new ones together, each of (time, event, item) once."""
    n = len(old.ends) - 1
    owner = np.concatenate((owners(old.ends), owner))
    time = np.concatenate((old.time, time))
    which = np.concatenate((old.event << SUB_BITS | old.sub, event << SUB_BITS | sub))
    first = owner << TIME_BITS | (_LATEST - time)
    order = np.lexsort((which, first))
    first, which = first[order], which[order]
    once = np.ones(len(order), np.bool_)
    once[1:] = (first[1:] != first[:-1]) | (which[1:] != which[:-1])
    first, which = first[once], which[once]
    owner = first >> TIME_BITS
    ends = ends_of(owner, n)
    newest = np.arange(len(owner)) - ends[owner] < RECENT
    owner, first, which = owner[newest], first[newest], which[newest]
    return Touches(ends_of(owner, n), _LATEST - (first & _LATEST), which >> SUB_BITS, which & (2**SUB_BITS - 1))


def add_names(old: Names, keys: Ints, texts: Sequence[str], code: Ints | None = None) -> Names:
    """The names with those that are new to their state.

    Args:    keys: owner and sub in one number; code: which of the texts each is called, by default those in order.
    """
    n = len(old.ends) - 1
    there = owners(old.ends) << SUB_BITS | old.sub
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    once = np.ones(len(keys), np.bool_)
    once[1:] = keys[1:] != keys[:-1]
    once &= (keys & _SUB) != 0
    keys, order = keys[once], order[once]
    at = np.searchsorted(there, keys)
    new = np.append(there, -1)[at] != keys
    if not new.any():
        return old
    encoded = [texts[index].encode() for index in (order if code is None else code[order])[new].tolist()]
    lengths = np.array([len(each) for each in encoded], np.int64)
    size = np.insert(np.diff(old.at), at[new], lengths)
    heap = np.concatenate((old.heap, np.frombuffer(b"".join(encoded), np.uint8)))
    begin = np.insert(old.at[:-1], at[new], len(old.heap) + np.cumsum(lengths) - lengths)
    keys = np.insert(there, at[new], keys[new])
    return Names(ends_of(keys >> SUB_BITS, n), keys & _SUB, *ragged(heap, begin, size))


def drop_names(table: Table, names: Names, cells: Cells, touches: Touches, lost: Bools) -> Names:
    """The names without those that nothing refers to any more, in states that lost a touch or a cell."""
    if not lost.any():
        return names
    owner = cells.owner()
    look = lost[owner] & table.named[series_of(cells.key)]
    used = np.concatenate(
        (owner[look] << SUB_BITS | sub_of_key(cells.key[look]), owners(touches.ends) << SUB_BITS | touches.sub)
    )
    owner = owners(names.ends)
    keep = ~lost[owner] | within(owner << SUB_BITS | names.sub, used)
    size = np.diff(names.at)[keep]
    return Names(
        ends_of(owner[keep], len(names.ends) - 1), names.sub[keep], *ragged(names.heap, names.at[:-1][keep], size)
    )


def ragged(heap: npt.NDArray[np.uint8], begin: Ints, size: Ints) -> tuple[Ints, npt.NDArray[np.uint8]]:
    """Pieces of a heap one after the other, and where each begins and ends there."""
    at = np.concatenate(([0], np.cumsum(size))).astype(np.int64)
    index = np.arange(at[-1]) + np.repeat(begin - at[:-1], size)
    return at, heap[index]


def within(values: Ints, pool: Ints) -> Bools:
    """Which values occur in the pool; `np.isin` hashes, which takes several times as long."""
    ordered = np.sort(pool)
    if not len(ordered):
        return np.zeros(len(values), np.bool_)
    found: Bools = ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values
    return found


def _regrouped(names: Names, group: Ints, n: int) -> Names:
    keys = group[owners(names.ends)] << SUB_BITS | names.sub
    keys, first = np.unique(keys, return_index=True)
    at, heap = ragged(names.heap, names.at[:-1][first], np.diff(names.at)[first])
    return Names(ends_of(keys >> SUB_BITS, n), keys & (2**SUB_BITS - 1), at, heap)
