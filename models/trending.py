"""Trending: what many people took lately. The list of everybody whom no other model knows anything about.

Where it is known in which country and on which device things happened, each has a list of its own (features.trends
says how several become the list for one visitor).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from features.errors import BadInput, BrokenArtifact, NotFitted
from features.trends import LONGEST, LONGEST_IN_CONTEXT, Trends, trends_of
from models import array_files, artifacts
from models.arrays import Csr, Float32, Int32, Mask
from models.contracts import Progress, Slates
from models.histories import Histories, History
from models.interactions import IdMap, Interactions
from models.ranking import in_blocks, top

DAY_MS = 86_400_000
CONTEXTS = "contexts"


@dataclass(frozen=True)
class TrendingConfig:
    """`half_life_days`: after how many days an interaction counts half; without times everything counts once.

    Of at most `contexts` contexts, those in which most happened, lists are kept.
    """

    half_life_days: float = 7.0
    contexts: int = 100


class Trending:
    """Popularity that decays exponentially; a user counts once per item, at the newest time."""

    name: ClassVar[str] = "trending"
    settings: ClassVar[type[TrendingConfig]] = TrendingConfig

    def __init__(self, config: TrendingConfig | None = None, seed: int = 0) -> None:
        """Args: seed: taken because every model takes one; nothing here is random."""
        self._config = config or TrendingConfig()
        self._seed = seed
        self._items = IdMap(())
        self._popularity = np.zeros(0, dtype=np.float32)
        self._contexts: dict[str, tuple[Int32, Float32]] = {}  # rows of items and their weights, best first

    @property
    def items(self) -> IdMap:
        """The catalogue that it was fitted on."""
        self._check_fitted()
        return self._items

    @property
    def params(self) -> dict[str, float | int | str]:
        """Its configuration."""
        return asdict(self._config)

    @property
    def facts(self) -> dict[str, float]:
        """Nothing is measured about a plain list."""
        return {}

    def fit(self, interactions: Interactions, progress: Progress | None = None) -> Self:
        """Count each pair with its decayed weight."""
        self._popularity = popularity(interactions, self._config.half_life_days)
        self._items = interactions.items
        self._contexts = _by_context(interactions, self._config)
        if progress is not None:
            progress(1, 1)
        return self

    def trends(self, categories: Mapping[str, str] | None = None) -> Trends:
        """Its lists by context, as features.trends.in_context() takes them; categories: of items."""
        self._check_fitted()
        contexts = {key: self._named(*rows) for key, rows in self._contexts.items()}
        everybody, weights = top(self._popularity, min(LONGEST, len(self._items)))
        return trends_of(self._named(everybody, weights), contexts, categories or {})

    def _named(self, rows: Int32, weights: Float32) -> dict[str, float]:
        return dict(zip(self._items.names(rows), weights.tolist(), strict=True))

    def scores(self, histories: Histories) -> Float32:
        """The same scores for every history."""
        self._check_fitted()
        return np.tile(self._popularity, (len(histories), 1))

    def recommend(self, histories: Histories, k: int, exclude: Csr | None = None) -> Slates:
        """The list, less what is excluded for each."""
        return in_blocks(self.scores, histories, k, exclude)

    def recommend_one(self, history: History, k: int, allowed: Mask | None = None) -> Slates:  # noqa: ARG002 - the list is the same for every history
        """The list, less what is not allowed."""
        self._check_fitted()
        return top(self._popularity, k, allowed)

    def similar(self, item: int, k: int, allowed: Mask | None = None) -> Slates:  # noqa: ARG002 - it knows no likeness
        """All padding: popularity says nothing about likeness."""
        self._check_fitted()
        return top(self._popularity[:0], k)

    def because(self, history: History, slate: Int32) -> Int32:  # noqa: ARG002 - no history matters
        """All -1: no part of a history moves the list."""
        self._check_fitted()
        return np.full(len(slate), -1, dtype=np.int32)

    def save(self, folder: Path) -> None:
        """Write model.json, items.json and arrays.npz, and contexts.json and contexts.npz if there are contexts."""
        artifacts.write(folder, self.name, self.params, self.items, {"popularity": self._popularity})
        if self._contexts:
            items, weights = (np.concatenate(parts) for parts in zip(*self._contexts.values(), strict=True))
            ends = np.cumsum([len(rows) for rows, _ in self._contexts.values()])
            arrays = {"items": items, "weights": weights, "ends": ends}
            array_files.write(folder, self.name, {"keys": list(self._contexts)}, arrays, stem=CONTEXTS)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The list as it was saved."""
        params, items, arrays = artifacts.read(folder, cls.name, {"popularity": (-1,)})
        try:
            kept = int(params.get("contexts", 0))  # what was saved before there were contexts has none
            model = cls(TrendingConfig(float(params["half_life_days"]), kept))
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenArtifact(f"model.json in {folder} lacks or misstates {error}") from error
        model._items, model._popularity = items, arrays["popularity"]
        if (folder / f"{CONTEXTS}.json").exists():
            model._contexts = _stored(folder, len(items))
        return model

    def _check_fitted(self) -> None:
        if not len(self._items):
            raise NotFitted("trending has no list yet: call fit() or load() first")


