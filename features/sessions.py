"""Sessions, read from half-hour tiles: one ends where the next event comes 30 minutes later or more."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.cells import Cells, start_of
from features.windows import TILE_MS, Ints

GAP_MS = 30 * 60_000


class Running(NamedTuple):
    """The session that goes on at each of n moments, from its first to its newest event, ms UTC; -1: there is none."""

    begin: Ints
    end: Ints


def running(first: Cells, last: Cells, now: Ints) -> Running:
    """(n,) the running session of each state, of tiles that say the first and the last moment in each half-hour."""
    found = _Sessions.of(first, last)
    begin, end = np.full(first.n, -1, np.int64), np.full(first.n, -1, np.int64)
    newest = np.flatnonzero(np.append(found.owner[1:] != found.owner[:-1], True)) if len(found.owner) else found.owner
    newest = newest[now[found.owner[newest]] - found.end[newest] < GAP_MS]
    begin[found.owner[newest]], end[found.owner[newest]] = found.begin[newest], found.end[newest]
    return Running(begin, end)


def number(first: Cells, last: Cells) -> Ints:
    """(n,) how many sessions."""
    return np.bincount(_Sessions.of(first, last).owner, minlength=first.n)


def mean_duration(first: Cells, last: Cells) -> npt.NDArray[np.float64]:
    """(n,) the mean time from a session's first to its last event, ms; 0 where there is none."""
    found = _Sessions.of(first, last)
    lengths = np.bincount(found.owner, weights=found.end - found.begin, minlength=first.n)
    return lengths / np.maximum(np.bincount(found.owner, minlength=first.n), 1)


class _Sessions(NamedTuple):
    owner: Ints
    begin: Ints
    end: Ints

    @classmethod
    def of(cls, first: Cells, last: Cells) -> "_Sessions":
        owner = first.owner()
        begins, ends = (cells.value + start_of(cells.key) * TILE_MS for cells in (first, last))
        opens = np.ones(len(owner), np.bool_)
        opens[1:] = (owner[1:] != owner[:-1]) | (begins[1:] - ends[:-1] >= GAP_MS)
        closes = np.append(opens[1:], True) if len(opens) else opens
        return cls(owner[opens], begins[opens], ends[closes])
