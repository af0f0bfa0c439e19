"""Which messages are new: an event counts once within 24 hours, and a state remembers so many messages at most."""

import numpy as np

from features.columns import Bools, Numbers
from features.compiled.kernel import kernel
from features.contributions import Keys
from features.folds import SEEN, SEEN_MS
from features.states import Seen


def remember(seen: Seen, received: Numbers, message: Keys, order: Numbers, first: Numbers) -> tuple[Seen, Bools]:
    """What has been seen after a batch, and (n,) which of its events are new.

    Args:    order: the events by state, those of one in the order of their log; first: (states + 1,) where each begins.
    """
    size = len(seen.received) + len(order)
    ends, newest, counted = np.zeros(len(seen.ends), np.int64), seen.newest.copy(), np.zeros(len(order), np.bool_)
    when, what = np.empty(size, np.int64), np.empty(size, np.uint64)
    _remember(
        seen.ends, seen.received, seen.message, received, message, order, first, ends, when, what, newest, counted
    )
    return Seen(ends, when[: ends[-1]].copy(), what[: ends[-1]].copy(), newest), counted


@kernel
def _remember(
    old_ends: Numbers,
    old_when: Numbers,
    old_what: Keys,
    received: Numbers,
    message: Keys,
    order: Numbers,
    first: Numbers,
    ends: Numbers,
    when: Numbers,
    what: Keys,
    newest: Numbers,
    counted: Bools,
) -> None:
    base = 0
    for state in range(len(ends) - 1):
        low, high = base, base
        for row in range(old_ends[state], old_ends[state + 1]):
            when[high], what[high] = old_when[row], old_what[row]
            high += 1
        for place in range(first[state], first[state + 1]):
            event = order[place]
            at, one = received[event], message[event]
            if _is_known(when, what, low, high, at, one):
                continue
            counted[event] = True
            newest[state] = max(newest[state], at)
            into = high
            while into > low and (when[into - 1] > at or (when[into - 1] == at and what[into - 1] > one)):
                when[into], what[into] = when[into - 1], what[into - 1]
                into -= 1
            when[into], what[into] = at, one
            high += 1
            while high - low > SEEN or when[low] < newest[state] - SEEN_MS:
                low += 1
        for row in range(high - low):
            when[base + row], what[base + row] = when[low + row], what[low + row]
        base += high - low
        ends[state + 1] = base


@kernel
def _is_known(when: Numbers, what: Keys, low: int, high: int, at: int, one: int) -> bool:
    for row in range(low, high):  # noqa: SIM110 - numba knows no generators
        if what[row] == one and abs(at - when[row]) <= SEEN_MS:
            return True
    return False
