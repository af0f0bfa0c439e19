"""Which calibration a churn classifier wants: Platt's as it has it, an isotonic step or a spline on top of it.

    python -m benchmarks.calibration --table telco_churn.csv --label Churn

Nothing here is a test figure: of the training part of a seed, four fifths of the file, 60% fit the classifier, 20%
the calibration, and 20% are measured on.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer

from models.customers.calibration import Float64, ece
from models.customers.churn import Churn
from models.customers.encoding import Inputs
from pipelines.labelled_table import Labelled, read_labelled

Calibrated = Callable[[Float64], Float64]
SAFE = 1e-6  # no probability is nearer to 0 or 1, or one wrong row would make the log loss infinite


def platt(probabilities: Float64, labels: Float64) -> Calibrated:
    """As the classifier says: it was scaled on what its own inner folds left out."""
    del probabilities, labels
    return lambda found: found


def isotonic(probabilities: Float64, labels: Float64) -> Calibrated:
    """Any rising step function of them."""
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probabilities, labels)
    return lambda found: np.asarray(fitted.predict(found))


def spline(probabilities: Float64, labels: Float64) -> Calibrated:
    """A smooth function of their log-odds, with five knots."""
    curve = make_pipeline(SplineTransformer(n_knots=5, degree=3, extrapolation="linear"), LogisticRegression(C=1.0))
    curve.fit(logit(np.clip(probabilities, SAFE, 1 - SAFE))[:, None], labels)
    return lambda found: expit(curve.decision_function(logit(np.clip(found, SAFE, 1 - SAFE))[:, None]))


WAYS: Mapping[str, Callable[[Float64, Float64], Calibrated]] = {"platt": platt, "isotonic": isotonic, "spline": spline}


def compared(table: Labelled, seed: int) -> dict[str, dict[str, float]]:
    """Expected calibration error and log loss of each way, on the part kept aside for that."""
    order = np.random.default_rng(seed).permutation(len(table.labels))
    order = order[: len(order) * 4 // 5]
    fit, calibrate, measure = np.split(order, [len(order) * 3 // 5, len(order) * 4 // 5])
    model = Churn(seed=seed).fit(_rows(table.inputs, fit), table.labels[fit])
    known, asked = (model.predict(_rows(table.inputs, rows)).astype(np.float64) for rows in (calibrate, measure))
    found = {}
    for name, way in WAYS.items():
        said = np.clip(way(known, table.labels[calibrate])(asked), SAFE, 1 - SAFE)
        labels = table.labels[measure]
        loss = -(labels * np.log(said) + (1 - labels) * np.log(1 - said)).mean()
        found[name] = {"ece": ece(said, labels), "log_loss": float(loss)}
    return found


def _rows(inputs: Inputs, rows: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Inputs:
    return {name: column[rows] for name, column in inputs.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print means over the seeds as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--label", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args(arguments)
    table = read_labelled(given.table, given.label)
    runs = [compared(table, seed) for seed in range(given.seeds)]
    for name in WAYS:
        figures = {key: [run[name][key] for run in runs] for key in ("ece", "log_loss")}
        means = {key: round(float(np.mean(values)), 4) for key, values in figures.items()}
        print(json.dumps({"way": name, **means, "of_each_seed": figures}))


if __name__ == "__main__":
    main()
