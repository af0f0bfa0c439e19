"""Reads of series by key, of sketches, touches and sessions: a value, a text or a dictionary for each state."""

from typing import Any

import numpy as np
import numpy.typing as npt

from features import sessions
from features.aging import SKETCH
from features.cells import select, start_of, sub_of_key
from features.checks import CALENDAR
from features.contributions import SUB_BITS, middle
from features.feature import Feature
from features.moments import Column, Moment, cells_of, hour_of_week, keyed, objects
from features.states import TOUCHING, owners
from features.windows import DAY, TILE_MS


def by_key(at: Moment, feature: Feature) -> Column:
    """A dictionary per state, by key."""
    ((series, window),) = at.table.plans[feature.name]
    found = keyed(at, series, window)
    value: npt.NDArray[Any] = found.value
    if feature.kind == "decayed":
        age = at.now[found.owner] // TILE_MS // DAY - found.start // DAY
        value = value * 0.5 ** (age / feature.argument)
    sums: list[dict[Any, Any]] = [{} for _ in range(at.states.n)]
    text = at.reader(feature.by)
    subs = hour_of_week(found.start) if feature.by in CALENDAR else found.sub
    for owner, sub, amount in zip(found.owner.tolist(), subs.tolist(), value.tolist(), strict=True):
        key = text(owner, sub)
        sums[owner][key] = sums[owner].get(key, 0) + amount
    return objects([dict(sorted(each.items())) for each in sums])


def top(at: Moment, feature: Feature) -> Column:
    """The key of the largest sum."""
    sums = by_key(at, feature).values
    return objects([max(sorted(each), key=each.__getitem__, default=None) for each in sums])


def share(at: Moment, feature: Feature) -> Column:
    """The part of some keys."""
    sums = by_key(at, feature).values
    whole = np.array([sum(each.values()) for each in sums], np.float64)
    part = np.array([sum(each.get(key, 0) for key in feature.keys) for each in sums], np.float64)
    return Column(part / np.where(whole > 0, whole, 1), whole > 0)


def last(at: Moment, feature: Feature) -> Column:
    """The key of the newest time."""
    cells = cells_of(at, at.table.plans[feature.name][0][0])
    owner = cells.owner()
    order = np.lexsort((cells.key, cells.value, owner))
    newest = order[np.flatnonzero(np.diff(owner, append=-1))] if len(owner) else order
    text = at.reader(feature.by)
    values: list[str | None] = [None] * at.states.n
    for row in newest.tolist():
        values[owner[row]] = text(int(owner[row]), int(sub_of_key(cells.key[row : row + 1])[0]))
    return objects(values)


def distinct(at: Moment, feature: Feature) -> Column:
    """Of a full sketch, how thick its hashes lie says how many there are; a window's part of them is a sample."""
    (series, _), (_, window) = at.table.plans[feature.name]
    cells = cells_of(at, series)
    owner, n = cells.owner(), at.states.n
    inside = cells.value >= window.start(at.now)[owner]
    found = np.bincount(owner[inside], minlength=n)
    full = np.diff(cells.ends) > SKETCH
    largest = sub_of_key(cells.key[cells.ends[1:][full] - 1])
    found[full] = np.rint(found[full] * SKETCH / (SKETCH + 1) * 2**SUB_BITS / largest).astype(np.int64)
    return Column(found, np.ones(n, np.bool_))


def quantile(at: Moment, feature: Feature) -> Column:
    """The middle of the bin that a quantile lies in."""
    ((series, window),) = at.table.plans[feature.name]
    found = keyed(at, series, window)
    order = np.lexsort((found.sub, found.owner))
    owner, value = found.owner[order], found.value[order]
    whole = np.bincount(owner, weights=value, minlength=at.states.n)
    before = np.cumsum(whole) - whole
    reached = np.cumsum(value) - before[owner] >= feature.argument * whole[owner]
    first = np.flatnonzero(reached & np.concatenate(([True], ~reached[:-1] | (owner[1:] != owner[:-1]))))
    values = np.zeros(at.states.n)
    values[owner[first]] = middle(found.sub[order][first])
    return Column(values, whole > 0)


def recent(at: Moment, feature: Feature) -> Column:
    """The newest touches of some events."""
    touches = at.states.touches
    text = at.reader("item")
    wanted = [TOUCHING.index(name) for name in feature.events if name in TOUCHING]
    mine = np.isin(touches.event, wanted)
    rows: list[list[tuple[int, str, str]]] = [[] for _ in range(at.states.n)]
    who = owners(touches.ends)[mine].tolist()
    for owner, time, event, sub in zip(
        who, touches.time[mine].tolist(), touches.event[mine].tolist(), touches.sub[mine].tolist(), strict=True
    ):
        if len(rows[owner]) < feature.argument:
            rows[owner].append((time, text(owner, sub), TOUCHING[event]))
    return objects(rows)


def session(at: Moment, feature: Feature) -> Column:
    """A read of sessions."""
    (first, window), (last, _), *counted = at.table.plans[feature.name]
    start = window.start(at.now)
    tiles = [cells_of(at, series) for series in (first, last)]
    opened, closed = (select(cells, start_of(cells.key) >= start[cells.owner()]) for cells in tiles)
    every = np.ones(at.states.n, np.bool_)
    if feature.of == "sessions":
        return Column(sessions.number(opened, closed), every)
    if feature.of == "mean duration":
        return Column(sessions.mean_duration(opened, closed), every)
    running = sessions.running(opened, closed, at.now)
    if feature.of == "duration":
        return Column(running.end - running.begin, every)
    cells = cells_of(at, counted[0][0])
    owner = cells.owner()
    begin = running.begin[owner]  # no tile of 5 minutes holds events of two sessions
    inside = (begin >= 0) & (start_of(cells.key) >= begin // TILE_MS)
    return Column(np.bincount(owner[inside], cells.value[inside], at.states.n).astype(np.int64), every)
