"""Cells: the integers that a state is made of, and the one merge that folds events, joins identities and rebuilds.

Everything here is commutative, associative and idempotent where it has to be, so neither the order of events nor where
one batch ends and the next begins can be seen in a state.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.aging import aged_keys, bounded, hours
from features.contributions import START_BITS, SUB_BITS, Bools, Deltas, Keys
from features.table import Table
from features.windows import Ints

_START = np.uint64(2**START_BITS - 1)
_SERIES = np.uint64(SUB_BITS + START_BITS)
_SUB = np.uint64(2**SUB_BITS - 1)
_LOW_BITS = 53  # of a key, as many as a float holds
_LOW = np.uint64(2**_LOW_BITS - 1)
_OWNER_BITS = np.int64(64 - _LOW_BITS)


class Cells(NamedTuple):
    """Cells of n states: those of state i are rows ends[i] to ends[i + 1], by key."""

    ends: Ints  # (n + 1,)
    key: Keys  # (N,)
    value: Ints  # (N,)

    @property
    def n(self) -> int:
        """How many states."""
        return len(self.ends) - 1

    def owner(self) -> Ints:
        """(N,) the state of each cell."""
        return np.repeat(np.arange(self.n), np.diff(self.ends))


def no_cells(n: int) -> Cells:
    """n empty states."""
    return Cells(np.zeros(n + 1, np.int64), np.empty(0, np.uint64), np.empty(0, np.int64))


def series_of(key: Keys) -> Ints:
    """Number of the series of each cell."""
    return (key >> _SERIES).view(np.int64)


def sub_of_key(key: Keys) -> Ints:
    """What each cell is keyed by inside its series."""
    return ((key >> np.uint64(START_BITS)) & _SUB).view(np.int64)


def start_of(key: Keys) -> Ints:
    """First tile of each cell."""
    return (key & _START).view(np.int64)


def newest_of(cells: Cells) -> Ints:
    """(n,) time of each state's newest event, ms UTC; -1 for an empty one. It is the first cell, of series 0."""
    newest = np.full(cells.n, -1, np.int64)
    there = np.flatnonzero(np.diff(cells.ends) > 0)
    newest[there] = cells.value[cells.ends[there]]
    return newest


def merge(table: Table, old: Cells, deltas: Deltas) -> tuple[Cells, Bools]:
    """The states with more cells in them, and (n,) which of them let cells go.

    Cells that meet are summed, or the smaller or larger is kept, as their series says; tiles that no window can tell
    apart any more, now that a newer event is there, become coarser or go.
    """
    lost = np.zeros(old.n, np.bool_)
    if not len(deltas.key):
        return old, lost
    before = newest_of(old)
    newest = before.copy()
    first = deltas.key < np.uint64(1) << _SERIES
    np.maximum.at(newest, deltas.owner[first], deltas.value[first])
    kept = _aged(table, old, (hours(newest) != hours(before)) & (before >= 0), newest, lost)
    key, keep = aged_keys(table, deltas.key, deltas.owner, newest)
    if not keep.all():
        lost[deltas.owner[~keep]] = True
    present = Deltas(deltas.owner[keep], key[keep], deltas.value[keep])
    placed = _placed(table, kept, _reduced(table, _ordered(present)))
    keep = bounded(table, placed.ends, placed.key)
    if keep.all():
        return placed, lost
    cells = select(placed, keep)
    return cells, lost | (np.diff(cells.ends) < np.diff(placed.ends))


def join(table: Table, cells: Cells, group: Ints, n: int) -> Cells:
    """Several states as one, as for the raw ids of one customer.

    Args:    group: (cells.n,) index of the state that each becomes part of, of n.
    """
    return merge(table, no_cells(n), Deltas(group[cells.owner()], cells.key, cells.value))[0]


