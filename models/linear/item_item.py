"""What the linear models share: scores are the taste in a history times item-item weights, a sparse matrix."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy.sparse import csr_matrix

from features.errors import BrokenArtifact, NotFitted
from models import artifacts
from models.arrays import Csr, Float32, Int32, Mask
from models.contracts import Progress, Slates
from models.fields import stored
from models.histories import Histories, History
from models.interactions import IdMap, Interactions
from models.ranking import in_blocks, top
from models.trending import popularity
from models.visits import BEYOND, ByVisits

UNREACHED = 1e-6


@dataclass(frozen=True)
class ItemItemConfig(ByVisits):
    """How a history becomes taste: an event counts weight * (1 + events after it)^-recency, an item log(1 + its sum).

    `recency` says nothing where no order of events is known. A history of more than `visits_beyond` events is learned
    from visit by visit too (0: every history is whole). `half_life_days` is that of the popularity list, which an empty
    history gets.
    """

    recency: float = 0.0
    visits_beyond: int = BEYOND
    half_life_days: float = 7.0


class ItemItem:
    """A model of sparse item-item weights; what one is made of is in its `_weights`."""

    name: ClassVar[str]
    settings: ClassVar[type[ItemItemConfig]]

    def __init__(self, config: ItemItemConfig | None = None, seed: int = 0) -> None:
        self._config = config or self.settings()
        self._seed = seed
        self._items = IdMap(())

    @property
    def items(self) -> IdMap:
        """The catalogue that it was fitted on."""
        self._check_fitted()
        return self._items

    @property
    def params(self) -> dict[str, float | int | str]:
        """Its configuration and seed."""
        return {**asdict(self._config), "seed": self._seed}

    @property
    def facts(self) -> dict[str, float]:
        """How many neighbours an item has in the mean."""
        self._check_fitted()
        return {"neighbours": self._matrix.nnz / len(self._items)}

    def fit(self, interactions: Interactions, progress: Progress | None = None) -> Self:
        """Count, weigh, and keep the largest."""
        liked = popularity(interactions, self._config.half_life_days)
        weights, likeness = self._weights(interactions, progress)
        largest = float(np.abs(weights.data).max(initial=0.0))
        if largest > 0:
            weights.data /= np.float32(largest)
        self._hold(interactions.items, weights, likeness, liked, interactions.histories.ordered)
        return self

    def scores(self, histories: Histories) -> Float32:
        """Sums of weights over the taste; items out of its reach by popularity."""
        self._check_fitted()
        taste = self._taste(histories)
        scores: Float32 = (taste @ self._matrix).toarray()
        scores += np.outer(taste.sum(axis=1), self._popularity * (UNREACHED / self._popularity.max()))
        scores[histories.counts == 0] = self._popularity
        return scores

    def recommend(self, histories: Histories, k: int, exclude: Csr | None = None) -> Slates:
        """Exact ranking of all items."""
        return in_blocks(self.scores, histories, k, exclude)

    def recommend_one(self, history: History, k: int, allowed: Mask | None = None) -> Slates:
        """Exact as well: a history reaches few rows of the weights."""
        self._check_fitted()
        return top(self.scores(Histories.of([history], len(self._items)))[0], k, allowed)

    def similar(self, item: int, k: int, allowed: Mask | None = None) -> Slates:
        """The item's own neighbours, by weights freed from how popular each is; the rest is padding."""
        self._check_fitted()
        row = self._matrix[[item]].toarray()[0] * self._likeness
        scores = np.where(row > 0, row, -np.inf).astype(np.float32)
        scores[item] = -np.inf
        return top(scores, k, allowed)

    def because(self, history: History, slate: Int32) -> Int32:
        """A score is a sum over the history: its largest part is the reason."""
        self._check_fitted()
        reasons = np.full(len(slate), -1, dtype=np.int32)
        places = np.flatnonzero((history.items >= 0) & (history.weights > 0))
        if not len(places) or not len(slate):
            return reasons
        taste = self._taste(Histories.of([history], len(self._items)))
        parts = self._matrix[taste.indices][:, np.maximum(slate, 0)].toarray() * taste.data[:, None]
        best = parts.argmax(axis=0)
        newest = {int(history.items[place]): int(place) for place in places}
        moved = (parts[best, np.arange(len(slate))] > 0) & (slate >= 0)
        reasons[moved] = [newest[int(item)] for item in taste.indices[best[moved]]]
        return reasons

    def save(self, folder: Path) -> None:
        """Write model.json, items.json and arrays.npz."""
        self._check_fitted()
        arrays = {"popularity": self._popularity, "likeness": self._likeness}
        params = {**self.params, "ordered": self._ordered}
        weights = artifacts.sparse_arrays("weights", self._matrix)
        artifacts.write(folder, self.name, params, self._items, {**arrays, **weights})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model as it was saved."""
        floats, integers = artifacts.sparse_shapes("weights")
        shapes = {"popularity": (-1,), "likeness": (-1,), **floats}
        params, items, arrays = artifacts.read(folder, cls.name, shapes, integers)
        weights = artifacts.sparse_matrix(arrays, "weights", (len(items), len(items)))
        try:
            model = cls(stored(cls.settings, params), int(params["seed"]))
            model._hold(items, weights, arrays["likeness"], arrays["popularity"], bool(params["ordered"]))
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenArtifact(f"model.json in {folder} lacks or misstates {error}") from error
        return model

    def _weights(self, interactions: Interactions, progress: Progress | None) -> tuple[Csr, Float32]:
        """(n_items, n_items) weights from an item of the history (row) to a candidate (column); and (n_items,) what
        makes those of a row comparable as likeness."""
        raise NotImplementedError

    def _check_fitted(self) -> None:
        if not len(self._items):
            raise NotFitted(f"{self.name} has no weights yet: call fit() or load() first")

    def _hold(self, items: IdMap, weights: Csr, likeness: Float32, liked: Float32, ordered: bool) -> None:
        self._items, self._matrix, self._likeness = items, weights, likeness
        self._popularity, self._ordered = liked, ordered

    def _taste(self, histories: Histories) -> Csr:
        matrix = self._recent(histories).matrix
        return csr_matrix((np.log1p(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)

    def _recent(self, histories: Histories) -> Histories:
        if not self._config.recency or not self._ordered:
            return histories
        after = np.repeat(histories.indptr[1:], histories.counts) - np.arange(1, len(histories.items) + 1)
        weights = histories.weights * (1.0 + after) ** -self._config.recency
        return Histories(histories.indptr, histories.items, weights.astype(np.float32), histories.n_items)
