"""How good a probability of yes or no is, and whether a column tells the answer that it should help to guess."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from models.customers.calibration import ece, ece_by_chance
from models.customers.encoding import Inputs, is_text, texts_of

Float64 = NDArray[np.float64]
METRICS = ("auc", "pr_auc", "log_loss", "brier", "ece", "ece_by_chance")
TELLTALE = 0.99  # the area under the curve of one column alone, from which on it is no hint but the answer
_RARE = 10
_FEW = 100


def measure(probabilities: "NDArray[Any]", labels: "NDArray[Any]") -> dict[str, float]:
    """METRICS of n rows with labels 0 and 1, of which there are both.

    `auc`: area under the ROC curve; `pr_auc`: average precision; `ece`: 10 bins of equal width, and
    `ece_by_chance`, what it would be were the probabilities right.
    """
    sure = np.clip(np.asarray(probabilities, np.float64), 1e-7, 1 - 1e-7)
    target = np.asarray(labels, np.float64)
    return {
        "auc": float(roc_auc_score(target, sure)),
        "pr_auc": float(average_precision_score(target, sure)),
        "log_loss": float(log_loss(target, sure)),
        "brier": float(brier_score_loss(target, sure)),
        "ece": ece(sure, target),
        "ece_by_chance": ece_by_chance(sure),
    }


def telltales(inputs: Inputs, labels: "NDArray[Any]") -> list[str]:
    """Columns that alone tell the labels apart (an AUC from TELLTALE on): they leak what came after.

    A reason for leaving, a date of closing, or a feature that was read too late look like this. With less than 100
    rows of either class nothing is said.
    """
    target = np.asarray(labels, np.float64)
    if min(target.sum(), len(target) - target.sum()) < _FEW:
        return []
    return [name for name, values in inputs.items() if _alone(np.asarray(values), target) >= TELLTALE]


def _alone(values: "NDArray[Any]", target: Float64) -> float:
    if is_text(values):
        _, codes, counts = np.unique(texts_of(values), return_inverse=True, return_counts=True)
        share = np.bincount(codes, target) / counts
        return _auc(np.where(counts < _RARE, target.mean(), share)[codes], target)
    numbers = np.array([np.nan if value is None else value for value in values], np.float64)
    unknown = np.isnan(numbers)
    low, high = (np.where(unknown, end, numbers) for end in (-np.finfo(np.float64).max, np.finfo(np.float64).max))
    return max(_auc(low, target), _auc(high, target), _auc(unknown.astype(np.float64), target))


def _auc(scores: Float64, target: Float64) -> float:
    """Either way round."""
    found = float(roc_auc_score(target, scores))
    return max(found, 1 - found)
