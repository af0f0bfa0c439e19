"""Trending: what many people took lately. The list of everybody whom no other model knows anything about."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from features.errors import BadInput, BrokenArtifact, NotFitted
from models import artifacts
from models.arrays import Csr, Float32, Int32, Mask
from models.contracts import Progress, Slates
from models.histories import Histories, History
from models.interactions import IdMap, Interactions
from models.ranking import in_blocks, top

DAY_MS = 86_400_000


@dataclass(frozen=True)
class TrendingConfig:
    """`half_life_days`: after how many days an interaction counts half; without times everything counts once."""

    half_life_days: float = 7.0


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
        if progress is not None:
            progress(1, 1)
        return self

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
        """Write model.json, items.json and arrays.npz."""
        artifacts.write(folder, self.name, self.params, self.items, {"popularity": self._popularity})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The list as it was saved."""
        params, items, arrays = artifacts.read(folder, cls.name, {"popularity": (-1,)})
        try:
            model = cls(TrendingConfig(float(params["half_life_days"])))
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenArtifact(f"model.json in {folder} lacks or misstates {error}") from error
        model._items, model._popularity = items, arrays["popularity"]
        return model

    def _check_fitted(self) -> None:
        if not len(self._items):
            raise NotFitted("trending has no list yet: call fit() or load() first")


def popularity(interactions: Interactions, half_life_days: float) -> Float32:
    """How popular each item is at the end of the data.

    Returns: (n_items,) float32: users of the item, each weighing 2^(-age / half-life); plain numbers of users where
             the interactions have no times.
    Raises:  BadInput: there is nothing to count.
    """
    matrix = interactions.matrix
    if matrix.nnz == 0:
        raise BadInput("there are no interactions to fit on; widen the window or import events first", "interactions")
    weights = np.ones(matrix.nnz)
    if interactions.timestamps is not None:
        age = interactions.timestamps.max() - interactions.timestamps
        weights = np.exp2(-age / (half_life_days * DAY_MS))
    return np.bincount(matrix.indices, weights, minlength=matrix.shape[1]).astype(np.float32)
