"""How well a hidden half of an audience is found from the other half: the metrics of audience expansion.

The hidden half is to be found among everybody who isn't in the seed; a hidden member comes last among equal scores.

| name             | meaning                                                                              |
| ---------------- | ------------------------------------------------------------------------------------ |
| `recall_at_size` | hidden members among as many customers as there are hidden ones / hidden members     |
| `auc`            | chance that a hidden member scores above somebody else; equal scores count half      |
| `lift@p`         | share of hidden members in the first p% / their share in everybody                   |
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from features.errors import BadInput
from models.arrays import Float32, Int64, Mask

PERCENTS = (1, 5, 10)
SEEDS = (0, 1, 2)


def halves(members: "NDArray[np.integer[Any]]", seed: int) -> tuple[Int64, Int64]:
    """Rows of the seed and of the hidden half, each in order; the odd one is hidden.

    Raises:  BadInput: fewer than two members.
    """
    if len(members) < 2:
        raise BadInput(f"an audience of {len(members)} can't be halved; two customers or more are needed", "members")
    shuffled = np.random.default_rng(seed).permutation(np.sort(members)).astype(np.int64)
    half = len(shuffled) // 2
    return np.sort(shuffled[:half]), np.sort(shuffled[half:])


def measure(scores: Float32, hidden: Mask) -> dict[str, float]:
    """Every metric of one ranking.

    Args:    scores: (n,) of everybody who isn't in the seed; hidden: (n,) who is to be found.
    Raises:  BadInput: nobody, or everybody, is hidden; or a score is NaN.
    """
    wanted = int(hidden.sum())
    if not 0 < wanted < len(hidden):
        raise BadInput(f"{wanted} of {len(hidden)} customers are hidden: somebody must be, and somebody not", "hidden")
    if np.isnan(scores).any():
        raise BadInput("a score is NaN", "scores")
    order = np.lexsort((np.arange(len(scores)), hidden, -scores.astype(np.float64)))
    found = np.cumsum(hidden[order])
    ranks = rankdata(scores)
    above = ranks[hidden].sum() - wanted * (wanted + 1) / 2
    metrics = {"recall_at_size": found[wanted - 1] / wanted, "auc": above / (wanted * (len(hidden) - wanted))}
    for percent in PERCENTS:
        first = max(1, round(len(hidden) * percent / 100))
        metrics[f"lift@{percent}"] = found[first - 1] / first * len(hidden) / wanted
    return {name: float(value) for name, value in metrics.items()}
