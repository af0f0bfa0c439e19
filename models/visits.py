"""Long histories as their visits: what somebody did months apart says little about each other."""

import numpy as np

from features.sessions import GAP_MS
from models.histories import Histories

WHOLE = 100  # events: a longer history is learned from visit by visit (benchmarks/quality.md, "Visits")
LONGEST = 200  # events of a visit; without times, of a piece of a history whose order is known


def visits(histories: Histories) -> Histories:
    """Histories of up to WHOLE events as they are, longer ones as their visits, none longer than LONGEST events.

    A visit ends where half an hour passes without an event. No event is left out: who has thousands of them did a good
    part of what there is to learn from. Where nothing is known of an order, nothing is cut.
    """
    if not histories.ordered or histories.counts.max(initial=0) <= WHOLE:
        return histories
    begins = np.zeros(len(histories.items), dtype=np.bool_)
    begins[histories.indptr[:-1][histories.counts > 0]] = True
    if histories.times is not None:
        late = np.diff(histories.times) >= GAP_MS
        begins[1:] |= late & (histories.counts > WHOLE)[histories.rows_of][1:]
    first = np.flatnonzero(begins)
    place = np.arange(len(begins)) - first[np.cumsum(begins) - 1]
    indptr = np.append(np.flatnonzero(begins | (place % LONGEST == 0)), len(begins)).astype(np.int64)
    return Histories(indptr, histories.items, histories.weights, histories.n_items, histories.times, histories.ordered)
