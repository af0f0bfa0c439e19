"""What accuracy doesn't see: whether slates are varied, novel, fair to the catalogue, and of the user's own mixture.

Of the first k of every slate; popularity is the number of users who met an item in what the model was fitted on.

| name             | meaning                                                                                    |
| ---------------- | ------------------------------------------------------------------------------------------ |
| `diversity@k`    | 1 - mean cosine of the pairs within a slate, over at most SAMPLE slates; 1 is all different |
| `novelty@k`      | mean of -log2(users of the item / users), in bits; an item nobody met counts as met by one  |
| `popularity@k`   | mean percentile of what is shown in the catalogue by popularity, 0 to 1; .5 is no bias      |
| `gini@k`         | how unevenly the catalogue is shown: 0 every item as often, 1 one item alone                |
| `calibration@k`  | mean KL divergence of the slate's mix of categories from that of the history; 0 is the same |

Two items are alike by content where it is known, else by who met both. A slate of one item has no diversity and is left
out; padding is nothing shown.

Source: Castells, Hurley, Vargas. Novelty and Diversity in Recommender Systems. Handbook, 2015; Steck. Calibrated
Recommendations. RecSys 2018.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from models.arrays import Csr, Int32
from models.histories import Histories
from models.interactions import Interactions

Float64 = NDArray[np.float64]

SAMPLE = 2_000
SMOOTHING = (
    0.01  # of the history's mix is added to the slate's, so that a category that isn't shown isn't infinitely far
)
_BLOCK = 256


def measure(
    slates: Int32,
    learned: Interactions,
    asked: Histories,
    ks: Sequence[int],
    seed: int = 0,
    categories: Int32 | None = None,
) -> dict[str, float]:
    """Every metric of the table at every k.

    Args:    slates: (n, max(ks)) int32 rows of `learned.items`, padded with -1; asked: the n histories;
             categories: (n_items,) int32 of each item, -1 where unknown; None leaves calibration out.
    """
    met = np.asarray((learned.matrix > 0).sum(axis=0)).ravel().astype(np.float64)
    vectors = _unit(learned.content.matrix if learned.content is not None else csr_matrix(learned.matrix.T > 0))
    some = np.sort(np.random.default_rng(seed).permutation(len(slates))[:SAMPLE])
    found: dict[str, float] = {}
    for k in ks:
        shown = slates[:, :k]
        found[f"diversity@{k}"] = _mean(diversity(shown[some], vectors))
        found[f"novelty@{k}"] = _mean_of(shown, -np.log2(np.maximum(met, 1) / max(len(learned.users), 1)))
        found[f"popularity@{k}"] = _mean_of(shown, percentiles(met))
        found[f"gini@{k}"] = gini(np.bincount(shown[shown >= 0], minlength=len(met)).astype(np.float64))
        if categories is not None:
            found[f"calibration@{k}"] = _mean(miscalibration(shown, asked, categories))
    return found


def diversity(slates: Int32, vectors: Csr) -> Float64:
    """1 - mean cosine over the pairs of each slate; NaN where it holds fewer than two items.

    The squared length of the sum of n unit vectors is n + twice the sum of their pairs' cosines, which saves the pairs.

    Args:    vectors: (n_items, m) csr, rows of length 1 or 0.
    """
    found = np.full(len(slates), np.nan)
    lengths = np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel()
    for at in range(0, len(slates), _BLOCK):
        block = slates[at : at + _BLOCK]
        chosen = _indicator(block, vectors.shape[0])
        total = csr_matrix(chosen @ vectors)
        squares = np.asarray(total.multiply(total).sum(axis=1)).ravel() - chosen @ lengths
        count = (block >= 0).sum(axis=1)
        pairs = np.maximum(count * (count - 1), 1)
        found[at : at + _BLOCK] = np.where(count > 1, 1 - squares / pairs, np.nan)
    return found


def percentiles(met: Float64) -> Float64:
    """Place of each item in the catalogue by popularity: 0 the least, 1 the most; equal ones share the mean place."""
    if len(met) < 2:
        return np.full(len(met), 0.5)
    order = np.sort(met)
    below, upto = np.searchsorted(order, met), np.searchsorted(order, met, side="right")
    return np.asarray((below + upto - 1) / 2 / (len(met) - 1), dtype=np.float64)


def gini(counts: Float64) -> float:
    """Gini coefficient of how often each item was shown; NaN where nothing was.

    Source:  G = sum (2 i - n - 1) x_i / (n sum x), x ascending, i from 1.
    """
    n, total = len(counts), float(counts.sum())
    if total == 0:
        return float("nan")
    places = 2 * np.arange(1, n + 1) - n - 1
    return float((places * np.sort(counts)).sum() / (n * total))


def miscalibration(slates: Int32, asked: Histories, categories: Int32) -> Float64:
    """KL(history's mix || slate's smoothed mix) in nats; NaN where one of the two has no item of a known category.

    Every event of the history counts by its weight, every item of the slate once.
    """
    mixes = _unit_sum(csr_matrix(asked.matrix @ _one_hot(categories)))
    shown = _unit_sum(csr_matrix(_indicator(slates, len(categories)) @ _one_hot(categories)))
    smoothed = csr_matrix(shown * (1 - SMOOTHING) + mixes * SMOOTHING)
    row = np.repeat(np.arange(len(slates)), np.diff(mixes.indptr))
    other = np.asarray(smoothed[row, mixes.indices]).ravel()
    apart = np.bincount(row, mixes.data * np.log(mixes.data / other), minlength=len(slates))
    known = (np.diff(mixes.indptr) > 0) & (np.diff(shown.indptr) > 0)
    return np.where(known, apart, np.nan)


def _indicator(slates: Int32, items: int) -> Csr:
    """(n, items) csr of ones where an item stands in the slate."""
    row, place = np.nonzero(slates >= 0)
    return csr_matrix((np.ones(len(row)), (row, slates[row, place])), shape=(len(slates), items))


def _one_hot(categories: Int32) -> Csr:
    items = np.flatnonzero(categories >= 0)
    shape = (len(categories), int(categories.max(initial=0)) + 1)
    return csr_matrix((np.ones(len(items)), (items, categories[items])), shape=shape)


def _unit(rows: Csr) -> Csr:
    """Rows of length 1; an empty one stays empty."""
    squares = np.asarray(rows.multiply(rows).sum(axis=1), dtype=np.float64).ravel()
    return csr_matrix(diags(1 / np.sqrt(np.where(squares > 0, squares, 1))) @ rows.astype(np.float64))


def _unit_sum(rows: Csr) -> Csr:
    """Rows that sum to 1, columns in order; an empty one stays empty."""
    sums = np.asarray(rows.sum(axis=1), dtype=np.float64).ravel()
    scaled = csr_matrix(diags(1 / np.where(sums > 0, sums, 1)) @ rows)
    scaled.sort_indices()
    return scaled


def _mean_of(slates: Int32, values: Float64) -> float:
    """Mean over users of the mean over what each is shown; who is shown nothing is left out."""
    shown = slates >= 0
    counts = shown.sum(axis=1)
    sums = np.where(shown, values[slates], 0.0).sum(axis=1)
    return _mean(np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))


def _mean(values: Float64) -> float:
    """Mean of what is there; NaN for nothing."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")
