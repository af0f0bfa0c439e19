"""`kindred benchmark churn`: how well churn is foretold, on a labelled table or on the event log, beside its peers."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from features.errors import BadInput
from features.offline import EventLog, interactions
from models.contracts import Progress
from models.customers.bg_nbd import BgNbd
from models.customers.churn import Churn
from models.customers.encoding import Encoding, Float64, Inputs
from models.customers.folds import grouped_folds
from models.customers.line import Line
from pipelines.labelled_table import Labelled
from training.churn import DAY_MS, LAST, ORDER, Examples, Task, examples, split
from training.classification import METRICS, measure, telltales
from training.purchases import DAYS_OF_WEEK, customers_at, days_of

Guess = Callable[[Inputs, Float64, Inputs, int], "NDArray[Any]"]  # to fit on, labels, to foretell, seed -> (n,)
SEEDS = (0, 1, 2)
_CURVES = 5
_RARE = 10


@dataclass(frozen=True)
class Options:
    """`folds` of a table; each seed draws its own folds and fits its own models."""

    folds: int = 5
    seeds: tuple[int, ...] = SEEDS


def churn(train: Inputs, labels: Float64, test: Inputs, seed: int) -> "NDArray[Any]":
    """Ours, as in production."""
    return Churn(seed=seed).fit(train, labels).predict(test)


def logistic(train: Inputs, labels: Float64, test: Inputs, seed: int) -> "NDArray[Any]":  # noqa: ARG001 - nothing is random
    """Logistic regression over standardised numbers (the mean where one isn't known) and one-hot texts."""
    encoding = Encoding.of(train, _CURVES, _RARE)
    rows, asked = encoding.matrix(train)[0], encoding.matrix(test)[0]
    mean = np.nanmean(rows, axis=0)
    line = Line.fit(np.where(np.isnan(rows), mean, rows), labels, 1.0)
    return expit(line.margin(np.where(np.isnan(asked), mean, asked)))


def boosted(train: Inputs, labels: Float64, test: Inputs, seed: int) -> "NDArray[Any]":
    """LightGBM as it comes: 100 trees of 31 leaves."""
    encoding = Encoding.of(train, _CURVES, _RARE)
    options = {"objective": "binary", "verbosity": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True}
    data = lightgbm.Dataset(encoding.matrix(train)[0], labels, params={"verbosity": -1})
    trees = lightgbm.train({**options, "seed": seed}, data, 100)
    return np.asarray(trees.predict(encoding.matrix(test)[0]))


MODELS: dict[str, Guess] = {"churn": churn, "logistic": logistic, "lightgbm": boosted}


def benchmark_table(
    table: Labelled, options: Options | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Stratified cross-validation of each model.

    Returns: by model METRICS: means over folds and seeds; `..._folds` and `..._seeds`: standard
             deviations over all folds and between the seeds' means; `ece_pooled`: of all rows of a seed at once, each
             foretold by the fold that left it out; `seconds` of fits. And `telltales`: columns that alone give the
             label away.
    Raises:  BadInput: less than two folds, labels all equal, fewer rows of a label than folds.
    """
    options = options or Options()
    if options.folds < 2:
        raise BadInput("--folds must be 2 or more", "folds")
    results: dict[str, Any] = {}
    steps = len(MODELS) * len(options.seeds)
    for name, guess in MODELS.items():
        by_seed = []
        started = time.perf_counter()
        for seed in options.seeds:
            by_seed.append(_folded(table, guess, options.folds, seed))
            if progress is not None:
                progress(len(results) * len(options.seeds) + len(by_seed), steps)
        results[name] = _spread(by_seed) | {"seconds": time.perf_counter() - started}
    results["telltales"] = telltales(table.inputs, table.labels)
    return results


def benchmark_log(
    log: EventLog, task: Task, seeds: tuple[int, ...] = SEEDS, progress: Progress | None = None
) -> dict[str, Any]:
    """The event log's newest moments, foretold from all that ended before them, beside simple rules.

    Returns: by model the metrics and `..._seeds`; `recency`: a curve over the time since the last order alone;
             `bg_nbd`: its chance of no purchase within the horizon; `bg_nbd_alive`: the same ranked by 1 - P(alive).
             And `task`: rows, customers and share of churned on both sides.
    Raises:  BadInput: as training.churn.
    """
    rows = examples(log, task, seeds[0])
    before, after = split(rows, task)
    results: dict[str, Any] = {}
    for name, guess in (*MODELS.items(), ("recency", _recency)):
        found = []
        for seed in seeds:
            found.append([measure(_asked(name, guess, before, after, seed), after.churned)])
            if progress is not None:
                progress(len(results) * len(seeds) + len(found), (len(MODELS) + 1) * len(seeds))
        results[name] = _spread([(each, None) for each in found])
    results |= _bg_nbd(log, after, task)
    results["telltales"] = telltales(before.inputs, before.churned)
    results["task"] = {
        f"{side}_{what}": value
        for side, part in (("fit", before), ("measured", after))
        for what, value in (
            ("rows", len(part)),
            ("customers", len(np.unique(part.customer))),
            ("churned", float(part.churned.mean())),
        )
    }
    return results


def _asked(name: str, guess: Guess, before: Examples, after: Examples, seed: int) -> "NDArray[Any]":
    if name == Churn.name:  # a customer has many rows: inner folds must know whose they are
        return Churn(seed=seed).fit(before.inputs, before.churned, before.customer).predict(after.inputs)
    return guess(before.inputs, before.churned.astype(np.float64), after.inputs, seed)


def _recency(train: Inputs, labels: Float64, test: Inputs, seed: int) -> "NDArray[Any]":  # noqa: ARG001
    encoding = Encoding.of({LAST: train[LAST]}, _CURVES, _RARE)
    line = Line.fit(encoding.curves(train)[0], labels, 1.0)
    return expit(line.margin(encoding.curves(test)[0]))


def _bg_nbd(log: EventLog, after: Examples, task: Task) -> dict[str, Any]:
    """BG/NBD fitted at each measured moment on all purchases known then; by the same ids as the examples."""
    orders = interactions(log)
    days = days_of(orders[orders["event"] == ORDER][["user_id", "timestamp"]])
    none, gone = np.zeros(len(after)), np.zeros(len(after))
    weeks = task.horizon / DAY_MS / DAYS_OF_WEEK
    for moment in np.unique(after.as_of):
        known = customers_at(days, int(moment) // DAY_MS)
        model = BgNbd().fit(known.purchases)
        chances = pd.DataFrame(
            {"none": model.none_within(known.purchases, weeks), "gone": 1 - model.alive(known.purchases)}, known.ids
        )
        rows = np.flatnonzero(after.as_of == moment)
        mine = chances.reindex([after.user_ids[row] for row in rows]).fillna(1.0)  # no order under this very id
        none[rows], gone[rows] = mine["none"], mine["gone"]
    return {"bg_nbd": measure(none, after.churned), "bg_nbd_alive": measure(gone, after.churned)}


def _folded(table: Labelled, guess: Guess, folds: int, seed: int) -> tuple[list[dict[str, float]], float]:
    """Metrics of each fold, and the calibration error of all rows together."""
    parts, target = grouped_folds(table.labels, None, folds, seed, len(table.labels))
    pooled = np.zeros(len(target))
    found = []
    for train, held in parts:
        fit, asked = ({name: column[rows] for name, column in table.inputs.items()} for rows in (train, held))
        pooled[held] = guess(fit, target[train], asked, seed)
        found.append(measure(pooled[held], target[held]))
    return found, measure(pooled, target)["ece"]


def _spread(by_seed: Sequence[tuple[list[dict[str, float]], float | None]]) -> dict[str, float]:
    every = np.array(
        [[[fold[name] for name in METRICS] for fold in folds] for folds, _ in by_seed]
    )  # seed, fold, metric
    found: dict[str, float] = {}
    for at, name in enumerate(METRICS):
        found[name] = float(every[:, :, at].mean())
        found[f"{name}_seeds"] = float(every[:, :, at].mean(axis=1).std())
        if every.shape[1] > 1:
            found[f"{name}_folds"] = float(every[:, :, at].std())
    pooled = [each for _, each in by_seed if each is not None]
    return found | ({"ece_pooled": float(np.mean(pooled))} if pooled else {})
