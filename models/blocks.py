"""Exact search by inner product that seldom looks at every vector: the longest first, until no shorter one can win.

The inner product with a query q is at most |v| |q| (Cauchy, Schwarz), so once the k-th best found is above that for the
next vector in order of length, it is above it for all that follow. Factors of ALS differ much in length, those of a
cosine model not at all.

Source: Teflioudi, Gemulla, Mykytiuk. LEMP: Fast Retrieval of Large Entries in a Matrix Product. SIGMOD 2015.
"""

import numpy as np

from features.compiled.kernel import owned
from models.arrays import Float32, Int32, Mask
from models.longest import NOWHERE, longest_first
from models.ranking import Slate, padded

ROUNDING = 1.0001  # sums of float32 may come out a little above the bound


class Blocks:
    """Vectors in order of length, equal ones by row: a copy of (n_items, d) float32."""

    def __init__(self, vectors: Float32) -> None:
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        self._rows: Int32 = np.argsort(-lengths, kind="stable").astype(np.int32)
        self._vectors: Float32 = np.ascontiguousarray(vectors[self._rows])
        self._lengths: Float32 = lengths[self._rows]
        self._everything: Mask = np.ones(len(vectors), dtype=np.bool_)

    def __len__(self) -> int:
        return len(self._rows)

    def search(self, vector: Float32, k: int, allowed: Mask | None = None) -> Slate:
        """The k items with the largest inner product, ties by row, as comparing everything has them.

        Args:    vector: (d,) float32; allowed: (n_items,) or None for all.
        Returns: (k,) int32 and (k,) float32, padded with -1 and -inf.
        """
        return self.looked(vector, k, allowed)[0]

    def looked(self, vector: Float32, k: int, allowed: Mask | None = None) -> tuple[Slate, int]:
        """The same, and how many vectors were compared."""
        best, places = np.full(k, -np.inf, dtype=np.float32), np.full(k, NOWHERE, dtype=np.int32)
        if not k:
            return (places, best), 0
        reach = np.sqrt(vector @ vector) * np.float32(ROUNDING)
        mask = self._everything if allowed is None else owned(allowed, np.bool_)
        query = owned(vector, np.float32)
        compared = longest_first(self._vectors, self._rows, self._lengths, mask, query, reach, best, places)
        found = places[places != NOWHERE]
        rows, scores = self._rows[found], self._vectors[found] @ query  # summed as comparing everything does
        order = np.lexsort((rows, -scores))
        return padded(rows[order], scores[order], k), compared
