"""Long histories as their visits: what somebody did months apart says little about each other."""

import numpy as np

from features.errors import BadInput
from features.sessions import GAP_MS
from models.histories import Histories

BEYOND = 200  # events: what most models have, see benchmarks/quality.md, "Visits"


class ByVisits:
    """What configurations with a field `visits_beyond` have in common: none is below 0.

    Raises:  BadInput: naming the field.
    """

    visits_beyond: int

    def __post_init__(self) -> None:
        if self.visits_beyond < 0:
            said = f"visits_beyond is a number of events, 0 to leave every history whole, not {self.visits_beyond}"
            raise BadInput(said, "visits_beyond")


def visits(histories: Histories, beyond: int) -> Histories:
    """Histories of up to `beyond` events as they are, longer ones as their visits, none of which is longer either.

    A visit ends where half an hour passes without an event; without times there are only pieces. No event is left out:
    who has thousands of them did a good part of what there is to learn from. Where no order is known, nothing is cut.

    Args:    beyond: 0 leaves every history whole.
    """
    if not beyond or not histories.ordered or histories.counts.max(initial=0) <= beyond:
        return histories
    begins = np.zeros(len(histories.items), dtype=np.bool_)
    begins[histories.indptr[:-1][histories.counts > 0]] = True
    if histories.times is not None:
        late = np.diff(histories.times) >= GAP_MS
        begins[1:] |= late & (histories.counts > beyond)[histories.rows_of][1:]
    first = np.flatnonzero(begins)
    place = np.arange(len(begins)) - first[np.cumsum(begins) - 1]
    indptr = np.append(np.flatnonzero(begins | (place % beyond == 0)), len(begins)).astype(np.int64)
    return Histories(indptr, histories.items, histories.weights, histories.n_items, histories.times, histories.ordered)
