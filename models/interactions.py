"""Who met what, as numbers: ids to rows, and a sparse matrix of confidences."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Csr = csr_matrix[Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class IdMap:
    """Ids in sorted order; an id's place is its row, so that ties broken by row are ties broken by id."""

    ids: tuple[str, ...]

    @classmethod
    def of(cls, ids: Iterable[str]) -> "IdMap":
        """The map of these ids, each once."""
        return cls(tuple(sorted(set(ids))))

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {identity: row for row, identity in enumerate(self.ids)}

    @cached_property
    def _index(self) -> "pd.Index[str]":
        return pd.Index(self.ids, dtype="str")

    def row(self, identity: str) -> int:
        """The row of one id; -1 where it is unknown."""
        return self._rows.get(identity, -1)

    def rows(self, ids: "Iterable[str]") -> Int32:
        """(n,) int32 rows of the ids, in their order; -1 where unknown."""
        values = ids if isinstance(ids, pd.Series) else pd.Series(list(ids), dtype="str")
        return self._index.get_indexer(pd.Index(values)).astype(np.int32)

    def names(self, rows: Int32) -> list[str]:
        """The ids of the rows, in their order; rows below 0 (padding) are left out."""
        return [self.ids[row] for row in rows.tolist() if row >= 0]


@dataclass(frozen=True)
class Interactions:
    """What a model is fitted on.

    `matrix` is (n_users, n_items) float32, every stored confidence above 0, columns in order within a row.
    `timestamps` is (nnz,) int64 ms UTC, the newest time of each stored pair, aligned with `matrix.data`; None where
    the source has no times. `window` is [since, until) in ms UTC; None without times.
    """

    users: IdMap
    items: IdMap
    matrix: Csr
    timestamps: Int64 | None = None
    window: tuple[int, int] | None = None


def matrix_of(rows: Int32, columns: Int32, values: Float32, shape: tuple[int, int]) -> Csr:
    """A csr float32 matrix of distinct (row, column) pairs, columns in order within each row."""
    matrix = csr_matrix((values, (rows, columns)), shape=shape, dtype=np.float32)
    matrix.sort_indices()
    return matrix
