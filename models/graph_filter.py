"""Graph filter: what a history says, passed over the graph of items and users, once and through its low frequencies.

Sources: Shen et al. How Powerful is Graph Convolution for Recommendation? CIKM 2021 (GF-CF). Kim et al. Graph Filtering
by Chebyshev Polynomials for Recommendation. SIGIR 2025 (ChebyCF). Halko, Martinsson, Tropp. Finding Structure with
Randomness. SIAM Review 2011.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from threadpoolctl import threadpool_limits

from models.arrays import Csr, Float32
from models.contracts import Progress
from models.interactions import Interactions
from models.item_item import ItemItem, ItemItemConfig
from models.item_weights import bounded, cut, power, scaled, spans, sums


@dataclass(frozen=True)
class GraphFilterConfig(ItemItemConfig):
    """weights = degree^-inward * (X' D^-modesty X) * degree^-outward + low_pass * degree^-1/2 * V V' * degree^1/2.

    X is log(1 + weight), D what each user took in all, V the `rank` first right singular vectors of the graph
    normalised by both degrees; `low_pass` is relative: at 1 both parts have equal traces, at 0 nothing is decomposed.
    Each candidate keeps the `neighbours` items that it is reached from best.
    """

    neighbours: int = 1000
    rank: int = 256
    modesty: float = 0.55
    inward: float = 0.65
    outward: float = 0.3
    low_pass: float = 0.3


class GraphFilter(ItemItem):
    """A linear filter on the bipartite graph, held as sparse item-item weights."""

    name: ClassVar[str] = "graph_filter"
    settings: ClassVar[type[ItemItemConfig]] = GraphFilterConfig
    _config: GraphFilterConfig

    def _weights(self, interactions: Interactions, progress: Progress | None) -> tuple[Csr, Float32]:
        taken = bounded(interactions.matrix, self._seed).log1p()
        degrees = sums(taken, 0)
        with threadpool_limits(1, "blas"):
            nearest = cut(self._blocks(taken, degrees), taken.shape[1], self._config.neighbours, progress)
        return nearest.T.tocsr(), power(degrees, self._config.outward - self._config.inward)

    def _blocks(self, taken: Csr, degrees: Float32) -> Iterator[Csr | Float32]:
        """Rows of candidates, columns of what they are reached from."""
        config = self._config
        inward, outward = power(degrees, -config.inward), power(degrees, -config.outward)
        modest = scaled(taken, power(sums(taken, 1), -config.modesty), inward)
        users = scaled(taken.T.tocsr(), outward)
        trace = float(users.multiply(modest.T).sum()) if config.low_pass else 0.0
        left, right = self._low(taken, degrees, trace) if config.low_pass else (None, None)
        for start, stop in spans(taken.shape[1]):
            block = (users[start:stop] @ modest).tocsr()
            yield block if left is None or right is None else left[start:stop] @ right.T + block.toarray()

    def _low(self, taken: Csr, degrees: Float32, trace: float) -> tuple[Float32, Float32]:
        even = scaled(taken, power(sums(taken, 1), -0.5), power(degrees, -0.5))
        vectors = singular_vectors(even, self._config.rank, self._seed)
        share = np.float32(self._config.low_pass * trace / vectors.shape[1])
        return vectors * power(degrees, 0.5)[:, None] * share, vectors * power(degrees, -0.5)[:, None]


def singular_vectors(matrix: Csr, rank: int, seed: int, rounds: int = 5) -> Float32:
    """(n_columns, rank) float32 first right singular vectors, by power iterations on a random start."""
    rank = min(rank, *matrix.shape)
    wide = min(rank + 32, *matrix.shape)
    across = matrix.T.tocsr()
    basis = np.random.default_rng(seed).standard_normal((matrix.shape[1], wide)).astype(np.float32)
    for _ in range(rounds):
        basis = np.linalg.qr(across @ (matrix @ basis))[0]
    seen = matrix @ basis
    _, turned = np.linalg.eigh(seen.T @ seen)
    return np.asarray(basis @ turned[:, ::-1][:, :rank], dtype=np.float32)
