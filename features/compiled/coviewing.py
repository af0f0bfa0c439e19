"""Items viewed one right after the other: what the newest touches of customers say of them, and say no longer.

Each customer has a say by the newest touches that their state holds, so it is a function of a set of events: a late
view between two others takes them apart, and so does whatever makes their touches leave the state.
"""

from collections.abc import Collection
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from features.columns import (
    APART,
    EVENT_NUMBERS,
    EVENT_TEXTS,
    LINE_NUMBERS,
    LINE_TEXTS,
    MISSING,
    TOGETHER,
    Events,
    Text,
)
from features.compiled.adjacency import Changes, changes_of_states, changes_of_touches, named
from features.compiled.kernel import owned
from features.contributions import SUB_BITS
from features.states import Names, States, ragged
from features.windows import Ints


class CoViews(NamedTuple):
    """n times that two items came together or went apart, as events of two lines, and the state (or row) of each."""

    events: Events
    owner: Ints


def coviews(old: States, new: States) -> CoViews:
    """What n states say more than they did, and no longer."""
    found = changes_of_states(old.touches, new.touches)
    places, index = np.unique(named(found, old.names, new.names), return_inverse=True)
    split = np.searchsorted(places, len(new.names.sub))
    text = Text.of([*_texts(new.names, places[:split]), *_texts(old.names, places[split:] - len(new.names.sub))])
    return CoViews(_events(found, text.take(index.reshape(-1))), found.owner)


def replayed(
    customer: Ints, time: Ints, event: Ints, sub: Ints, text: Text, columns: Collection[str] = ("item",)
) -> CoViews:
    """The same of touches one by one, as they became known: owner is the row of the touch that changed something.

    Args:    customer, time, event, sub: (n,) of touches, those of one customer together and in the order in which they
             became known; text: of their items; columns: those that the events shall have.
    """
    ends = np.append(np.flatnonzero(np.diff(customer, prepend=-1)), len(customer)).astype(np.int64)
    found = changes_of_touches(ends, owned(time, np.int64), owned(event, np.int64), owned(sub, np.int64))
    # A customer's sub stands for one text.
    whose = np.cumsum(np.diff(customer, prepend=-1) != 0) << SUB_BITS
    known, first = np.unique(whose | sub, return_index=True)
    rows = [np.searchsorted(known, whose[found.owner] | each) for each in (found.later, found.earlier)]
    return CoViews(_events(found, text.take(first[np.stack(rows, axis=1).reshape(-1)]), columns), found.owner)


def _events(found: Changes, items: Text, columns: Collection[str] = ("item",)) -> Events:
    n = len(found.time)
    blank = {n: Text(np.zeros(n, np.int32), [""]), 2 * n: Text(np.zeros(2 * n, np.int32), [""])}
    texts = {name: blank[2 * n] for name in LINE_TEXTS if name in columns} | {"item": items}
    return Events(
        customer=blank[n],
        name=np.where(found.sign > 0, TOGETHER, APART).astype(np.int16),
        time=found.time,
        received=found.time,
        available=found.time,
        message=np.zeros(n, np.uint64),
        trusted=np.zeros(n, np.bool_),
        numbers={name: np.full(n, MISSING) for name in EVENT_NUMBERS if name in columns},
        texts={name: blank[n] for name in EVENT_TEXTS if name in columns},
        line_of=np.repeat(np.arange(n, dtype=np.int32), 2),
        line_numbers={name: np.full(2 * n, MISSING) for name in LINE_NUMBERS if name in columns},
        line_texts=texts,
    )


def _texts(names: Names, places: Ints) -> list[str]:
    at, heap = ragged(names.heap, names.at[places], names.at[places + 1] - names.at[places])
    data = heap.tobytes()
    return [data[begin:end].decode() for begin, end in pairwise(at.tolist())]
