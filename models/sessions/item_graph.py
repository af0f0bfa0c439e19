"""Which item follows which: transitions within a few steps, and a walk of two steps over them."""

import numpy as np
from scipy.sparse import csr_matrix, diags

from models.arrays import Csr, Float32, Int32, Int64
from models.sessions.neighbours import largest


def transitions(session_of: Int32, items: Int32, n_items: int, steps: int, decays: bool) -> Csr:
    """How often an item comes up to `steps` events after another in the same session.

    Returns: (n_items, n_items) csr float32, row before column, an item is never its own successor; a pair at distance d
             counts 1 / d, or 1 where it doesn't decay.
    """
    nothing = np.zeros(0, dtype=np.int32)
    total: Csr = csr_matrix((nothing.astype(np.float32), (nothing, nothing)), shape=(n_items, n_items))
    for step in range(1, steps + 1):
        kept = (session_of[step:] == session_of[:-step]) & (items[step:] != items[:-step])
        before, after = items[:-step][kept], items[step:][kept]
        worth = np.full(len(before), 1.0 / step if decays else 1.0, dtype=np.float32)
        total = total + csr_matrix((worth, (before, after)), shape=(n_items, n_items))
    return total


def shares(graph: Csr, degree: int) -> Csr:
    """The `degree` strongest edges of each row, each divided by the sum of all of its row."""
    sums = np.maximum(np.asarray(graph.sum(axis=1)).ravel(), 1e-9)
    return strongest(csr_matrix(diags(1.0 / sums) @ graph, dtype=np.float32), degree)


def strongest(matrix: Csr, count: int) -> Csr:
    """Only the `count` largest values of each row, ties by column."""
    matrix.sort_indices()
    rows: Int64 = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    kept = largest(rows, matrix.data, count)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=matrix.shape[0]))])
    return csr_matrix((matrix.data[kept], matrix.indices[kept], indptr), shape=matrix.shape)


def scaled(matrix: Csr) -> Csr:
    """Each row divided by its largest value; empty rows stay so."""
    largest_of: Float32 = matrix.max(axis=1).toarray().ravel()
    factors = np.divide(1.0, largest_of, out=np.zeros_like(largest_of), where=largest_of > 0)
    return csr_matrix(diags(factors) @ matrix, dtype=np.float32)
