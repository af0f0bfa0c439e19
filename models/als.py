"""Implicit ALS: taste as a point in a space where an item lies near the people who take it.

Source: Hu, Koren, Volinsky. Collaborative Filtering for Implicit Feedback Datasets. ICDM 2008.
"""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.linalg.lapack import sposv, spotrs
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from features.errors import BadInput, BrokenArtifact, NotFitted
from models import artifacts
from models.arrays import Csr, Float32, Int32, Mask
from models.contracts import Progress, Slates
from models.fields import stored
from models.histories import Histories, History, newest_places
from models.index import Index, IndexConfig
from models.interactions import IdMap, Interactions
from models.ranking import in_blocks, top
from models.trending import popularity
from models.visits import ByVisits

QUERIES = 256
MOST_EVEN = 0.25  # of what the mean user adds: the ridge of few pairs must not flatten users of few pairs


@dataclass(frozen=True)
class AlsConfig(ByVisits):
    """Confidence of a pair of weight w is 1 + alpha * log(1 + w); `threads` changes the time, never the answer.

    Where all pairs weigh the same (a file without events or repeats), `alpha_even` and `regularization_even` hold
    instead: what is there tells all that there is to tell, while in a shop's log a view is hardly more than nothing.

    `regularization` is relative to what the mean user's confidences add up to beyond 1, so that a shop of forty users
    isn't flattened by a value that fits one of forty thousand; `regularization_even` to what one pair adds, since with
    users of seven pairs and of a hundred the same few pairs did best. A history of more than `visits_beyond` events is
    learned from visit by visit too (0: every history is whole); with 400 what is new to people is found better than
    with 200. `half_life_days` is that of the popularity list, which an empty history gets. benchmarks/quality.md says
    how the defaults were chosen, on validation data.
    """

    embedding_size: int = 256
    regularization: float = 0.16
    regularization_even: float = 3.0
    alpha: float = 4.0
    alpha_even: float = 80.0
    epochs: int = 15
    refresh_epochs: int = 3
    visits_beyond: int = 400
    half_life_days: float = 7.0
    threads: int = 2


class _Folded(NamedTuple):
    """A history of h items folded in: `items` (h,) each once, `scaled` (h,) their confidences, `taken` (h, d) their
    factors, `factor` (d, d) that of Cholesky of the normal equations, `vector` (d,) the user's.
    """

    items: Int32
    scaled: Float32
    taken: Float32
    factor: Float32
    vector: Float32