def find(cells: Cells, owner: Ints, key: Keys) -> tuple[Ints, Bools]:
    """Where each (owner, key) is among the cells or belongs, and whether it is there."""
    if not len(cells.key):
        return np.zeros(len(key), np.int64), np.zeros(len(key), np.bool_)
    if cells.n == 1:
        at = np.searchsorted(cells.key, key)
    else:
        at = np.searchsorted(_ranks(cells.owner(), cells.key), _ranks(owner, key))
    found = cells.key[np.minimum(at, len(cells.key) - 1)] == key
    return at, found & (at < cells.ends[owner + 1])


def select(cells: Cells, keep: Bools) -> Cells:
    """Some of the cells, in as many states."""
    running = np.zeros(len(keep) + 1, np.int64)
    np.cumsum(keep, out=running[1:])
    return Cells(running[cells.ends], cells.key[keep], cells.value[keep])


def _ranks(owner: Ints, key: Keys) -> npt.NDArray[np.complex128]:
    """Owner and key as one number each: complex numbers sort by their real parts, then by the imaginary ones."""
    ranks = np.empty(len(key), np.complex128)
    ranks.real = owner << _OWNER_BITS | (key >> np.uint64(_LOW_BITS)).view(np.int64)
    ranks.imag = key & _LOW
    return ranks


def _ordered(deltas: Deltas) -> Deltas:
    """By owner and key."""
    if deltas.owner.max(initial=0) < 2**16:  # short numbers are sorted by their digits, much faster
        order = np.argsort(deltas.key)
        order = order[np.argsort(deltas.owner[order].astype(np.uint16), kind="stable")]
    else:
        order = np.lexsort((deltas.key, deltas.owner))
    return Deltas(deltas.owner[order], deltas.key[order], deltas.value[order])


def _reduced(table: Table, deltas: Deltas) -> Deltas:
    """Each owner and key once, of deltas in order."""
    owner, key, value = deltas
    new = np.ones(len(key), np.bool_)
    new[1:] = (owner[1:] != owner[:-1]) | (key[1:] != key[:-1])
    starts = np.flatnonzero(new)
    if len(starts) == len(key):
        return deltas
    op = table.ops[series_of(key[starts])]
    sums, least, most = (ufunc.reduceat(value, starts) for ufunc in (np.add, np.minimum, np.maximum))
    return Deltas(owner[starts], key[starts], np.where(op == 0, sums, np.where(op == 1, least, most)))


def _placed(table: Table, old: Cells, added: Deltas) -> Cells:
    """Old cells and reduced additions in one."""
    at, found = find(old, added.owner, added.key)
    value = old.value.copy()
    hit, plus = at[found], added.value[found]
    op, there = table.ops[series_of(added.key[found])], value[hit]
    value[hit] = np.where(op == 0, there + plus, np.where(op == 1, np.minimum(there, plus), np.maximum(there, plus)))
    new = ~found
    ends = old.ends.copy()
    ends[1:] += np.cumsum(np.bincount(added.owner[new], minlength=old.n))
    place = at[new] + np.arange(int(new.sum()))
    fresh = np.zeros(len(value) + len(place), np.bool_)
    fresh[place] = True
    keys, values = np.empty(len(fresh), np.uint64), np.empty(len(fresh), np.int64)
    keys[place], values[place] = added.key[new], added.value[new]
    stays = ~fresh
    keys[stays], values[stays] = old.key, value
    return Cells(ends, keys, values)


def _aged(table: Table, old: Cells, aged: Bools, newest: Ints, lost: Bools) -> Cells:
    """The cells as old as the states' newest events now say; `lost` becomes True where some went."""
    if not aged.any():
        return old
    owner = old.owner()
    look = np.flatnonzero(aged[owner])
    key, keep = aged_keys(table, old.key[look], owner[look], newest)
    if np.array_equal(key, old.key[look]) and keep.all():
        return old
    keys, keeps = old.key.copy(), np.ones(len(old.key), np.bool_)
    keys[look], keeps[look] = key, keep
    lost[owner[~keeps]] = True
    reduced = _reduced(table, Deltas(owner[keeps], keys[keeps], old.value[keeps]))
    ends = np.zeros(old.n + 1, np.int64)
    np.cumsum(np.bincount(reduced.owner, minlength=old.n), out=ends[1:])
    return Cells(ends, reduced.key, reduced.value)
