"""BG/NBD: how often a customer of a shop without contracts will buy again, from when and how often they bought so far.

A customer buys at a rate of their own (gamma over customers) and may leave for good after any purchase, with a chance
of their own (beta over customers). Four numbers describe a shop; everything else follows in closed form. It is the
honest baseline of churn where nobody ever says that they leave.
Source:  Fader, Hardie, Lee. "Counting Your Customers" the Easy Way: An Alternative to the Pareto/NBD Model.
         Marketing Science 24, 2005. Figures for CDNOW: the same, table 2.
"""

from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, expit, gammaln, hyp2f1

from features.errors import BadInput, BrokenArtifact, NotFitted
from models import array_files
from models.customers.climbing import lowest

Float64 = NDArray[np.float64]
_STARTS = ((1.0, 1.0, 1.0, 1.0), (0.25, 0.25, 1.0, 3.0), (3.0, 3.0, 0.3, 1.5))  # r, alpha / mean age, a, b
_BOUND = 14.0  # of a logarithm: beyond e^14 a parameter only says "no spread"
_AT_ONE = 1e-5  # the expectation has a removable hole at a = 1
_LEAST = 2


class Purchases(NamedTuple):
    """What the model needs to know of n customers, all in one unit of time (weeks here, and in the paper)."""

    repeats: Float64  # (n,) purchases after the first one, those of one day as one; whole, 0 and more
    recency: Float64  # (n,) time from the first purchase to the last one; 0 without repeats
    age: Float64  # (n,) time from the first purchase to the end of what was observed


class Shop(NamedTuple):
    """The four parameters: purchase rates are Gamma(r, alpha), chances to leave after a purchase Beta(a, b)."""

    r: float
    alpha: float
    a: float
    b: float


class BgNbd:
    """BG/NBD by maximum likelihood; deterministic, so no seed."""

    name: ClassVar[str] = "bg_nbd"

    def __init__(self, shop: Shop | None = None) -> None:
        self._shop = shop

    @property
    def shop(self) -> Shop:
        """The fitted parameters.

        Raises:  NotFitted: before fit() or load().
        """
        if self._shop is None:
            raise NotFitted("bg_nbd has no parameters yet: call fit() or load() first")
        return self._shop

    def fit(self, purchases: Purchases) -> Self:
        """The parameters of the highest likelihood, the best of several starts.

        Raises:  BadInput: numbers that can't be, fewer than two customers, or nobody who bought twice.
        """
        data = checked(purchases)
        if len(data.age) < _LEAST:
            raise BadInput(f"BG/NBD needs at least {_LEAST} customers, there is {len(data.age)}", "purchases")
        if not data.repeats.any():
            raise BadInput("nobody bought twice: BG/NBD learns from repeat purchases; observe for longer", "purchases")
        scale = float(data.age.mean())
        scaled = Purchases(data.repeats, data.recency / scale, data.age / scale)
        found = [_climbed(np.log(start), scaled) for start in _STARTS]
        r, alpha, a, b = np.exp(max(found, key=lambda each: -each[0])[1])
        self._shop = Shop(float(r), float(alpha) * scale, float(a), float(b))
        return self

    def log_likelihood(self, purchases: Purchases) -> float:
        """Natural logarithm of the likelihood of all customers."""
        return float(log_likelihood(self.shop, checked(purchases)).sum())

    def alive(self, purchases: Purchases) -> Float64:
        """(n,) chance that a customer hasn't left yet; 1 without repeats, since one leaves after a repeat purchase."""
        return expit(-_left(self.shop, checked(purchases)))

    def none_within(self, purchases: Purchases, time: float) -> Float64:
        """(n,) chance of no purchase in the next `time`: the model's own churn probability for a horizon."""
        r, alpha, _, _ = self.shop
        buys = -np.expm1((r + purchases.repeats) * np.log((alpha + purchases.age) / (alpha + purchases.age + time)))
        return 1 - self.alive(purchases) * buys

    def expected(self, purchases: Purchases, time: float) -> Float64:
        """(n,) purchases to be expected in the next `time`.

        The paper's formula (10) after Euler's transformation of 2F1, which neither overflows nor cancels for customers
        with hundreds of purchases.
        """
        data = checked(purchases)
        r, alpha, a, b = self.shop
        a = a if abs(a - 1) > _AT_ONE else 1 + _AT_ONE
        x, age = data.repeats, data.age
        z = time / (alpha + age + time)
        shrunk = np.exp((a - 1) * np.log1p(-z)) * hyp2f1(a - 1, a + b - 1 - r, a + b + x - 1, z)
        return np.maximum((a + b + x - 1) / (a - 1) * (1 - shrunk) * self.alive(data), 0)

    def save(self, folder: Path) -> None:
        """Write model.json into an existing folder."""
        array_files.write(folder, self.name, self.shop._asdict())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model as it was saved.

        Raises:  BrokenArtifact: the file is missing or can't be read.
        """
        params, _ = array_files.read(folder, cls.name)
        try:
            shop = Shop(*(float(params[key]) for key in Shop._fields))
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenArtifact(f"model.json in {folder} lacks or misstates {error}") from error
        if not all(np.isfinite(value) and value > 0 for value in shop):
            raise BrokenArtifact(f"model.json in {folder} holds parameters that aren't above 0: {shop}")
        return cls(shop)


def log_likelihood(shop: Shop, data: Purchases) -> Float64:
    """(n,) natural logarithm of each customer's likelihood: equation (6) in logarithms throughout."""
    r, alpha, a, b = shop
    x = data.repeats
    kept = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    kept += gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    kept -= (r + x) * np.log(alpha + data.age)
    likelihood: Float64 = kept + np.logaddexp(0, _left(shop, data))
    return likelihood


