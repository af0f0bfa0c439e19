"""Customers as points: those who meet the same items lie near each other, whoever they are and however much they do.

Source: the truncated singular vectors of the normalised matrix are the linear filter of Shen et al. How Powerful is
        Graph Convolution for Recommendation? CIKM 2021; computed by Halko, Martinsson, Tropp. Finding Structure with
        Randomness. SIAM Review 2011.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.utils.extmath import randomized_svd

from features.errors import BadInput, BrokenArtifact, NotFitted
from models import array_files
from models.arrays import Csr, Float32
from models.fields import stored
from models.histories import Histories, History
from models.interactions import IdMap, Interactions

DAY_MS = 86_400_000
ACTIVITY = ("events", "items", "weight", "days_since_last", "days_since_first", "active_days")


@dataclass(frozen=True)
class SpaceConfig:
    """`size` of a vector (never more than there are customers or items); `rounds` of the randomised SVD.

    A pair of weight w counts log(1 + w) / sqrt(customers of the item). `size` was chosen on the tuning audiences of
    benchmarks/lookalike.py: 64 and 128 find fewer people from small seeds.
    """

    size: int = 32
    rounds: int = 5


class CustomerSpace:
    """A projection of histories: it places anybody, hot or cold, from what happened a moment ago."""

    name: ClassVar[str] = "customer_space"

    def __init__(self, config: SpaceConfig | None = None, seed: int = 0) -> None:
        self._config = config or SpaceConfig()
        self._seed = seed
        self._items = IdMap(())
        self._vectors = np.zeros((0, 0), dtype=np.float32)

    @property
    def items(self) -> IdMap:
        """The catalogue that histories are to name.

        Raises:  NotFitted: before fit() or load().
        """
        if not len(self._items):
            raise NotFitted("customer_space has no item vectors yet: call fit() or load() first")
        return self._items

    @property
    def params(self) -> dict[str, float | int | str]:
        """Its configuration and seed."""
        return {**asdict(self._config), "seed": self._seed}

    def fit(self, interactions: Interactions) -> Self:
        """Find the directions in which customers differ most.

        Raises:  BadInput: there are no interactions.
        """
        matrix = interactions.matrix
        if matrix.nnz == 0:
            raise BadInput("there are no interactions to place customers by; import events first", "interactions")
        takers = np.bincount(matrix.indices, minlength=matrix.shape[1])
        rarity = (1.0 / np.sqrt(np.maximum(takers, 1))).astype(np.float32)
        size = min(self._config.size, *matrix.shape)
        _, _, found = randomized_svd(_scaled(matrix, rarity), size, n_iter=self._config.rounds, random_state=self._seed)
        self._items = interactions.items
        self._vectors = np.ascontiguousarray(found.T, dtype=np.float32)
        self._rarity = rarity
        return self

    def vectors(self, histories: Histories) -> Float32:
        """Where each customer stands.

        Returns: (n, size) float32 of length at most 1, independent of how much a customer does; zeros where the history
                 names no item that is known.
        """
        if histories.n_items != len(self.items):
            raise BadInput(f"the histories name {histories.n_items} items, the space knows {len(self.items)}", "items")
        return np.asarray(_scaled(histories.matrix, self._rarity) @ self._vectors, dtype=np.float32)

    def contributions(self, history: History, direction: Float32) -> Float32:
        """How much each event of a history moves its customer towards a direction: they sum to vector @ direction.

        Args:    direction: (size,) float32, as Lookalike.explain() gives it.
        Returns: (h,) float32; 0 for items that aren't known.
        """
        known = (history.items >= 0) & (history.items < len(self.items)) & (history.weights > 0)
        shares = np.zeros(len(history.items), dtype=np.float32)
        if not known.any():
            return shares
        rows, weights = history.items[known], history.weights[known]
        items, place = np.unique(rows, return_inverse=True)
        total = np.bincount(place, weights)
        worth = np.log1p(total) * self._rarity[items]
        worth *= (self._vectors[items] @ direction) / np.sqrt(np.square(worth).sum())
        shares[known] = worth[place] * weights / total[place]
        return shares

    def save(self, folder: Path) -> None:
        """Write space.json and space.npz."""
        params = {**self.params, "items": list(self.items.ids)}
        arrays = {"vectors": self._vectors, "rarity": self._rarity}
        array_files.write(folder, self.name, params, arrays, stem="space")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The space from its files.

        Raises:  BrokenArtifact: a file is missing or damaged.
        """
        params, arrays = array_files.read(folder, cls.name, {"vectors": (0, 0), "rarity": (0,)}, stem="space")
        try:
            space = cls(stored(SpaceConfig, params), int(params["seed"]))
            ids = tuple(params["items"])
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenArtifact(f"space.json in {folder} lacks or misstates {error}") from error
        sound = len(ids) == len(arrays["vectors"]) == len(arrays["rarity"]) and (arrays["rarity"] > 0).all()
        if not ids or not sound or not all(isinstance(each, str) for each in ids) or list(ids) != sorted(set(ids)):
            raise BrokenArtifact(f"space.json in {folder} doesn't name one item for each vector, in order")
        space._items, space._vectors = IdMap(ids), arrays["vectors"].astype(np.float32)
        space._rarity = arrays["rarity"].astype(np.float32)
        return space


def activity(histories: Histories, now: int) -> Float32:
    """How much and how lately each customer did something: what the space leaves out on purpose.

    Args:    now: ms UTC, not before the newest event.
    Returns: (n, 6) float32, log(1 + x) of ACTIVITY; (n, 3) where the histories have no times.
    """
    rows, n = histories.rows_of, len(histories)
    taken = histories.matrix
    columns: list[NDArray[Any]] = [histories.counts, np.diff(taken.indptr), np.asarray(taken.sum(axis=1)).ravel()]
    if histories.times is not None:
        newest, oldest = np.full(n, -1, dtype=np.int64), np.full(n, now, dtype=np.int64)
        np.maximum.at(newest, rows, histories.times)
        np.minimum.at(oldest, rows, histories.times)
        days = np.unique(np.stack((rows, histories.times // DAY_MS), axis=1), axis=0)[:, 0]
        columns += [
            np.where(newest < 0, 0, now - newest) / DAY_MS,
            (now - oldest) / DAY_MS,
            np.bincount(days, minlength=n),
        ]
    logs: Float32 = np.log1p(np.maximum(np.stack(columns, axis=1), 0)).astype(np.float32)
    return logs


def _scaled(matrix: Csr, rarity: Float32) -> Csr:
    """Rows of length 1 (or 0), each stored value log(1 + weight) times the item's rarity."""
    values = np.log1p(matrix.data) * rarity[matrix.indices]
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    length = np.sqrt(np.bincount(rows, np.square(values), minlength=matrix.shape[0]))
    scaled = (values / length[rows]).astype(np.float32)
    return csr_matrix((scaled, matrix.indices, matrix.indptr), shape=matrix.shape)
