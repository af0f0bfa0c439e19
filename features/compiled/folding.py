"""The fold of `features.folds`, compiled: the same states, byte for byte, in a tenth of the time."""

import numpy as np

from features.columns import Events, Numbers
from features.compiled.cells import add_cells
from features.compiled.kernel import kernel, owned
from features.compiled.plan import plan_of, sources_of
from features.compiled.seen import remember
from features.compiled.touches import add_names, add_touches, lines_of, texts_of
from features.contributions import Reader
from features.folds import Folded
from features.states import RECENT, States
from features.table import Table
from features.windows import Ints


def fold(table: Table, states: States, events: Events, owner: Ints) -> Folded:
    """Take a batch of events, in the order of their log, into the states.

    Args:    owner: (n,) index of each event's state.
    """
    order, first = _grouped(owned(owner, np.int64), states.n)
    received, message = owned(events.received, np.int64), owned(events.message, np.uint64)
    seen, counted = remember(states.seen, received, message, order, first)
    known = counted & (events.name >= 0)
    if not known.all():
        events, owner = events.take(known), owner[known]
        order, first = _grouped(owned(owner, np.int64), states.n)
    if not events.n:
        return Folded(states._replace(seen=seen), counted)
    read, plan = Reader(events), plan_of(table.series)
    lines, sources = lines_of(events, read), sources_of(plan, read)
    cells, lost, of_cells = add_cells(table, plan, sources, states.cells, events, lines.ends, order, first)
    touches, of_touches = add_touches(states.touches, events, lines, order, first)
    lost |= np.diff(touches.ends) == RECENT  # it may have let touches go
    names = add_names(table.named, states.names, cells, touches, lost, (of_cells, of_touches), texts_of(read.texts))
    return Folded(States(cells, touches, names, seen), counted)


@kernel
def _grouped(owner: Numbers, n: int) -> tuple[Numbers, Numbers]:
    """The events by state, those of one in their order, and (n + 1,) where each state's begin."""
    first = np.zeros(n + 1, np.int64)
    for state in owner:
        first[state + 1] += 1
    for state in range(n):
        first[state + 1] += first[state]
    into, order = first[:-1].copy(), np.empty(len(owner), np.int64)
    for event in range(len(owner)):
        order[into[owner[event]]] = event
        into[owner[event]] += 1
    return order, first
