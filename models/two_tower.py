"""Two towers: items by who takes them and by what they are, people by what they take; both live in one space.

The towers are solved, not descended to: the space is that of implicit ALS over the items that somebody met; a ridge
regression then says which point of it each column of the content stands for, so that an item nobody met lies where its
category, words and price put it, on the same scale as all others. A person's tower is the fold-in of ALS. On held-out
items of a shop it found 1.7 times what towers trained by sampled softmax found, in a quarter of the time
(benchmarks/quality.md).

Sources: Gantner et al. Learning Attribute-to-Feature Mappings for Cold-Start Recommendations. ICDM 2010. Hu, Koren,
Volinsky. Collaborative Filtering for Implicit Feedback Datasets. ICDM 2008.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix, hstack
from threadpoolctl import threadpool_limits

from features.errors import BadInput, BrokenArtifact
from models import artifacts
from models.als import Als, AlsConfig
from models.arrays import Csr, Float32
from models.contracts import Progress
from models.fields import stored
from models.histories import Histories
from models.index import Index
from models.interactions import Content, IdMap, Interactions


@dataclass(frozen=True)
class TwoTowerConfig(AlsConfig):
    """That of ALS, and how content is read.

    `content_ridge` holds the columns' points back, relative to one item; `shared` is what all items have in common,
    relative to all of an item's own columns together: an item of which nothing is known lies there. Of more than
    `content_columns` columns the commonest count.
    """

    content_ridge: float = 0.1
    shared: float = 0.3
    content_columns: int = 4_096


class TwoTower(Als):
    """Vectors of items met and not met, an index over all of them, and the points of the columns of the content."""

    name: ClassVar[str] = "two_tower"
    settings: ClassVar[type[AlsConfig]] = TwoTowerConfig
    _config: TwoTowerConfig

    def __init__(self, config: TwoTowerConfig | None = None, seed: int = 0) -> None:
        super().__init__(config or TwoTowerConfig(), seed)

    @property
    def item_vectors(self) -> Float32:
        """(n_items, d) float32; an item's score for somebody is the inner product with their vector of embed()."""
        self._check_fitted()
        return self._factors

    @property
    def content_names(self) -> tuple[str, ...]:
        """The columns that vectors_of() reads; empty where the model was fitted without content."""
        self._check_fitted()
        return self._names

    def embed(self, histories: Histories) -> Float32:
        """Where people stand, by what they took; nothing needs to have been known of them before.

        Returns: (n, d) float32; zeros for an empty history.
        """
        self._check_fitted()
        return self._vectors(histories.matrix)

    def vectors_of(self, content: Content) -> Float32:
        """Where items lie that came after the fit, by what they are.

        Args:    content: columns in any order; those that the model doesn't know say nothing.
        Returns: (n, d) float32, in the space of `item_vectors`.
        """
        self._check_fitted()
        columns = {name: column for column, name in enumerate(self._names)}
        known = [at for at, name in enumerate(content.names) if name in columns]
        chosen = content.matrix[:, known].tocoo()
        column = np.array([columns[content.names[at]] for at in known], dtype=np.int32)[chosen.col]
        shape = (content.matrix.shape[0], len(self._names))
        rows = self._rows(csr_matrix((chosen.data, (chosen.row, column)), shape=shape, dtype=np.float32))
        return np.asarray(rows @ self._points, dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write model.json, items.json, arrays.npz, and index.faiss where it has lists."""
        self._check_fitted()
        arrays: artifacts.Arrays = {
            "factors": self._factors,
            "popularity": self._popularity,
            "points": self._points,
            "rarity": self._rarity,
            "met": self._met.astype(np.int32),
        }
        kept: dict[str, Any] = {**self.params, "ridge": self._ridge, "alpha_used": self._alpha}
        kept["content_names"] = list(self._names)
        artifacts.write(folder, self.name, {**kept, **self._index.save(folder)}, self.items, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model as it was saved."""
        shapes = {"factors": (-1, 0), "popularity": (-1,), "points": (0, 0), "rarity": (0,)}
        params, items, arrays = artifacts.read(folder, cls.name, shapes, {"met": (-1,)})
        try:
            model = cls(stored(TwoTowerConfig, params), int(params["seed"]))
            model._names, model._points = tuple(str(name) for name in params["content_names"]), arrays["points"]
            model._rarity, model._met = arrays["rarity"], arrays["met"] > 0
            model._alpha = float(params["alpha_used"])
            model._hold(items, arrays["factors"], arrays["popularity"], float(params["ridge"]))
            model._index = Index.load(folder, model._factors, params)
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenArtifact(f"model.json in {folder} lacks or misstates {error}") from error
        columns = len(model._names)
        if (model._points.shape, model._rarity.shape) != ((columns + 1, model._factors.shape[1]), (columns,)):
            raise BrokenArtifact(f"arrays.npz in {folder} doesn't fit the {columns} columns of its content")
        return model

    def _fit(self, interactions: Interactions, start: Float32 | None, epochs: int, progress: Progress | None) -> Self:
        self._content = _checked(interactions)
        return super()._fit(interactions, start, epochs, progress)

    def _solve(
        self, confidences: Csr, ridge: float, start: Float32 | None, epochs: int, progress: Progress | None
    ) -> Float32:
        """The space solved on what was met, then the columns of the content placed in it."""
        factors = super()._solve(confidences, ridge, start, epochs, progress)
        self._met = np.bincount(confidences.indices, minlength=len(factors)) > 0
        self._place(self._content, factors)
        return factors

    def _hold(self, items: IdMap, factors: Float32, liked: Float32, ridge: float) -> None:
        """What somebody didn't take speaks against it only where anybody could have: unmet items are no evidence."""
        super()._hold(items, factors, liked, ridge)
        met = factors[self._met]
        self._gram = np.asfortranarray(met.T @ met + ridge * np.eye(factors.shape[1], dtype=np.float32))

    def _place(self, content: Content, factors: Float32) -> None:
        """Find the points of the columns from the items that were met, and fill in the vectors of the others."""
        common = _commonest(content.matrix, self._config.content_columns)
        self._names = tuple(content.names[column] for column in common)
        matrix = content.matrix[:, common]
        self._rarity = _rarity(matrix)
        rows = self._rows(matrix)
        met = rows[self._met]
        normal = (met.T @ met).toarray() + self._config.content_ridge * np.eye(met.shape[1], dtype=np.float32)
        with threadpool_limits(1, "blas"):
            points = cho_solve(cho_factor(normal.astype(np.float64), lower=True), met.T @ factors[self._met])
        self._points = np.ascontiguousarray(points, dtype=np.float32)
        factors[~self._met] = rows[~self._met] @ self._points

    def _rows(self, matrix: Csr) -> Csr:
        """(n, columns + 1): each row weighed by rarity, of length 1, then what all items share."""
        weighed = matrix.data * self._rarity[matrix.indices]
        lengths = np.sqrt(np.asarray(matrix.power(2) @ np.square(self._rarity), dtype=np.float32))
        values = weighed / np.repeat(np.maximum(lengths, np.float32(1e-12)), np.diff(matrix.indptr))
        own: Csr = csr_matrix((values, matrix.indices, matrix.indptr), shape=matrix.shape)
        shared = csr_matrix(np.full((matrix.shape[0], 1), self._config.shared, dtype=np.float32))
        return csr_matrix(hstack([own, shared]))


def _checked(interactions: Interactions) -> Content:
    """The content, or that nothing is known.

    Raises:  BadInput: it isn't of these items, or holds what is no number.
    """
    items = len(interactions.items)
    content = interactions.content or Content((), csr_matrix(np.zeros((items, 0), dtype=np.float32)))
    if content.matrix.shape != (items, len(content.names)):
        raise BadInput(f"the content is {content.matrix.shape}, wanted {(items, len(content.names))}", "content")
    if not np.isfinite(content.matrix.data).all():
        raise BadInput("the content holds NaN or infinite values", "content")
    return content


def _commonest(matrix: Csr, most: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """The columns that count, in their order; ties by column."""
    shared = matrix.getnnz(axis=0)
    return np.sort(np.argsort(-shared, kind="stable")[:most]).astype(np.int64)


def _rarity(matrix: Csr) -> Float32:
    """(columns,) log of how many items there are for each one that has the column, plus 1."""
    shared = np.maximum(matrix.getnnz(axis=0), 1)
    return np.log1p(matrix.shape[0] / shared).astype(np.float32)
