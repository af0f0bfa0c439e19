"""How far a mean over users can be believed: percentile bootstrap, users drawn with replacement.

Source: Efron, Tibshirani. An Introduction to the Bootstrap. 1993, chapter 13; Sakai. Evaluating Evaluation Metrics
Based on the Bootstrap. SIGIR 2006 (paired by user).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.errors import BadInput

Float64 = NDArray[np.float64]

RESAMPLES = 1_000
LEVEL = 0.95
BLOCK = 1 << 22  # drawn users that stand in memory at a time


class Interval(NamedTuple):
    """A mean, and the ends of its confidence interval."""

    mean: float
    low: float
    high: float


class Difference(NamedTuple):
    """The mean of a - b over the same users, its interval, and the two-sided p-value of no difference."""

    mean: float
    low: float
    high: float
    p: float


def interval(values: Float64, seed: int, level: float = LEVEL) -> Interval:
    """The 95% interval of a mean over users.

    Args:    values: (n,) of each user; NaN is a user who isn't measured.
    Raises:  BadInput: no user is measured.
    """
    return intervals({"value": values}, seed, level)["value"]


def intervals(values: dict[str, Float64], seed: int, level: float = LEVEL) -> dict[str, Interval]:
    """interval() of several metrics of the same users, with the same draws for each; NaN users must be the same.

    Raises:  BadInput: no user is measured.
    """
    table = np.stack(list(values.values()), axis=1)
    table = table[~np.isnan(table).any(axis=1)]
    drawn = resampled(table, seed)
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    means = table.mean(axis=0)
    return {name: Interval(float(means[at]), *map(float, ends[:, at])) for at, name in enumerate(values)}


def paired(a: Float64, b: Float64, seed: int, level: float = LEVEL) -> Difference:
    """Whether a is better than b: the interval of the mean of a - b, and how often chance alone would give as much.

    Args:    a, b: (n,) of the same users in the same order; who is NaN in one of them is left out.
    Returns: p is twice the share of the draws on the other side of 0, at least 1 / draws.
    Raises:  BadInput: the two are of different users, or nobody is measured in both.
    """
    if a.shape != b.shape:
        raise BadInput(f"only the same users can be compared, got {len(a)} and {len(b)}", "users")
    apart = (a - b)[~np.isnan(a - b)]
    drawn = resampled(apart[:, None], seed)[:, 0]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    other_side = min((drawn <= 0).mean(), (drawn >= 0).mean())
    return Difference(float(apart.mean()), float(low), float(high), float(min(1, max(2 * other_side, 1 / len(drawn)))))


def resampled(values: "NDArray[Any]", seed: int, resamples: int = RESAMPLES) -> Float64:
    """Means of so many draws of n users out of n.

    Args:    values: (n, m) float64.
    Returns: (resamples, m) float64.
    Raises:  BadInput: n is 0.
    """
    users = len(values)
    if users == 0:
        raise BadInput("an interval needs at least one user who is measured", "users")
    random = np.random.default_rng(seed)
    step = max(1, BLOCK // users)
    means = [_counts(random, min(step, resamples - at), users) @ values / users for at in range(0, resamples, step)]
    return np.concatenate(means)


def _counts(random: np.random.Generator, draws: int, users: int) -> Float64:
    """(draws, users) how often each user was drawn."""
    drawn = random.integers(0, users, size=(draws, users))
    drawn += np.arange(draws)[:, None] * users
    return np.bincount(drawn.ravel(), minlength=draws * users).reshape(draws, users).astype(np.float64)
