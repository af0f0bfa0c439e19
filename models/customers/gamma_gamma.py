"""Gamma-Gamma: what a customer's purchases are worth on average, shrunk towards the shop's where few are known.

It takes the value of a purchase to be independent of how often somebody buys; `correlation` says whether that holds.
Source:  Fader, Hardie. The Gamma-Gamma Model of Monetary Value. 2013. Fader, Hardie, Lee. RFM and CLV: Using
         Iso-Value Curves for Customer Base Analysis. Journal of Marketing Research 42, 2005.
"""

from typing import NamedTuple, Self

import numpy as np
from scipy.special import digamma, gammaln

from features.errors import BadInput, NotFitted
from models.customers.bg_nbd import Float64
from models.customers.climbing import lowest

_BOUND = 14.0
_STARTS = ((1.0, 1.0), (6.0, 3.0), (0.5, 4.0))  # p, q - 1
_LEAST = 2


class Spread(NamedTuple):
    """Values of one customer's purchases are Gamma(p, nu), nu over customers is Gamma(q, v); q > 1: a mean exists."""

    p: float
    q: float
    v: float


class GammaGamma:
    """The spend model by maximum likelihood; deterministic, so no seed."""

    def __init__(self, spread: Spread | None = None, correlation: float = 0.0) -> None:
        self._spread = spread
        self.correlation = correlation  # of the number of purchases and their mean value, among those fitted on

    @property
    def spread(self) -> Spread:
        """The fitted parameters.

        Raises:  NotFitted: before fit().
        """
        if self._spread is None:
            raise NotFitted("the spend model has no parameters yet: call fit() first")
        return self._spread

    def fit(self, count: Float64, mean: Float64) -> Self:
        """The parameters of the highest likelihood.

        Args:    count: (n,) purchases; mean: (n,) their mean value, one currency. Rows where either is 0 are left out:
                 the model knows no free purchase.
        Raises:  BadInput: a NaN, a negative number, or fewer than two customers are left.
        """
        _check(count, mean)
        used = (count > 0) & (mean > 0)
        if used.sum() < _LEAST:
            raise BadInput("the spend model needs at least two customers with purchases above 0", "amount")
        x, z = count[used], mean[used]
        scale = float(z.mean())
        found = [_climbed(np.array([*np.log(start), 0.0]), x, z / scale) for start in _STARTS]
        p, above, v = np.exp(max(found, key=lambda each: -each[0])[1])
        self._spread = Spread(float(p), 1 + float(above), float(v) * scale)
        varied = x.std() > 0 and z.std() > 0
        self.correlation = float(np.corrcoef(x, z)[0, 1]) if varied else 0.0
        return self

    def expected(self, count: Float64, mean: Float64) -> Float64:
        """(n,) what a purchase of each customer is worth on average; the shop's mean where count is 0."""
        _check(count, mean)
        p, q, v = self.spread
        value: Float64 = p * (v + count * np.where(count > 0, mean, 0)) / (p * count + q - 1)
        return value


def log_likelihood(spread: Spread, count: Float64, mean: Float64) -> Float64:
    """(n,) natural logarithm of the density of each customer's mean value."""
    p, q, v = spread
    px = p * count
    shape = gammaln(px + q) - gammaln(px) - gammaln(q) + q * np.log(v)
    density: Float64 = shape + (px - 1) * np.log(mean) + px * np.log(count) - (px + q) * np.log(v + count * mean)
    return density


def gradient(spread: Spread, count: Float64, mean: Float64) -> Float64:
    """(3,) derivative of the summed logarithm of the likelihood by p, q, v."""
    p, q, v = spread
    px, total = p * count, v + count * mean
    by_p = count * (digamma(px + q) - digamma(px) + np.log(mean) + np.log(count) - np.log(total))
    by_q = digamma(px + q) - digamma(q) + np.log(v) - np.log(total)
    by_v = q / v - (px + q) / total
    return np.array([each.sum() for each in (by_p, by_q, by_v)])


def _climbed(start: Float64, count: Float64, mean: Float64) -> tuple[float, Float64]:
    def value(logs: Float64) -> tuple[float, Float64]:
        p, above, v = (float(each) for each in np.exp(logs))
        spread = Spread(p, 1 + above, v)
        slope = gradient(spread, count, mean) * np.array([p, above, v])
        return -float(log_likelihood(spread, count, mean).sum()) / len(count), -slope / len(count)

    return lowest(value, start, [(-_BOUND, _BOUND)] * 3)


def _check(count: Float64, mean: Float64) -> None:
    if not len(count) or len(count) != len(mean):
        raise BadInput(f"count and mean must be of equal length above 0, got {len(count)} and {len(mean)}", "amount")
    if not (np.isfinite(count).all() and np.isfinite(mean).all()) or (count < 0).any() or (mean < 0).any():
        raise BadInput("a number of purchases or their mean value is negative or none (NaN)", "amount")
