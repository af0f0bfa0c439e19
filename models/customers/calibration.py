"""Margins of several models as one probability that means what it says, and how far a probability is off."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from models.customers.climbing import lowest

Float64 = NDArray[np.float64]
BINS = 10
_RIDGE = 1e-6  # a mean over rows; keeps weights finite where the classes are told apart without an error


class Blend(NamedTuple):
    """log-odds = intercept + sum of weight x margin; no weight is negative, so nothing is turned around."""

    intercept: float
    weights: tuple[float, ...]

    def margin(self, margins: Float64) -> Float64:
        """(n,) log-odds from (n, models) margins."""
        total: Float64 = self.intercept + margins @ np.array(self.weights)
        return total


def blend(margins: Float64, labels: Float64) -> Blend:
    """The blend of least log loss: Platt's scaling with several margins at once.

    Args:    margins: (n, models) of rows that the models were not fitted on; labels: (n,) 0 or 1.
    Source:  Platt. Probabilistic Outputs for Support Vector Machines. 1999. Wolpert. Stacked Generalization. 1992.
    """
    n, models = margins.shape

    def value(at: Float64) -> tuple[float, Float64]:
        margin = at[0] + margins @ at[1:]
        loss = np.logaddexp(0, margin) - labels * margin
        error = (expit(margin) - labels) / n
        slope = np.concatenate(([error.sum()], margins.T @ error + 2 * _RIDGE * at[1:]))
        return float(loss.mean() + _RIDGE * (at[1:] ** 2).sum()), slope

    start = np.concatenate(([0.0], np.full(models, 1 / models)))
    found = lowest(value, start, [(None, None), *[(0.0, None)] * models])[1]
    return Blend(float(found[0]), tuple(float(weight) for weight in found[1:]))


class Bin(NamedTuple):
    """One bar of a reliability diagram: rows, their mean prediction, and how many of them were positive."""

    rows: int
    predicted: float
    observed: float


def reliability(probabilities: "NDArray[np.floating]", labels: Float64, bins: int = BINS) -> list[Bin]:
    """Bins of equal width over [0, 1], empty ones left out."""
    at = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    rows = np.bincount(at, minlength=bins)
    predicted, observed = np.bincount(at, probabilities, bins), np.bincount(at, labels, bins)
    return [Bin(int(n), float(p / n), float(o / n)) for n, p, o in zip(rows, predicted, observed, strict=True) if n]


def ece(probabilities: "NDArray[np.floating]", labels: Float64, bins: int = BINS) -> float:
    """Expected calibration error: how far prediction and outcome are apart in a bin, a mean over rows.

    It is never 0 on few rows, however right the probabilities are: see ece_by_chance(), .023 with 1,400 rows.
    Source:  Naeini, Cooper, Hauskrecht. Obtaining Well Calibrated Probabilities Using Bayesian Binning. AAAI 2015.
    """
    found = reliability(probabilities, labels, bins)
    return sum(each.rows * abs(each.predicted - each.observed) for each in found) / sum(each.rows for each in found)


def ece_by_chance(probabilities: "NDArray[np.floating]", bins: int = BINS) -> float:
    """What ece() would be in the mean of many draws of labels, were each of these probabilities exactly right.

    An error beyond it is the model's, an error up to it that of few rows. The sum of a bin's labels is taken as normal,
    which is within a tenth from about four rows of a half on, and too low for a row alone.
    """
    sure = np.asarray(probabilities, np.float64)
    at = np.minimum((sure * bins).astype(np.int64), bins - 1)
    variances = np.bincount(at, sure * (1 - sure), bins)
    return float(np.sqrt(2 * variances / np.pi).sum() / len(sure))