def gradient(shop: Shop, data: Purchases) -> Float64:
    """(4,) derivative of the summed logarithm of the likelihood by r, alpha, a, b."""
    r, alpha, a, b = shop
    x, age, recency = data.repeats, data.age, data.recency
    gone = expit(_left(shop, data))  # chance to have left: how much the second branch weighs
    again = x > 0
    by_r = digamma(r + x) - digamma(r) + np.log(alpha) - np.log(alpha + age)
    by_r += gone * np.log((alpha + age) / (alpha + recency))
    by_alpha = r / alpha - (r + x) / (alpha + age) + gone * (r + x) * (1 / (alpha + age) - 1 / (alpha + recency))
    both = digamma(a + b) - digamma(a + b + x)
    by_a = both + gone / a
    by_b = both + digamma(b + x) - digamma(b) - gone / np.where(again, b + x - 1, 1)
    return np.array([each.sum() for each in (by_r, by_alpha, by_a, by_b)])


def checked(purchases: Purchases) -> Purchases:
    """The same as float64.

    Raises:  BadInput: no customers, columns of different lengths, a NaN, a fraction of a purchase, times out of order.
    """
    data = Purchases(*(np.asarray(column, dtype=np.float64) for column in purchases))
    repeats, recency, age = data
    if not len(age) or not len(repeats) == len(recency) == len(age):
        lengths = ", ".join(str(len(column)) for column in data)
        raise BadInput(f"repeats, recency and age must be of equal length above 0, got {lengths}", "purchases")
    for name, column in zip(Purchases._fields, data, strict=True):
        if not np.isfinite(column).all() or (column < 0).any():
            raise BadInput(f"{name} holds a number that is negative or none (NaN)", name)
    if (repeats % 1 != 0).any():
        raise BadInput("repeats holds a fraction of a purchase", "repeats")
    if (recency > age).any():
        raise BadInput("a last purchase lies after the end of what was observed: recency is above age", "recency")
    if ((repeats > 0) != (recency > 0)).any():
        raise BadInput(
            "repeats and recency disagree: both or neither must be 0; count purchases of a day once", "recency"
        )
    return data


def _left(shop: Shop, data: Purchases) -> Float64:
    """(n,) logarithm of the odds that a customer has left; minus infinity without repeats."""
    r, alpha, a, b = shop
    x = data.repeats
    again = x > 0
    odds = (
        np.log(a)
        - np.log(np.where(again, b + x - 1, 1))
        + (r + x) * np.log((alpha + data.age) / (alpha + data.recency))
    )
    return np.where(again, odds, -np.inf)


def _climbed(start: Float64, data: Purchases) -> tuple[float, Float64]:
    """The least negative log-likelihood a customer from one start, and the logarithms of the parameters there."""
    n = len(data.age)

    def value(logs: Float64) -> tuple[float, Float64]:
        shop = Shop(*(float(each) for each in np.exp(logs)))
        return -float(log_likelihood(shop, data).sum()) / n, -gradient(shop, data) * np.exp(logs) / n

    return lowest(value, start, [(-_BOUND, _BOUND)] * 4)
