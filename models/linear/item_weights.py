"""Which items go with which: item-item weights as sparse rows, each cut to its largest, made block by block.

Neither (n_users, n_items) nor all of (n_items, n_items) ever stands in memory: one block of rows does, of at most
BLOCK_VALUES values, and what is kept of the rows.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.arrays import Csr, Float32, Int32
from models.contracts import Progress

BLOCK_VALUES = 1 << 25
LONGEST = 1000


def bounded(matrix: Csr, seed: int, longest: int = LONGEST) -> Csr:
    """At most `longest` pairs of each user, drawn evenly: what a user adds to the products grows with their square."""
    counts = np.diff(matrix.indptr)
    if not (counts > longest).any():
        return matrix
    rng = np.random.default_rng(seed)
    kept = np.ones(matrix.nnz, dtype=np.bool_)
    for row in np.flatnonzero(counts > longest):
        kept[matrix.indptr[row] + rng.permutation(counts[row])[longest:]] = False
    indptr = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
    return csr_matrix((matrix.data[kept], matrix.indices[kept], indptr), shape=matrix.shape)


def scaled(matrix: Csr, rows: Float32 | None = None, columns: Float32 | None = None) -> Csr:
    """The matrix with each row and each column multiplied by its factor."""
    values: Float32 = matrix.data
    if rows is not None:
        values = values * np.repeat(rows, np.diff(matrix.indptr))
    if columns is not None:
        values = values * columns[matrix.indices]
    return csr_matrix((values, matrix.indices, matrix.indptr), shape=matrix.shape)


def power(values: Float32, exponent: float) -> Float32:
    """values ** exponent; 0 stays 0, also under a negative exponent."""
    raised = np.power(values, exponent, out=np.zeros_like(values), where=values > 0)
    return raised.astype(np.float32)


def sums(matrix: Csr, axis: int) -> Float32:
    """The sums along an axis as a flat float32 array."""
    return np.asarray(matrix.sum(axis=axis), dtype=np.float32).ravel()


def spans(n_items: int) -> list[tuple[int, int]]:
    """[start, stop) of blocks of rows, of at most BLOCK_VALUES values each."""
    step = max(1, BLOCK_VALUES // max(n_items, 1))
    return [(at, min(at + step, n_items)) for at in range(0, n_items, step)]


def cut(blocks: Iterable[Csr | Float32], n_items: int, kept: int, progress: Progress | None = None) -> Csr:
    """Blocks of consecutive rows as one csr matrix, of each row only the `kept` values that are largest in amount.

    Args:    blocks: of as many rows as spans() says, sparse or dense; equal values are kept in the order of columns.
    """
    values, columns, counts = [], [], [0]
    for done, block in enumerate(blocks, 1):
        for row, places in _rows(block):
            largest = _largest(row, kept)
            values.append(row[largest])
            columns.append(largest if places is None else places[largest])
            counts.append(len(largest))
        if progress is not None:
            progress(done, len(spans(n_items)))
    shape = (n_items, n_items)
    return csr_matrix((np.concatenate(values), np.concatenate(columns), np.cumsum(counts)), shape=shape)


def _rows(block: Csr | Float32) -> Iterator[tuple[Float32, Int32 | None]]:
    """The values of each row, and their columns; None where these are all of them."""
    if isinstance(block, np.ndarray):
        yield from ((row, None) for row in block)
        return
    block.sort_indices()
    for start, stop in zip(block.indptr[:-1], block.indptr[1:], strict=True):
        yield block.data[start:stop], block.indices[start:stop]


def _largest(values: Float32, kept: int) -> "NDArray[np.integer[Any]]":
    """Places of the `kept` largest amounts above 0, in order of place; the first ones among equals."""
    amounts = np.abs(values)
    if len(amounts) <= kept:
        return np.flatnonzero(amounts).astype(np.int32)
    edge = np.partition(amounts, len(amounts) - kept)[len(amounts) - kept]
    above = np.flatnonzero(amounts > edge)
    level = np.flatnonzero(amounts == edge)[: kept - len(above)] if edge > 0 else above[:0]
    return np.sort(np.concatenate([above, level])).astype(np.int32)
