"""Exact search by inner product that seldom looks at every vector: the longest first, until no shorter one can win.

The inner product with a query q is at most |v| |q| (Cauchy, Schwarz), so once the k-th best found is above that for the
next vector in order of length, it is above it for all that follow. Factors of ALS differ much in length, those of a
cosine model not at all. Of those that are looked at most are told apart by a byte a number: v = s c + r with integers
c, so v q lies within |r| |q| of s c q, and only where that is enough for the slate is v itself multiplied.

Source: Teflioudi, Gemulla, Mykytiuk. LEMP: Fast Retrieval of Large Entries in a Matrix Product. SIGMOD 2015.
"""

import numpy as np

from features.compiled.kernel import owned
from models.arrays import Float32, Int32, Mask
from models.longest import NOWHERE, Rounded, longest_first, round_off
from models.ranking import Slate, padded

ROUNDING = 1.0001  # sums of float32 may come out a little above the bound


class Blocks:
    """Vectors in order of length, equal ones by row; beside them a byte a number, and 29 bytes a vector."""

    def __init__(self, vectors: Float32) -> None:
        self._vectors: Float32 = owned(vectors, np.float32)
        lengths = np.sqrt(np.einsum("ij,ij->i", self._vectors, self._vectors))
        rows: Int32 = np.argsort(-lengths, kind="stable").astype(np.int32)
        self._rounded = _rounded(self._vectors, rows, lengths[rows])
        self._directions = self._rounded._replace(
            lengths=np.full(len(rows), np.inf, dtype=np.float32),  # of those that point best any may be the shortest
            weights=_inverse(self._rounded.lengths),
        )
        self._everything: Mask = np.ones(len(vectors), dtype=np.bool_)

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def nbytes(self) -> int:
        """Bytes that it holds beside the vectors."""
        kept = (*self._rounded, self._directions.lengths, self._directions.weights, self._everything)
        return sum(each.nbytes for each in kept)

    def search(self, vector: Float32, k: int, allowed: Mask | None = None) -> Slate:
        """The k items with the largest inner product, ties by row, as comparing everything has them.

        Args:    vector: (d,) float32; allowed: (n_items,) or None for all.
        Returns: (k,) int32 and (k,) float32, padded with -1 and -inf.
        """
        return self.looked(vector, k, allowed)[0]

    def alike(self, vector: Float32, k: int, allowed: Mask | None = None) -> Slate:
        """The k items with the largest cosine, else as search(); of a vector of zeros it is 0."""
        length = np.sqrt(np.array([vector @ vector], dtype=np.float32))
        return self._best(self._directions, vector * _inverse(length), k, allowed)[0]

    def looked(self, vector: Float32, k: int, allowed: Mask | None = None) -> tuple[Slate, int]:
        """What search() finds, and how many vectors were compared."""
        return self._best(self._rounded, vector, k, allowed)

    def _best(self, rounded: Rounded, vector: Float32, k: int, allowed: Mask | None) -> tuple[Slate, int]:
        best, places = np.full(k, -np.inf, dtype=np.float32), np.full(k, NOWHERE, dtype=np.int32)
        if not k:
            return (places, best), 0
        reach = np.sqrt(vector @ vector) * np.float32(ROUNDING)
        mask = self._everything if allowed is None else owned(allowed, np.bool_)
        query = owned(vector, np.float32)
        compared = longest_first(self._vectors, rounded, mask, query, reach, best, places)
        found = places[places != NOWHERE]
        rows = rounded.rows[found]
        scores = (self._vectors[rows] @ query) * rounded.weights[found]  # summed as comparing everything does
        order = np.lexsort((rows, -scores))
        return padded(rows[order], scores[order], k), compared


def _rounded(vectors: Float32, rows: Int32, lengths: Float32) -> Rounded:
    rounded = Rounded(
        rows,
        lengths,
        codes=np.empty(vectors.shape, dtype=np.int8),
        steps=np.empty_like(lengths),
        doubts=np.empty_like(lengths),
        weights=np.ones_like(lengths),
    )
    round_off(vectors, rounded)
    return rounded


def _inverse(lengths: Float32) -> Float32:
    found: Float32 = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return found
