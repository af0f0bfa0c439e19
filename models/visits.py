"""Long histories as their visits: what somebody did months apart says little about each other."""

import numpy as np

from features.sessions import GAP_MS
from models.histories import Histories

LONGEST = 200  # events: a longer history is learned from visit by visit (benchmarks/quality.md, "Visits")


def visits(histories: Histories, longest: int = 0) -> Histories:
    """Histories of up to `longest` events as they are, longer ones as their visits, none of which is longer either.

    A visit ends where half an hour passes without an event; without times there are only pieces. No event is left out:
    who has thousands of them did a good part of what there is to learn from. Where no order is known, nothing is cut.

    Args:    longest: 0 stands for LONGEST.
    """
    longest = longest or LONGEST
    if not histories.ordered or histories.counts.max(initial=0) <= longest:
        return histories
    begins = np.zeros(len(histories.items), dtype=np.bool_)
    begins[histories.indptr[:-1][histories.counts > 0]] = True
    if histories.times is not None:
        late = np.diff(histories.times) >= GAP_MS
        begins[1:] |= late & (histories.counts > longest)[histories.rows_of][1:]
    first = np.flatnonzero(begins)
    place = np.arange(len(begins)) - first[np.cumsum(begins) - 1]
    indptr = np.append(np.flatnonzero(begins | (place % longest == 0)), len(begins)).astype(np.int64)
    return Histories(indptr, histories.items, histories.weights, histories.n_items, histories.times, histories.ordered)
