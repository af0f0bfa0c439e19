"""The sessions most like a history, and what they say comes next: inverted lists over the events of all sessions.

Everything works on a block of histories at once, as flat arrays of (history, session, event); nothing is as large as
histories times sessions.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.arrays import Csr, Float32, Int32, Int64
from models.histories import Histories

Float64 = NDArray[np.float64]
READ = 200  # newest events of a history that are asked with


@dataclass(frozen=True)
class Likeness:
    """How sessions are compared, and what of them counts.

    A match is an item that the history and the session share. `neighbours`: sessions heard; `postings`: newest sessions
    of an item that are looked at. Powers to divide by: `asked_decay` of an asked event's lag, `anchor` of the newest
    match's lag, `length` of the session's length, `damping` of a candidate's frequency. `idf`: power of the inverse
    frequency of a match. `distance_decay`: e-folding, in events, of a candidate by its distance from the newest match;
    `backward`: what one before the match is worth, `repeated`: the match itself. `asked_worth` and `candidate_worth`:
    powers of the events' weights. `age_decay`: e-foldings by age over the whole window of the data.
    """

    neighbours: int = 500
    postings: int = 5000
    asked_decay: float = 1.0
    anchor: float = 0.3
    length: float = 0.15
    damping: float = 0.1
    idf: float = 1.5
    distance_decay: float = 2.0
    backward: float = 0.5
    repeated: float = 1.0
    asked_worth: float = 0.5
    candidate_worth: float = 0.25
    age_decay: float = 0.5


@dataclass(frozen=True)
class Asked:
    """The different items of some histories: `row` of the history, `item`, `lag` from its newest event, `weight`.

    `place` is where in the histories' events each was taken from; `times` (histories,) ms UTC of the newest event.
    """

    row: Int64
    item: Int64
    lag: Int64
    weight: Float64
    place: Int64
    times: Int64 | None


@dataclass(frozen=True)
class Matches:
    """Neighbours by history, then by session: `row` of the history, `session`, `likeness`, and `anchor`, the session's
    event with the newest item that both have.
    """

    row: Int64
    session: Int64
    likeness: Float64
    anchor: Int64


@dataclass(frozen=True)
class Sessions:
    """The sessions to compare with, oldest event first; `times` (sessions,) ms UTC of their newest events, or (0,).

    Where not `ordered`, places within a session mean nothing, and only what it holds counts.
    """

    indptr: Int64
    items: Int32
    worth: Float32
    times: Int64
    n_items: int
    ordered: bool

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @cached_property
    def session_of(self) -> Int32:
        """(m,) int32 session of each event."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.indptr))

    @cached_property
    def postings(self) -> Int64:
        """The newest event of each pair of item and session, by item, then by session."""
        keys = self.items.astype(np.int64) * max(len(self), 1) + self.session_of
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        newest: Int64 = order[np.append(keys[1:] != keys[:-1], True)[: len(keys)]]
        return newest

    @cached_property
    def frequency(self) -> Int64:
        """(n_items,) int64 in how many sessions each item is."""
        return np.bincount(self.items[self.postings], minlength=self.n_items)

    @cached_property
    def ends(self) -> Int64:
        """(n_items,) int64 where each item's postings end."""
        return np.cumsum(self.frequency)

    @cached_property
    def sizes(self) -> Int64:
        """(sessions,) int64 different items of each."""
        return np.bincount(self.session_of[self.postings], minlength=len(self))

    def asked(self, histories: Histories, likeness: Likeness) -> Asked:
        """What counts of the histories: each item once, at its newest place; only items that some session has."""
        rows, places = histories.rows_of, np.arange(len(histories.items))
        lags = _lags(histories) if self.ordered and histories.ordered else np.zeros(len(places), dtype=np.int64)
        order = np.lexsort((-places, histories.items, rows))
        items = histories.items[order].astype(np.int64)
        keys = rows[order] * self.n_items + items
        first = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
        kept = order[first & (lags[order] < READ) & (self.frequency[items] > 0)]
        items = histories.items[kept].astype(np.int64)
        weight = histories.weights[kept].astype(np.float64) ** likeness.asked_worth
        weight *= np.log((len(self) + 1) / self.frequency[items] + 1) ** likeness.idf
        weight /= (1.0 + lags[kept]) ** likeness.asked_decay
        return Asked(rows[kept], items, lags[kept], weight, places[kept], _newest(histories))

    def matches(self, asked: Asked, likeness: Likeness) -> Matches:
        """The most similar sessions of each history, ties by session."""
        source, events = self._events(asked, likeness)
        row, session = asked.row[source], self.session_of[events].astype(np.int64)
        order = np.argsort((row * max(len(self), 1) + session) * READ + asked.lag[source], kind="stable")
        row, session = row[order], session[order]
        first = np.flatnonzero(np.append(True, (row[1:] != row[:-1]) | (session[1:] != session[:-1]))[: len(row)])
        if not len(first):
            return Matches(row, session, np.zeros(0), events)
        value = np.add.reduceat(asked.weight[source[order]], first)
        row, session, newest = row[first], session[first], order[first]
        value *= self._recency(asked, row, session, likeness) / self.sizes[session] ** likeness.length
        value /= (1.0 + asked.lag[source[newest]]) ** likeness.anchor
        best = largest(row, value, likeness.neighbours)
        return Matches(row[best], session[best], value[best], events[newest[best]])

    def votes(self, found: Matches, likeness: Likeness, rows: int) -> Csr:
        """(rows, n_items) csr float32: each item gets the likeness of the neighbours that have it."""
        counts = np.diff(self.indptr)[found.session]
        events = spans(self.indptr[found.session], counts)
        value = np.repeat(found.likeness, counts) * self._near(events - np.repeat(found.anchor, counts), likeness)
        items = self.items[events]
        value *= self._candidate[items] ** -likeness.damping * self.worth[events] ** likeness.candidate_worth
        kept = value > 0
        shape = (rows, self.n_items)
        votes = csr_matrix((value[kept], (np.repeat(found.row, counts)[kept], items[kept])), shape=shape)
        votes.sum_duplicates()
        return votes.astype(np.float32)

    def shares(self, asked: Asked, found: Matches, likeness: Likeness) -> Csr:
        """(asked, neighbours) csr: the part of a neighbour's likeness that an asked item makes; for one history."""
        source, events = self._events(asked, likeness)
        session = self.session_of[events]
        place = np.minimum(np.searchsorted(found.session, session), max(len(found.session) - 1, 0))
        kept = np.flatnonzero(found.session[place] == session) if len(found.session) else np.zeros(0, dtype=np.int64)
        value = asked.weight[source[kept]]
        whole = np.bincount(place[kept], value, minlength=len(found.session))
        shape = (len(asked.item), len(found.session))
        return csr_matrix((value / whole[place[kept]], (source[kept], place[kept])), shape=shape)

    @cached_property
    def _window(self) -> tuple[int, int]:
        return int(self.times.min()), int(self.times.max())

    @cached_property
    def _candidate(self) -> Float64:
        return (self.frequency + 1.0).astype(np.float64)

    def _events(self, asked: Asked, likeness: Likeness) -> tuple[Int64, Int64]:
        """The postings of what is asked: the index into `asked`, and the session's event."""
        counts = np.minimum(self.frequency[asked.item], likeness.postings)
        events = self.postings[spans(self.ends[asked.item] - counts, counts)]
        return np.repeat(np.arange(len(asked.item)), counts), events

    def _recency(self, asked: Asked, row: Int64, session: Int64, likeness: Likeness) -> Float64:
        """What a session counts by how far it is from the history in time, of the whole window of sessions."""
        if not len(self.times):
            return np.ones(len(session))
        since, until = self._window
        now = until if asked.times is None else asked.times[row]
        age = np.minimum(np.abs(now - self.times[session]) / max(1, until - since), 1.0)
        return np.asarray(np.exp(-likeness.age_decay * age))

    def _near(self, distance: Int64, likeness: Likeness) -> Float64:
        """What a candidate is worth at its distance (events) from the match."""
        if not self.ordered:
            return np.where(distance == 0, likeness.repeated, 1.0)
        near = np.exp((1.0 - np.abs(distance)) / likeness.distance_decay)
        near[distance < 0] *= likeness.backward
        near[distance == 0] = likeness.repeated
        return near