class Als:
    """Item factors, the popularity list, and an index; user factors are solved from the history when asked."""

    name: ClassVar[str] = "als"
    settings: ClassVar[type[AlsConfig]] = AlsConfig

    def __init__(self, config: AlsConfig | None = None, seed: int = 0) -> None:
        self._config = config or AlsConfig()
        self._seed = seed
        self._alpha = self._config.alpha
        self._items = IdMap(())
        self._last: tuple[History, _Folded] | None = None  # a slate and its reasons ask for the same one

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
        """How much of the exact top 20 the index finds."""
        self._check_fitted()
        return {"index_recall_at_20": self._index.recall}

    def fit(self, interactions: Interactions, progress: Progress | None = None) -> Self:
        """Alternate between users and items for `epochs` rounds."""
        return self._fit(interactions, None, self._config.epochs, progress)

    def refreshed(self, interactions: Interactions, progress: Progress | None = None) -> Self:
        """A new model of newer interactions that starts from this one's factors: `refresh_epochs` rounds do.

        Items that are new start from nothing, those that are gone are dropped.
        """
        self._check_fitted()
        rows = self._items.rows(interactions.items.ids)
        start = np.where(rows[:, None] >= 0, self._factors[rows], np.float32(0))
        fresh = type(self)(self._config, self._seed)
        return fresh._fit(interactions, start, self._config.refresh_epochs, progress)

    def _fit(self, interactions: Interactions, start: Float32 | None, epochs: int, progress: Progress | None) -> Self:
        liked = popularity(interactions, self._config.half_life_days)
        weights, config = interactions.matrix.data, self._config
        even = bool((weights == weights[0]).all())
        self._alpha = config.alpha_even if even else config.alpha
        confidences = self._scaled(interactions.taken_together(config.visits_beyond))
        ridge = _ridge(confidences, config, even)
        factors = self._solve(confidences, ridge, start, epochs, progress)
        if not np.isfinite(factors).all():
            raise BadInput("the factors overflowed: raise `regularization` or lower `alpha`", "regularization")
        self._hold(interactions.items, factors, liked, ridge)
        sample = np.random.default_rng(self._seed).permutation(interactions.matrix.shape[0])[:QUERIES]
        self._index = Index.build(factors, self._vectors(interactions.matrix[np.sort(sample)]), IndexConfig())
        return self

    def scores(self, histories: Histories) -> Float32:
        """Inner products of the folded-in users with all items; popularity where the history is empty."""
        self._check_fitted()
        scores: Float32 = self._vectors(histories.matrix) @ self._factors.T
        scores[histories.counts == 0] = self._popularity
        return scores

    def recommend(self, histories: Histories, k: int, exclude: Csr | None = None) -> Slates:
        """Exact ranking of all items."""
        return in_blocks(self.scores, histories, k, exclude)

    def recommend_one(self, history: History, k: int, allowed: Mask | None = None) -> Slates:
        """Fold the history in, then ask the index."""
        self._check_fitted()
        folded = self._folded(history)
        if folded is None:
            return top(self._popularity, k, allowed)
        return self._index.search(folded.vector, k, allowed)

    def similar(self, item: int, k: int, allowed: Mask | None = None) -> Slates:
        """By the angle between factors: the raw product would name the popular items for every item."""
        self._check_fitted()
        return self._index.alike(item, k, allowed)

    def because(self, history: History, slate: Int32) -> Int32:
        """The score is a sum over the history: item j adds c_j * y_i' A^-1 y_j. Source: section 5 of the paper."""
        self._check_fitted()
        reasons = np.full(len(slate), -1, dtype=np.int32)
        folded = self._folded(history)
        if folded is None or not len(slate):
            return reasons
        solved, failed = spotrs(folded.factor, self._factors[slate].T)
        _check(failed)
        parts = (folded.taken * folded.scaled[:, None]) @ solved
        best = parts.argmax(axis=0)
        moved = (parts[best, np.arange(len(slate))] > 0) & (slate >= 0)
        reasons[moved] = newest_places(history, folded.items[best[moved]])
        return reasons

    def save(self, folder: Path) -> None:
        """Write model.json, items.json, arrays.npz, and index.faiss where it has lists."""
        self._check_fitted()
        arrays = {"factors": self._factors, "popularity": self._popularity}
        artifacts.write(
            folder,
            self.name,
            {**self.params, "ridge": self._ridge, "alpha_used": self._alpha, **self._index.save(folder)},
            self.items,
            arrays,
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model as it was saved."""
        params, items, arrays = artifacts.read(folder, cls.name, {"factors": (-1, 0), "popularity": (-1,)})
        try:
            model = cls(stored(AlsConfig, params), int(params["seed"]))
            model._alpha = float(params["alpha_used"])
            model._hold(items, arrays["factors"], arrays["popularity"], float(params["ridge"]))
            model._index = Index.load(folder, model._factors, params)
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenArtifact(f"model.json in {folder} lacks or misstates {error}") from error
        return model

    def _check_fitted(self) -> None:
        if not len(self._items):
            raise NotFitted("als has no factors yet: call fit() or load() first")

    def _solve(
        self, confidences: Csr, ridge: float, start: Float32 | None, epochs: int, progress: Progress | None
    ) -> Float32:
        config = self._config
        told = None if progress is None else partial(_tell, progress, epochs)
        with threadpool_limits(1, "blas"):
            solver = AlternatingLeastSquares(
                factors=config.embedding_size,
                regularization=ridge,
                alpha=1.0,  # the confidences come scaled
                iterations=epochs,
                num_threads=config.threads,
                random_state=self._seed,
            )
            solver.item_factors = start  # None draws them; each round solves the users first
            solver.fit(confidences, show_progress=False, callback=told)
        return np.ascontiguousarray(solver.item_factors, dtype=np.float32)

    def _hold(self, items: IdMap, factors: Float32, liked: Float32, ridge: float) -> None:
        self._items, self._factors, self._popularity, self._last = items, factors, liked, None
        size = factors.shape[1]
        self._ridge = ridge
        self._gram: Float32 = np.asfortranarray(factors.T @ factors + ridge * np.eye(size, dtype=np.float32))

    def _confidence(self, weights: Float32) -> Float32:
        scaled: Float32 = (1.0 + self._alpha * np.log1p(weights)).astype(np.float32)
        return scaled

    def _scaled(self, matrix: Csr) -> Csr:
        return csr_matrix((self._confidence(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)

    def _normal(self, history: Float32, scaled: Float32) -> Float32:
        """A = Y'Y + regularization + sum over the history of (c - 1) y y'."""
        return np.asarray(self._gram + (history.T * (scaled - 1.0)) @ history, dtype=np.float32)

    def _folded(self, history: History) -> _Folded | None:
        """The history's vector and what it was solved by, kept until the next history; None where nothing counts."""
        last = self._last
        if last is not None and last[0] is history:
            return last[1]
        items, weights = _summed(history)
        if not len(items):
            return None
        folded = self._fold_in(items, self._confidence(weights))
        self._last = history, folded
        return folded

    def _fold_in(self, items: Int32, scaled: Float32) -> _Folded:
        taken = self._factors[items]
        factor, vector, failed = sposv(self._normal(taken, scaled), scaled @ taken)
        _check(failed)
        return _Folded(items, scaled, taken, factor, vector)

    def _vectors(self, histories: Csr) -> Float32:
        scaled = self._scaled(histories)
        vectors = np.zeros((histories.shape[0], self._factors.shape[1]), dtype=np.float32)
        with threadpool_limits(1, "blas"):
            for row in np.flatnonzero(np.diff(scaled.indptr)):
                part = slice(scaled.indptr[row], scaled.indptr[row + 1])
                vectors[row] = self._fold_in(scaled.indices[part], scaled.data[part]).vector
        return vectors


def _summed(history: History) -> tuple[Int32, Float32]:
    """The items that count, each once, and the sums of their weights."""
    known = history.known()
    order = known.items.argsort()
    items, weights = known.items[order], known.weights[order]
    if (items[1:] != items[:-1]).all():  # as live histories are; a fifth of the time
        return items, weights
    items, place = np.unique(known.items, return_inverse=True)
    return items, np.bincount(place, known.weights, minlength=len(items)).astype(np.float32)


def _ridge(confidences: Csr, config: AlsConfig, even: bool) -> float:
    """What is added to the diagonals: a part of what the mean user adds, or some of what one pair does."""
    added = confidences.data - 1
    user = float(added.sum() / confidences.shape[0])
    if not even:
        return config.regularization * user
    return min(config.regularization_even * float(added.mean()), MOST_EVEN * user)


def _tell(progress: Progress, epochs: int, epoch: int, _seconds: float, _loss: float | None) -> None:
    progress(epoch + 1, epochs)


def _check(failed: int) -> None:
    if failed:
        raise BrokenArtifact("the normal equations can't be solved: the factors of this model are damaged")
