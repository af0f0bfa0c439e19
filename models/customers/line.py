"""Logistic regression with a ridge, as plain arrays."""

from typing import NamedTuple, Self

import numpy as np
from sklearn.linear_model import LogisticRegression

from models.customers.encoding import Float64


class Line(NamedTuple):
    """log-odds = intercept + ((row - centre) / scale) . weights: the intercept is the average row's."""

    centre: Float64  # (p,)
    scale: Float64  # (p,) 1 where a column doesn't vary
    weights: Float64  # (p,)
    intercept: float

    @classmethod
    def fit(cls, rows: Float64, labels: Float64, ridge: float) -> Self:
        """The line of least log loss + ridge / 2 x squared weights of standardised columns."""
        centre, spread = rows.mean(axis=0), rows.std(axis=0)
        scale = np.where(spread > 0, spread, 1.0)
        found = LogisticRegression(C=1 / ridge, max_iter=5_000).fit((rows - centre) / scale, labels)
        return cls(centre, scale, found.coef_[0].astype(np.float64), float(found.intercept_[0]))

    def terms(self, rows: Float64) -> Float64:
        """(n, p) what each column adds."""
        return (rows - self.centre) / self.scale * self.weights

    def margin(self, rows: Float64) -> Float64:
        """(n,) log-odds."""
        slope = self.weights / self.scale
        margin: Float64 = rows @ slope + (self.intercept - self.centre @ slope)
        return margin
