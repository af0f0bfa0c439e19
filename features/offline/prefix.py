"""Plain sums over windows, of any number of moments at once: differences of running sums, exact with late events.

Of an entity's events, in the order of their times, those before a moment are a running sum. An event that became known
later than it happened is in that sum too early: such events are few, and are taken out and put back where they became
known by two more running sums. So each edge of a window costs one search in all events and two in the late ones.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from features.offline.ranges import Places, places
from features.reading import Column
from features.table import Need, Table, needs
from features.windows import ALL_TIME, TILE_MS, Ints, Window


class Ledger(NamedTuple):
    """What events add to sums: whose, when it happened, when it was known (ms UTC), and the amount by series."""

    entity: Ints
    time: Ints
    known: Ints
    amounts: dict[Need, Ints]


class _Edge(NamedTuple):
    """Where the events known at each moment end that lie before an edge of a window."""

    place: Ints  # in all events, by time
    late: Ints  # which events are late for this edge, by time
    happened: Ints  # in the late ones, by time
    order: Ints  # the late ones by when they were known
    known: Ints  # in the late ones, by that

    def sums(self, amount: Ints, running: Ints) -> Ints:
        """(n,) running sums at the edge, over all entities before as well.

        Args:    amount: of each event, by entity and time; running: their sums.
        """
        sums = running[self.place]
        if len(self.late):
            late = amount[self.late]
            sums = sums - _running(late)[self.happened] + _running(late[self.order])[self.known]
        return sums


def window_sums(
    ledger: Ledger, spans: set[tuple[Need, Window]], entity: Ints, as_of: Ints
) -> dict[tuple[Need, Window], Ints]:
    """(n,) int64 the sum of each series over each window, of what was known at each moment.

    Args:    entity, as_of: (n,) who is asked about and when, ms UTC; by entity, then moment.
    """
    if not len(ledger.entity):
        return {span: np.zeros(len(entity), np.int64) for span in spans}
    last = max(int(ledger.known.max()), int(ledger.time.max()))
    to = places(int(max(ledger.entity.max(), entity.max(initial=0))) + 1, int(ledger.time.min()), last)
    place = to.of(ledger.entity, ledger.time)
    order = np.argsort(place)
    edges = _Edges(ledger, order, to, place[order], entity, as_of)
    found: dict[tuple[Need, Window], Ints] = {}
    for need, amounts in ledger.amounts.items():
        windows = [window for each, window in spans if each == need]
        amount = amounts[order]
        running = _running(amount)
        sums = {edge: edges.at(edge).sums(amount, running) for edge in dict.fromkeys(_edges_of(windows))}
        for window in windows:
            low, high = _edges_of([window])
            found[need, window] = sums[high] - sums[low]
    return found


def _edges_of(windows: list[Window]) -> Iterator[tuple[Window, bool]]:
    """The start and the end of each window; the end of those that end now is the one of all time."""
    for window in windows:
        yield window, False
        yield (window if window.ago or window.months > 0 else ALL_TIME), True


class _Edges:
    """Finds each edge once."""

    def __init__(self, ledger: Ledger, order: Ints, to: Places, place: Ints, entity: Ints, as_of: Ints) -> None:
        self._to = to
        self._place = place
        self._entity = entity
        self._as_of = as_of
        self._late = np.flatnonzero((ledger.known > ledger.time)[order])
        late = order[self._late]
        self._late_time, self._late_known = ledger.time[late], ledger.known[late]
        self._late_known_at = to.of(ledger.entity[late], self._late_known)
        self._found: dict[tuple[Window, bool], _Edge] = {}

    def at(self, edge: tuple[Window, bool]) -> _Edge:
        if edge not in self._found:
            self._found[edge] = self._edge(*edge)
        return self._found[edge]

    def _edge(self, window: Window, end: bool) -> _Edge:
        none = np.empty(0, np.int64)
        if window == ALL_TIME and not end:
            first = np.searchsorted(self._place, self._to.of(self._entity, np.full(len(self._entity), -1)))
            return _Edge(first, none, none, none, none)
        before = _limit(window, end, self._as_of)
        # Late is what was before the edge at some moment when nobody knew it yet; the last such moment tells.
        is_late = self._late_time < _limit(window, end, self._late_known - 1)
        late = self._late[is_late]
        wanted = self._to.of(self._entity, before)
        place = np.searchsorted(self._place, wanted)
        if not len(late):
            return _Edge(place, none, none, none, none)
        known_at = self._late_known_at[is_late]
        order = np.argsort(known_at)
        now = self._to.of(self._entity, self._as_of + 1)
        return _Edge(
            place,
            late,
            np.searchsorted(self._place[late], wanted),
            order,
            np.searchsorted(known_at[order], now),
        )


def _limit(window: Window, end: bool, now: Ints) -> Ints:
    """(n,) events before this moment (ms UTC) are before the edge."""
    if window == ALL_TIME:
        return now + 1
    return (window.end(now) if end else window.start(now)) * TILE_MS


def _running(amount: Ints) -> Ints:
    sums = np.zeros(len(amount) + 1, np.int64)
    np.cumsum(amount, dtype=np.int64, out=sums[1:])
    return sums


def summed(table: Table, name: str) -> bool:
    """Whether a feature is a plain sum, a mean, or a ratio of such."""
    feature = table.features[name]
    if feature.kind == "ratio":
        return all(summed(table, part) for part in feature.parts)
    return feature.kind in {"sum", "mean"} and not feature.by


def spans_of(table: Table, names: list[str]) -> set[tuple[Need, Window]]:
    """The sums that features of that kind are read from."""
    found: set[tuple[Need, Window]] = set()
    for name in names:
        feature = table.features[name]
        found |= set(needs(feature)) | spans_of(table, list(feature.parts))
    return found


def read(table: Table, name: str, sums: dict[tuple[Need, Window], Ints]) -> Column:
    """A feature of that kind from its sums."""
    feature = table.features[name]
    if feature.kind == "ratio":
        part, whole = (read(table, each, sums) for each in feature.parts)
        there = part.there & whole.there & (whole.values != 0)
        return Column(part.values * feature.argument / np.where(there, whole.values, 1), there)
    total, *number = (sums[span] for span in needs(feature))
    if not number:
        return Column(total, np.ones(len(total), np.bool_))
    return Column(total / np.maximum(number[0], 1), number[0] > 0)
