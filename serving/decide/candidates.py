"""Where the items of a slate come from, in order: the champion, then what trends, then what was seen before."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from models.histories import History
from serving.decide.asked import Touch
from serving.decide.state import Champion, Limits, State


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


def from_trending(state: State, limits: Limits, exclude: set[str]) -> Iterator[Candidate]:
    """What most customers turn to, most wanted first; without a catalogue nothing is known to be within limits."""
    for item_id, weight in state.trending:
        item = (state.catalogue or {}).get(item_id)
        permitted = limits == Limits() if state.catalogue is None else item is not None and limits.permits(item)
        if permitted and item_id not in exclude:
            yield Candidate(item_id, weight, "trending", None)


def from_catalogue(state: State, limits: Limits, exclude: set[str]) -> Iterator[Candidate]:
    """Whatever else there is, by id: a slate is short only where the shop is."""
    for item_id in sorted(state.catalogue or {}):
        item = (state.catalogue or {})[item_id]
        if item_id not in exclude and limits.permits(item):
            yield Candidate(item_id, 0.0, "catalogue", None)


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
