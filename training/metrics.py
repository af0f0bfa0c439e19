"""Accuracy of slates under full ranking of the whole catalogue, the positive last among equal scores.

Means over users, each with at least one target. A target that the model doesn't know counts as missed.

| name          | of one user                                                                     |
| ------------- | ------------------------------------------------------------------------------- |
| `recall@k`    | targets in the first k / all targets                                            |
| `precision@k` | targets in the first k / k                                                      |
| `hr@k`        | 1 if a target is in the first k                                                 |
| `mrr@k`       | 1 / rank of the first target, 0 if it comes after k                             |
| `ndcg@k`      | sum of 1 / log2(1 + rank) of targets in the first k, divided by the best such   |
| `coverage@k`  | of all users: different items in the first k / items in the catalogue           |
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.arrays import Csr, Float32, Int32

Flags = NDArray[np.bool_]


def ranked(scores: Float32, wanted: Flags, k: int) -> Int32:
    """The first k columns of each row by score, a wanted one after the others of the same score.

    Args:    scores: (n, n_items), -inf is never shown; wanted: (n, n_items).
    Returns: (n, k) int32, padded with -1.
    """
    slates = np.full((len(scores), k), -1, dtype=np.int32)
    items = scores.shape[1]
    shown = scores > -np.inf
    if items > k:
        edge = np.partition(scores, items - k, axis=1)[:, items - k]
        shown &= scores >= edge[:, None]
        for row in np.flatnonzero(np.count_nonzero(shown, axis=1) > k):
            _cut(shown[row], scores[row] == edge[row], wanted[row], k)
    rows, columns = np.divmod(np.flatnonzero(shown), max(items, 1))
    order = np.lexsort((columns, wanted[rows, columns], -scores[rows, columns], rows))
    starts = np.searchsorted(rows, np.arange(len(scores)))
    slates[rows, np.arange(len(rows)) - starts[rows]] = columns[order]
    return slates


def per_user(
    slates: Int32, wanted: Csr, unknown: "NDArray[np.int64]", ks: Sequence[int]
) -> "dict[str, NDArray[np.float64]]":
    """Every metric of the table but coverage at every k, of each user by itself.

    Args:    slates: (n, max(ks)) int32, padded with -1; wanted: (n, n_items) csr of ones;
             unknown: (n,) number of a user's targets outside of the catalogue.
    Returns: (n,) float64 each; NaN for a user without targets.
    """
    hits = hits_of(slates, wanted)
    targets = np.diff(wanted.indptr) + unknown
    found: dict[str, NDArray[np.float64]] = {}
    for k in ks:
        for name, values in _of_users(hits[:, :k], np.maximum(targets, 1), k).items():
            found[f"{name}@{k}"] = np.where(targets > 0, values, np.nan)
    return found


def coverage(slates: Int32, items: int, k: int) -> float:
    """Share of the catalogue that stands in the first k of at least one slate."""
    shown = np.unique(slates[:, :k])
    return float((shown >= 0).sum() / items)


def measure(slates: Int32, wanted: Csr, unknown: "NDArray[np.int64]", ks: Sequence[int]) -> dict[str, float]:
    """Every metric at every k, with the arguments of per_user()."""
    measured = np.diff(wanted.indptr) + unknown > 0
    means = {
        name: float(values[measured].mean()) if measured.any() else float("nan")
        for name, values in per_user(slates, wanted, unknown, ks).items()
    }
    return means | {f"coverage@{k}": coverage(slates[measured], wanted.shape[1], k) for k in ks}


def _of_users(hits: Flags, targets: "NDArray[np.int64]", k: int) -> "dict[str, NDArray[Any]]":
    gains = 1.0 / np.log2(np.arange(2, k + 2))
    best = np.cumsum(gains)[np.minimum(targets, k) - 1]
    first = hits.argmax(axis=1) + 1
    any_hit = hits.any(axis=1)
    return {
        "recall": hits.sum(axis=1) / targets,
        "precision": hits.sum(axis=1) / k,
        "hr": any_hit,
        "mrr": np.where(any_hit, 1.0 / first, 0.0),
        "ndcg": (hits * gains).sum(axis=1) / best,
    }


def hits_of(slates: Int32, wanted: Csr) -> Flags:
    """(n, k) whether the item at that place of the slate is wanted."""
    starts = np.arange(len(slates), dtype=np.int64) * wanted.shape[1]
    pairs = np.repeat(starts, np.diff(wanted.indptr)) + wanted.indices
    return np.isin(starts[:, None] + slates, pairs) & (slates >= 0)


def _cut(shown: Flags, tied: Flags, wanted: Flags, k: int) -> None:
    """More than k reach the k-th score: of those that have just that one, keep as many as there is room for."""
    places = np.flatnonzero(tied)
    last = np.argsort(wanted[places], kind="stable")[k - np.count_nonzero(shown & ~tied) :]
    shown[places[last]] = False
