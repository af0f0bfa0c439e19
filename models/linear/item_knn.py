"""Item kNN: items that the same people take, by a cosine that trusts few witnesses less.

Sources: Sarwar et al. Item-based Collaborative Filtering Recommendation Algorithms. WWW 2001. Shrinkage: Bell, Koren.
Scalable Collaborative Filtering with Jointly Derived Neighborhood Interpolation Weights. ICDM 2007.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from models.arrays import Csr, Float32
from models.contracts import Progress
from models.interactions import Interactions
from models.linear.item_item import ItemItem, ItemItemConfig
from models.linear.item_weights import bounded, cut, power, scaled, spans, sums


@dataclass(frozen=True)
class ItemKnnConfig(ItemItemConfig):
    """Of each item the `neighbours` most like it count.

    A user of n items adds n^-`modesty` to what they witness. `shrinkage` is in squared norms of the mean item.
    """

    neighbours: int = 200
    shrinkage: float = 0.1
    modesty: float = 1.0


class ItemKnn(ItemItem):
    """weight(i, j) = <x_i, x_j> / (|x_i| |x_j| + shrinkage), x the columns of log(1 + weight)."""

    name: ClassVar[str] = "item_knn"
    settings: ClassVar[type[ItemItemConfig]] = ItemKnnConfig
    _config: ItemKnnConfig

    def _weights(self, interactions: Interactions, progress: Progress | None) -> tuple[Csr, Float32]:
        taken = bounded(interactions.taken_together(self._config.visits_beyond), self._seed)
        taken = scaled(taken.log1p(), power(np.diff(taken.indptr).astype(np.float32), -self._config.modesty / 2))
        likeness = np.ones(taken.shape[1], dtype=np.float32)
        nearest = cut(self._cosines(taken), taken.shape[1], self._config.neighbours, progress)
        return nearest.T.tocsr(), likeness

    def _cosines(self, taken: Csr) -> Iterator[Csr]:
        squares = sums(taken.multiply(taken), 0)
        norms = np.sqrt(squares)
        shrinkage = self._config.shrinkage * float(squares.mean())
        users = taken.T.tocsr()
        for start, stop in spans(taken.shape[1]):
            block = (users[start:stop] @ taken).tocsr()
            rows = np.repeat(np.arange(start, stop), np.diff(block.indptr))
            block.data /= norms[rows] * norms[block.indices] + shrinkage
            yield block
