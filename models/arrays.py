"""The types of the arrays that models pass around."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Csr = csr_matrix[Any]
Mask = NDArray[np.bool_]


def matrix_of(rows: Int32, columns: Int32, values: Float32, shape: tuple[int, int]) -> Csr:
    """A csr float32 matrix of distinct (row, column) pairs, columns in order within each row."""
    matrix = csr_matrix((values, (rows, columns)), shape=shape, dtype=np.float32)
    matrix.sort_indices()
    return matrix
