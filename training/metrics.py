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
    for slate, row, target in zip(slates, scores, wanted, strict=True):
        edge = -np.inf if len(row) <= k else np.partition(row, len(row) - k)[len(row) - k]
        candidates = np.flatnonzero((row >= edge) & (row > -np.inf))
        best = candidates[np.lexsort((candidates, target[candidates], -row[candidates]))][:k]
        slate[: len(best)] = best
    return slates


def measure(slates: Int32, wanted: Csr, unknown: "NDArray[np.int64]", ks: Sequence[int]) -> dict[str, float]:
    """Every metric at every k.

    Args:    slates: (n, max(ks)) int32, padded with -1; wanted: (n, n_items) csr of ones;
             unknown: (n,) number of a user's targets outside of the catalogue.
    """
    hits = _hits(slates, wanted)
    targets = np.diff(wanted.indptr) + unknown
    measured = targets > 0
    hits, targets, slates = hits[measured], targets[measured], slates[measured]
    found: dict[str, float] = {}
    for k in ks:
        for name, values in _of_users(hits[:, :k], targets, k).items():
            found[f"{name}@{k}"] = float(values.mean()) if len(values) else float("nan")
        shown = np.unique(slates[:, :k])
        found[f"coverage@{k}"] = float((shown >= 0).sum() / wanted.shape[1])
    return found


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


def _hits(slates: Int32, wanted: Csr) -> Flags:
    users = np.arange(len(slates), dtype=np.int64)[:, None] * wanted.shape[1]
    rows = np.repeat(np.arange(len(slates), dtype=np.int64), np.diff(wanted.indptr))
    pairs = rows * wanted.shape[1] + wanted.indices
    return np.isin(users + slates, pairs) & (slates >= 0)
