"""Where the items of a slate come from, in order: the champion, then what trends, then what was seen before."""

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

import numpy as np

from models.histories import History
from serving.decide.asked import Touch
from serving.decide.limits import NONE, Limits
from serving.decide.state import Champion, State


class Candidate(NamedTuple):
    """An item with its source's own score, and the item of the history that caused it (None: no single one did)."""

    item_id: str
    score: float
    source: str
    cause: Touch | None


def from_champion(
    champion: Champion, history: list[Touch], limits: Limits, exclude: Iterable[str], k: int
) -> list[Candidate]:
    """The champion's k best for this history, each with the touch that moved it most."""
    ids = champion.model.items
    asked = _asked(champion, history)
    allowed = champion.columns.allowed(limits, exclude)
    found, scores = champion.model.recommend_one(asked, k, allowed)
    kept = found >= 0
    found, scores = found[kept], scores[kept]
    causes = champion.model.because(asked, found)
    return [
        Candidate(ids.ids[row], float(score), champion.name, history[cause] if cause >= 0 else None)
        for row, score, cause in zip(found.tolist(), scores.tolist(), causes.tolist(), strict=True)
    ]


def from_trending(
    state: State, limits: Limits, hidden: set[str], k: int, keys: tuple[str, ...] = ()
) -> list[Candidate]:
    """The k that customers turn to most; without a catalogue nothing is known to be within limits."""
    listed = state.trending.among(keys)
    if state.catalogue is None:
        places: Iterable[int] = range(len(listed)) if limits == NONE else ()
    else:
        rows = state.trending.rows(keys, state.catalogue.columns)
        known = np.flatnonzero(rows >= 0)
        places = known[state.catalogue.columns.within(limits)[rows[known]]].tolist()
    shown = (listed[place] for place in places if listed[place][0] not in hidden)
    return [Candidate(item_id, weight, "trending", None) for item_id, weight in islice(shown, k)]


def from_catalogue(state: State, limits: Limits, hidden: set[str], k: int) -> list[Candidate]:
    """Whatever else there is, by id: a slate is short only where the shop is."""
    found = [] if state.catalogue is None else state.catalogue.first(limits, hidden, k)
    return [Candidate(item_id, 0.0, "catalogue", None) for item_id in found]


def similar(champion: Champion, item_id: str, limits: Limits, exclude: Iterable[str], k: int) -> list[Candidate]:
    """The k items most like one; empty where the champion doesn't know it."""
    row = champion.model.items.row(item_id)
    if row < 0:
        return []
    found, scores = champion.model.similar(row, k, champion.columns.allowed(limits, exclude))
    cause = Touch(item_id, 1.0, "")
    ids = champion.model.items.ids
    return [
        Candidate(ids[at], float(score), champion.name, cause)
        for at, score in zip(found.tolist(), scores.tolist(), strict=True)
        if at >= 0
    ]


def _asked(champion: Champion, history: list[Touch]) -> History:
    rows = [champion.model.items.row(touch.item_id) for touch in history]
    weights = [touch.confidence for touch in history]
    return History(np.array(rows, dtype=np.int32), np.array(weights, dtype=np.float32))
