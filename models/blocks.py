"""Exact search by inner product that seldom looks at every vector: the longest first, until no shorter one can win.

The inner product with a query q is at most |v| |q| (Cauchy, Schwarz), so once the k-th best found is above that for the
next vector in order of length, it is above it for all that follow. Factors of ALS differ much in length, those of a
cosine model not at all.

Source: Teflioudi, Gemulla, Mykytiuk. LEMP: Fast Retrieval of Large Entries in a Matrix Product. SIGMOD 2015.
"""

import numpy as np

from models.arrays import Float32, Int32, Mask
from models.ranking import Slate, padded

FIRST = 2_048  # vectors of the first block; each further one is twice as long
ROUNDING = 1.0001  # sums of float32 may come out a little above the bound


class Blocks:
    """Vectors in order of length, equal ones by row: a copy of (n_items, d) float32."""

    def __init__(self, vectors: Float32) -> None:
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        self._rows: Int32 = np.argsort(-lengths, kind="stable").astype(np.int32)
        self._vectors: Float32 = np.ascontiguousarray(vectors[self._rows])
        self._shorter: Float32 = -lengths[self._rows]  # rising, for searchsorted

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
        reach = float(np.sqrt(vector @ vector)) * ROUNDING
        places, scores, edge = np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.float32), -np.inf
        begin, size, stop = 0, FIRST, len(self)
        while begin < stop:
            end = min(begin + size, stop)
            found = self._vectors[begin:end] @ vector
            if allowed is not None:
                found[~allowed[self._rows[begin:end]]] = -np.inf
            good = np.flatnonzero(found >= edge) if edge > -np.inf else np.flatnonzero(found > -np.inf)
            places, scores = np.concatenate([places, good + begin]), np.concatenate([scores, found[good]])
            if len(scores) >= k > 0:
                edge = float(np.partition(scores, len(scores) - k)[len(scores) - k])
                kept = scores >= edge
                places, scores = places[kept], scores[kept]
                stop = self._stop(edge, reach)
            begin, size = end, size * 2
        rows = self._rows[places]
        order = np.lexsort((rows, -scores))[:k]
        return padded(rows[order], scores[order], k), begin

    def _stop(self, edge: float, reach: float) -> int:
        """The first vector that is too short to reach the edge."""
        if not reach:
            return len(self)
        return int(np.searchsorted(self._shorter, np.float32(-edge / reach), side="right"))
