"""The fold: the states of customers are a function of their events, and of nothing else.

It never reads a clock, and all that it writes is commutative, so a late or out-of-order event counts as if it had come
in time. An event counts once per (raw id, messageId) within 24 hours of its arrival.
"""

from bisect import insort
from typing import NamedTuple

import numpy as np

from features.cells import merge
from features.columns import Events
from features.contributions import SUB_BITS, Bools, Keys, Reader, contribute
from features.states import (
    RECENT,
    TIME_BITS,
    Seen,
    States,
    add_names,
    add_touches,
    drop_names,
    ends_of,
    owners,
    touches_in,
)
from features.table import Table
from features.windows import Ints

SEEN = 1_024
SEEN_MS = 24 * 3_600_000


class Folded(NamedTuple):
    """The states after a batch, and which of its events counted: (n,) False is one that was counted before."""

    states: States
    counted: Bools


def fold(table: Table, states: States, events: Events, owner: Ints) -> Folded:
    """Take a batch of events, in the order of their log, into the states.

    Args:    owner: (n,) index of each event's state.
    """
    seen, counted = remember(states.seen, events.received, events.message, owner)
    known = counted & (events.name >= 0)
    if not known.all():
        events, owner = events.take(known), owner[known]
    return Folded(_added(table, states._replace(seen=seen), events, owner), counted)


def state_of(table: Table, states: States, events: Events, owner: Ints) -> States:
    """The same for events that are known to count, without remembering them: what a frame of the past is read from."""
    return _added(table, states, events, owner)


def remember(seen: Seen, received: Ints, message: Keys, owner: Ints) -> tuple[Seen, Bools]:
    """What has been seen after a batch, and which of its events are new.

    Only states where a message may have come twice, or where too many come, are looked at one event at a time.
    """
    n = len(seen.ends) - 1
    counted = np.ones(len(owner), np.bool_)
    slow = np.unique(owner[_suspects(seen, message, owner)])
    for state in slow:
        mine = np.flatnonzero(owner == state)
        counted[mine] = _one_by_one(seen, int(state), received[mine].tolist(), message[mine].tolist())
    newest = seen.newest.copy()
    np.maximum.at(newest, owner[counted], received[counted])
    who = np.concatenate((owners(seen.ends), owner[counted]))
    when = np.concatenate((seen.received, received[counted]))
    what = np.concatenate((seen.message, message[counted]))
    keep = when >= newest[who] - SEEN_MS
    who, when, what = who[keep], when[keep], what[keep]
    order = np.lexsort((what, who << TIME_BITS | when))
    who, when, what = who[order], when[order], what[order]
    ends = ends_of(who, n)
    if len(who) and np.diff(ends).max() > SEEN:
        keep = ends[who + 1] - np.arange(len(who)) <= SEEN
        who, when, what = who[keep], when[keep], what[keep]
        ends = ends_of(who, n)
    return Seen(ends, when, what, newest), counted


def _suspects(seen: Seen, message: Keys, owner: Ints) -> Bools:
    """Events of states that hold some hash twice, or could hold more than are kept; a false alarm only costs time."""
    salt = np.uint64(0x9E3779B97F4A7C15)
    mixed = np.concatenate((seen.message, message)) ^ (
        np.concatenate((owners(seen.ends), owner)).astype(np.uint64) * salt
    )
    ordered = np.sort(mixed)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    full = (np.diff(seen.ends) + np.bincount(owner, minlength=len(seen.ends) - 1))[owner] > SEEN
    return full | np.isin(mixed[len(seen.message) :], twice)


def _one_by_one(seen: Seen, state: int, received: list[int], message: list[int]) -> list[bool]:
    rows = slice(seen.ends[state], seen.ends[state + 1])
    ring = list(zip(seen.received[rows].tolist(), seen.message[rows].tolist(), strict=True))
    times: dict[int, list[int]] = {}
    for when, one in ring:
        times.setdefault(one, []).append(when)
    newest = int(seen.newest[state])
    counted = []
    for at, identity in zip(received, message, strict=True):
        new = all(abs(at - when) > SEEN_MS for when in times.get(identity, ()))
        counted.append(new)
        if new:
            newest = max(newest, at)
            insort(ring, (at, identity))
            times.setdefault(identity, []).append(at)
            while len(ring) > SEEN or ring[0][0] < newest - SEEN_MS:
                when, one = ring.pop(0)
                times[one].remove(when)
    return counted


def _added(table: Table, states: States, events: Events, owner: Ints) -> States:
    if not events.n:
        return states
    read = Reader(events)
    deltas, called = contribute(table, read, owner)
    cells, lost = merge(table, states.cells, deltas)
    touched = touches_in(read, events)
    who = owner[touched.event]
    touches = add_touches(states.touches, who, events.time[touched.event], touched.name, touched.sub)
    lost |= np.diff(touches.ends) == RECENT  # it may have let touches go
    places = np.concatenate((called.place, who << SUB_BITS | touched.sub))
    names = add_names(states.names, places, read.texts, np.concatenate((called.code, touched.code)))
    return States(cells, touches, drop_names(table, names, cells, touches, lost), states.seen)
