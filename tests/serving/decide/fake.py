"""A model of which every score is known, small catalogues, and somebody who asks."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from features.items import Item
from features.trends import EVERYBODY
from models.arrays import Float32, Int32, Mask
from models.contracts import Slates
from models.histories import History
from models.interactions import IdMap
from models.ranking import top
from serving.decide.asked import Asked, Touch
from serving.decide.catalogue import Catalogue
from serving.decide.columns import Columns
from serving.decide.state import Champion, State
from serving.decide.trends import Trends


class Known:
    """Scores an item by its place in `scores`, whatever the history; every reason is the newest known touch."""

    name = "known"

    def __init__(self, scores: Mapping[str, float]) -> None:
        self.items = IdMap(tuple(sorted(scores)))
        self._scores: Float32 = np.array([scores[item_id] for item_id in self.items.ids], dtype=np.float32)

    def recommend_one(self, history: History, k: int, allowed: Mask | None = None) -> Slates:
        assert len(history.items) == len(history.weights)
        return top(self._scores, k, allowed)

    def similar(self, item: int, k: int, allowed: Mask | None = None) -> Slates:
        permitted = np.ones(len(self.items), dtype=np.bool_) if allowed is None else allowed.copy()
        permitted[item] = False
        return top(self._scores, k, permitted)

    def because(self, history: History, slate: Int32) -> Int32:
        known = np.flatnonzero(history.items >= 0)
        return np.full(len(slate), known[-1] if len(known) else -1, dtype=np.int32)


def shop(*item_ids: str, **of_all: object) -> dict[str, Item]:
    """Items that are alike but for their ids."""
    return {item_id: Item(item_id=item_id, **of_all) for item_id in item_ids}  # type: ignore[arg-type]


def state(
    scores: Mapping[str, float] | None = None,
    catalogue: Mapping[str, Item] | None = None,
    trending: Mapping[str, float] | None = None,
    repeatable: frozenset[str] = frozenset(),
) -> State:
    """A state with a champion of these scores (None: no champion)."""
    champion = None
    if scores is not None:
        model = Known(scores)
        champion = Champion("known", "7", model, Columns(model.items, catalogue))  # type: ignore[arg-type]
    ordered = sorted((trending or {}).items(), key=lambda entry: (-entry[1], entry[0]))
    return State(
        champion=champion,
        catalogue=None if catalogue is None else Catalogue(catalogue),
        trending=Trends({EVERYBODY: ordered}),
        repeatable=repeatable,
    )


def asks(*viewed: str, n: int = 10, **more: object) -> Asked:
    """Somebody who viewed these items, the last one last."""
    touches = tuple(Touch(item_id, 1.0, "Product Viewed") for item_id in viewed)
    return Asked(**{"now": 1_000, "n": n, "touches": touches, **more})  # type: ignore[arg-type]


def champion_of(made: State, name: str = "known") -> Champion:
    """The champion of a state, by another name."""
    assert made.champion is not None
    return replace(made.champion, name=name)
