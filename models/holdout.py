"""A part of the histories kept aside inside of fit(), for what a model learns about itself: weights, when to stop."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.arrays import Csr, Int64, Mask
from models.histories import Histories
from models.interactions import Interactions

VISIT_MS = 3_600_000


class Holdout(NamedTuple):
    """`learned` is what is left to fit on; `asked` the histories of the chosen users, `wanted` (n, n_items) csr of ones
    what each of them did next.

    `repeats` is the share of wanted items that the asked history has already, `share` that of all events kept aside.
    """

    learned: Interactions
    asked: Histories
    wanted: Csr
    repeats: float
    share: float

    @classmethod
    def of(cls, learned: Interactions, asked: Histories, ends: Histories, share: float) -> "Holdout":
        """Who is asked with what, and what the same people did next."""
        wanted = ends.matrix
        wanted.data[:] = 1.0
        repeats = float(wanted.multiply(asked.matrix > 0).sum() / max(wanted.nnz, 1))
        return cls(learned, asked, wanted, repeats, share)


def hold_out(interactions: Interactions, users: int, share: float, seed: int) -> Holdout:
    """Keep the end of some users' histories aside.

    Where there is an order that is the last visit (events within an hour of the last one, at most a third of the
    history), else a random `share` of the events. Only users with at least three events are chosen.

    Args:    users: at most so many are chosen, and at most half of them all.
    """
    histories = interactions.histories
    random = np.random.default_rng(seed)
    rows = np.flatnonzero(histories.counts >= 3)
    rows = np.sort(random.permutation(rows)[: min(users, max(1, (len(rows) + 1) // 2))])
    kept_aside = _ends(histories, rows) if histories.ordered else _some(histories, rows, share, random)
    left = only(histories, ~kept_aside)
    fitted = Interactions(interactions.users, interactions.items, left, interactions.window, interactions.content)
    return Holdout.of(fitted, left.take(rows), only(histories, kept_aside).take(rows), float(kept_aside.mean()))


def _ends(histories: Histories, rows: Int64) -> Mask:
    ends = histories.indptr[1:][rows]
    aside = np.zeros(len(histories.items), dtype=np.bool_)
    aside[ends - 1] = True
    if histories.times is not None:
        for start, end in zip(histories.indptr[:-1][rows].tolist(), ends.tolist(), strict=True):
            most = max(end - (end - start) // 3, start + 1)
            visit = np.searchsorted(histories.times[start:end], histories.times[end - 1] - VISIT_MS) + start
            aside[max(int(visit), most) : end] = True
    return aside


def _some(histories: Histories, rows: Int64, share: float, random: np.random.Generator) -> Mask:
    chosen = np.isin(histories.rows_of, rows)
    drawn: NDArray[np.float64] = random.random(len(histories.items))
    aside = chosen & (drawn < share)
    aside[histories.indptr[:-1][rows]] = False  # something must be left to ask with
    return aside


def only(histories: Histories, kept: Mask) -> Histories:
    """The same people with these of their events.

    Args:    kept: (m,) of all m events in a row.
    """
    counts = np.bincount(histories.rows_of[kept], minlength=len(histories))
    times = None if histories.times is None else histories.times[kept]
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Histories(
        indptr, histories.items[kept], histories.weights[kept], histories.n_items, times, histories.ordered
    )