def _newest(histories: Histories) -> Int64 | None:
    if histories.times is None:
        return None
    newest = np.zeros(len(histories), dtype=np.int64)
    some = histories.counts > 0
    newest[some] = histories.times[histories.indptr[1:][some] - 1]
    return newest


def _lags(histories: Histories) -> Int64:
    """(m,) int64 how many runs each event is from the newest of its history."""
    run = runs(histories)
    lags: Int64 = run[histories.indptr[1:][histories.rows_of] - 1] - run
    return lags


def runs(histories: Histories) -> Int64:
    """(m,) int64 number of the run of each event: the same item again and again is one step, not several."""
    new = np.ones(len(histories.items), dtype=np.bool_)
    new[1:] = histories.items[1:] != histories.items[:-1]
    new[histories.indptr[:-1][histories.counts > 0]] = True
    return np.cumsum(new)


def collapsed(histories: Histories) -> Histories:
    """Each run as one event, as new as its newest, worth as much as its most."""
    run = runs(histories)
    first = np.flatnonzero(np.append(True, run[1:] != run[:-1])[: len(run)])
    last = np.append(first[1:], len(run))[: len(first)] - 1
    worth = np.maximum.reduceat(histories.weights, first) if len(first) else histories.weights
    indptr = np.searchsorted(last, histories.indptr)
    times = None if histories.times is None else histories.times[last]
    return Histories(indptr, histories.items[last], worth, histories.n_items, times, histories.ordered)


def spans(starts: "NDArray[Any]", counts: "NDArray[Any]") -> Int64:
    """The numbers from each start on, as many as its count, one span after the other."""
    offsets = np.cumsum(counts) - counts
    numbers: Int64 = np.arange(int(counts.sum())) + np.repeat(starts - offsets, counts)
    return numbers


def largest(row: Int64, value: "NDArray[Any]", count: int) -> Int64:
    """Indices of the `count` largest values of each row, by row, ties in the order given; `row` ascends."""
    counts = np.bincount(row) if len(row) else np.zeros(0, dtype=np.int64)
    if not len(row) or counts.max() <= count:
        return np.arange(len(row))
    order = np.lexsort((-value, row))
    rank = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(order[rank < count])
