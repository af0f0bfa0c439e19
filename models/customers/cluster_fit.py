"""How many clusters there are, where their centroids lie, and which of them is which of last night's.

Source: k-means++: Arthur, Vassilvitskii. SODA 2007. Number of clusters: Tibshirani, Walther. Cluster
        Validation by Prediction Strength. JCGS 2005 (the largest number of strength 0.8). The adjusted Rand index
        would say much the same, but hardly sees one good cluster of many cut in two at random. Matching: Kuhn. The
        Hungarian Method for the Assignment Problem. 1955.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans

Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]


def nearest(points: Float64, centroids: Float64) -> tuple[Ints, Float64, Float64]:
    """For each point the row of the nearest centroid (ties by row), its distance, and that of the second nearest."""
    squares = np.square(points).sum(axis=1)[:, None] + np.square(centroids).sum(axis=1) - 2.0 * points @ centroids.T
    distances = np.sqrt(np.maximum(squares, 0.0))
    closest = distances.argmin(axis=1)
    if len(centroids) == 1:
        return closest, distances[:, 0], np.full(len(points), np.inf)
    two = np.partition(distances, 1, axis=1)
    return closest, two[:, 0], two[:, 1]


def centroids_of(points: Float64, k: int, seed: int, start: Float64 | None = None, restarts: int = 4) -> Float64:
    """(k, c) of the best of `restarts` k-means++ runs; of the run from `start`, unless they are better by over 1%.

    So the centroids of last night stay where the data still puts them there.
    """
    fresh = KMeans(k, n_init=restarts, random_state=seed).fit(points)
    if start is not None and start.shape == (k, points.shape[1]):
        warm = KMeans(k, init=start, n_init=1).fit(points)
        if warm.inertia_ <= 1.01 * fresh.inertia_:
            fresh = warm
    centroids: Float64 = fresh.cluster_centers_
    return centroids


def strength(points: Float64, k: int, seed: int, rounds: int) -> float:
    """Prediction strength: of the pairs that k-means puts together in a random half, how many the other half's would.

    The mean over rounds of that of the worst cluster, so that one cluster cut in two at random tells.
    """
    random = np.random.default_rng(seed)
    found = []
    for _ in range(rounds):
        shuffled = random.permutation(len(points))
        one, two = points[shuffled[: len(points) // 2]], points[shuffled[len(points) // 2 :]]
        learned, own = (nearest(two, centroids_of(half, k, seed))[0] for half in (one, two))
        both = np.zeros((k, k))
        np.add.at(both, (own, learned), 1)
        sizes = both.sum(axis=1)
        kept = (both * (both - 1)).sum(axis=1)[sizes > 1] / (sizes * (sizes - 1))[sizes > 1]
        found.append(kept.min() if len(kept) else 0.0)
    return float(np.mean(found))


def choose(strengths: dict[int, float], wanted: float, held: int | None, hold: float) -> int:
    """The number of clusters: the largest of the strength wanted; where none has it, the strongest.

    Args:    held: last night's number stays while its strength is `hold`, or no other number has the strength wanted:
             noise doesn't change the segments.
    """
    strong = [k for k, value in strengths.items() if value >= wanted]
    if held in strengths and (strengths[held] >= hold or not strong):
        return held
    return max(strong) if strong else min(strengths, key=lambda k: (-strengths[k], k))


def matched(old: Ints, new: Ints, k: int, next_id: int, overlap: float) -> tuple[Ints, int]:
    """Ids of the new clusters: those of the old ones whose members they have, else ids that were never used.

    Args:    old: (n,) id, new: (n,) row of the new cluster, of the same customers; overlap: the Jaccard index of the
             members that a pair needs at least to count as one cluster.
    Returns: (k,) int64, and the next id that is free.
    """
    ids = np.unique(old)
    both = np.array([[np.sum((old == each) & (new == row)) for row in range(k)] for each in ids], dtype=np.float64)
    either = np.array([np.sum(old == each) for each in ids])[:, None] + np.bincount(new, minlength=k) - both
    jaccard = both / np.maximum(either, 1)
    found = np.zeros(k, dtype=np.int64)
    for place, row in zip(*linear_sum_assignment(jaccard, maximize=True), strict=True):
        if jaccard[place, row] >= overlap:
            found[row] = ids[place]
    for row in np.flatnonzero(found == 0):
        found[row], next_id = next_id, next_id + 1
    return found, next_id