def popularity(interactions: Interactions, half_life_days: float) -> Float32:
    """How popular each item is at the end of the data.

    Returns: (n_items,) float32: users of the item, each weighing 2^(-age / half-life); plain numbers of users where
             the interactions have no times.
    Raises:  BadInput: there is nothing to count, or a weight is no number.
    """
    matrix = interactions.matrix
    if matrix.nnz == 0:
        raise BadInput("there are no interactions to fit on; widen the window or import events first", "interactions")
    if not np.isfinite(matrix.data).all():
        raise BadInput("the weights of the interactions must be finite numbers", "weights")
    weights = np.ones(matrix.nnz)
    if interactions.timestamps is not None:
        age = interactions.timestamps.max() - interactions.timestamps
        weights = np.exp2(-age / (half_life_days * DAY_MS))
    return np.bincount(matrix.indices, weights, minlength=matrix.shape[1]).astype(np.float32)


def _by_context(interactions: Interactions, config: TrendingConfig) -> dict[str, tuple[Int32, Float32]]:
    """Of each context the items and their weights, best first: users of the item there, each decayed by its age."""
    found = interactions.contexts
    if found is None or not len(found.key) or config.contexts < 1:
        return {}
    n_users, n_items = len(interactions.users), len(interactions.items)
    cells, place = np.unique((found.key * n_users + found.user) * n_items + found.item, return_inverse=True)
    newest = np.zeros(len(cells), dtype=np.int64)
    np.maximum.at(newest, place, found.times)
    weights = np.exp2(-(newest.max() - newest) / (config.half_life_days * DAY_MS))
    key, item = cells // (n_users * n_items), cells % n_items
    lists = {}
    for at in np.argsort(-np.bincount(key, weights, minlength=len(found.keys)), kind="stable")[: config.contexts]:
        there = key == at
        counts = np.bincount(item[there], weights[there], minlength=n_items).astype(np.float32)
        lists[found.keys[at]] = top(counts, min(LONGEST_IN_CONTEXT, int(np.count_nonzero(counts))))
    return dict(sorted(lists.items()))


def _stored(folder: Path, n_items: int) -> dict[str, tuple[Int32, Float32]]:
    """The lists of contexts as save() wrote them.

    Raises:  BrokenArtifact: they don't fit together, or name items that there aren't.
    """
    shapes = {"items": (0,), "weights": (0,), "ends": (0,)}
    params, arrays = array_files.read(folder, Trending.name, shapes, CONTEXTS)
    keys: Any = params.get("keys")
    items, weights, ends = arrays["items"], arrays["weights"], arrays["ends"]
    fits = isinstance(keys, list) and len(keys) == len(ends) and len(items) == len(weights)
    if not fits or (np.diff(ends, prepend=0) < 0).any() or (len(ends) and ends[-1] != len(items)):
        raise BrokenArtifact(f"{CONTEXTS}.npz in {folder} doesn't hold a list for each of its contexts")
    if len(items) and not 0 <= items.min() <= items.max() < n_items:
        raise BrokenArtifact(f"{CONTEXTS}.npz in {folder} names items that items.json lacks")
    parts = zip(
        np.split(items.astype(np.int32), ends[:-1]), np.split(weights.astype(np.float32), ends[:-1]), strict=True
    )
    return dict(zip(map(str, keys), parts, strict=True))
