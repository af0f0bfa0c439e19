"""The best k of many scores, ties by row: the one place where an order is made."""

from collections.abc import Callable
from typing import Any

import numpy as np

from models.arrays import Csr, Float32, Int32, Mask
from models.histories import Histories

BLOCK = 512

Slate = tuple[Int32, Float32]


def top(scores: Float32, k: int, allowed: Mask | None = None) -> Slate:
    """The k best rows of one score vector.

    Args:    scores: (n_items,) float32, -inf is never shown; allowed: (n_items,) or None for all.
    Returns: (k,) int32 rows, best first, ties by row, padded with -1; (k,) float32 scores, padded with -inf.
    """
    if allowed is not None:
        rows = np.flatnonzero(allowed)
        scores = scores[rows]
    best = _best(scores, k)
    return padded(best if allowed is None else rows[best], scores[best], k)


def top_rows(scores: Float32, k: int, exclude: Csr | None = None) -> tuple[Int32, Float32]:
    """The k best columns of each row; the stored columns of `exclude` are never among them. `scores` is overwritten."""
    if exclude is not None:
        rows = np.repeat(np.arange(exclude.shape[0]), np.diff(exclude.indptr))
        scores[rows, exclude.indices] = -np.inf
    slates = [top(row, k) for row in scores]
    indices = np.array([slate[0] for slate in slates], dtype=np.int32).reshape(len(slates), k)
    return indices, np.array([slate[1] for slate in slates], dtype=np.float32).reshape(len(slates), k)


def in_blocks(
    scores: Callable[[Histories], Float32], histories: Histories, k: int, exclude: Csr | None = None
) -> tuple[Int32, Float32]:
    """top_rows() of many histories, so that the scores of all of them never stand in memory at once."""
    blocks = [
        top_rows(scores(histories.rows(at, at + BLOCK)), k, None if exclude is None else exclude[at : at + BLOCK])
        for at in range(0, max(len(histories), 1), BLOCK)
    ]
    return np.concatenate([rows for rows, _ in blocks]), np.concatenate([values for _, values in blocks])


def padded(rows: "np.ndarray[Any, Any]", scores: Float32, k: int) -> Slate:
    """A slate of exactly k places."""
    indices, values = np.full(k, -1, dtype=np.int32), np.full(k, -np.inf, dtype=np.float32)
    indices[: len(rows)], values[: len(rows)] = rows[:k], scores[:k]
    return indices, values


def _best(scores: Float32, k: int) -> "np.ndarray[Any, Any]":
    """Everything at or above the k-th score is a candidate, so that ties at the edge are decided by row too."""
    if 0 < k < len(scores):
        edge = np.partition(scores, len(scores) - k)[len(scores) - k]
        candidates = np.flatnonzero(scores >= edge)
    else:
        candidates = np.arange(len(scores))
    candidates = candidates[scores[candidates] > -np.inf]
    return candidates[np.argsort(-scores[candidates], kind="stable")][:k]
