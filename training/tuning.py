"""Which configuration of a model finds most on validation data: Optuna's TPE, seeded, resumable, the defaults first.

The split handed in is the validation split (training/validation.py); the test part is never seen here. Where events
have different worth, their weights are tuned with the model, relative to the weakest, which keeps its own.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from features.errors import BadInput, KindredError
from features.weights import WEIGHTS
from models import create
from models.contracts import Progress
from models.spaces import Choice, Range, Value, defaults_of, space_of
from training import datasets, evaluation
from training.datasets import Frame
from training.early import Watch
from training.splits import Split

WEIGHT = "weights."
WEIGHT_FACTOR = 8.0  # an event's weight is looked for between this part and this multiple of what it has
STARTUP = 10  # trials at random before TPE follows what was found

OnTrial = Callable[[int, dict[str, Any], dict[str, float], str], None]  # number, params, metrics, state


@dataclass(frozen=True)
class Goal:
    """What is to be raised: a metric of training.metrics, for example `ndcg@20`; `mask` as in evaluation.question()."""

    metric: str = "ndcg@10"
    mask: bool = True

    @property
    def k(self) -> int:
        """The cut-off of the metric.

        Raises:  BadInput: the metric isn't one.
        """
        name, _, k = self.metric.partition("@")
        if name not in {"recall", "precision", "hr", "mrr", "ndcg"} or not k.isdigit() or int(k) < 1:
            raise BadInput(f"{self.metric!r} can't be tuned for; choose for example ndcg@10 or hr@20", "tune-for")
        return int(k)


@dataclass(frozen=True)
class Tuned:
    """The best that was found: `params` of the config, `weights` of every event (None where events weigh the same).

    `value` is the metric on validation, `default` that of the defaults; `study` names the study in the storage.
    """

    params: dict[str, Value]
    weights: dict[str, float] | None
    value: float
    default: float
    trials: int
    study: str
    metrics: dict[str, float] = field(default_factory=dict)


def tune(
    name: str,
    split: Split,
    goal: Goal,
    trials: int,
    seed: int = 0,
    storage: Path | None = None,
    progress: Progress | None = None,
    on_trial: OnTrial | None = None,
    weigh: bool = True,
    asked: bool = True,
    fixed: Mapping[str, object] | None = None,
) -> Tuned:
    """Try `trials` configurations, counting those that the storage has of the same study already.

    Args:    split: of validation, as training.validation.validation() carves it; storage: an SQLite file, made where it
             is absent, None keeps nothing; progress: counts trials; on_trial: told of each after it has ended, with
             its state `COMPLETE`, `PRUNED` or `FAIL`; weigh: look for the events' weights too; asked: people are asked
             with the weights that are tried, else with features.weights.WEIGHTS; fixed: parameters that every trial
             has, such as a device, in place of what would be tried.
    Raises:  BadInput: nothing to tune, or no trial could be fitted.
    """
    space_of(name)
    goal.k  # noqa: B018 - a metric that isn't one is said before anything is opened
    weights = weight_ranges(split.fit) if weigh else {}
    study = _study(study_name(name, split, goal, seed, weights, fixed, asked), name, seed, weights, storage)
    done = sum(trial.state.is_finished() for trial in study.trials)
    if progress is not None and done:
        progress(min(done, trials), trials)
    tell = partial(_told, progress=progress, on_trial=on_trial, trials=trials)
    objective = partial(
        _objective, name=name, weights=weights, split=split, goal=goal, seed=seed, fixed=fixed or {}, asked=asked
    )
    study.optimize(objective, n_trials=max(0, trials - done), catch=(KindredError,), callbacks=[tell])
    return _best(study)


def weight_ranges(rows: Frame) -> dict[str, Range]:
    """What the events of the rows may weigh; empty where fewer than two of them add weight, and without the weakest."""
    if "event" not in rows.columns:
        return {}
    present = {str(name): float(WEIGHTS.get(str(name), 0)) for name in rows["event"].dropna().unique()}
    adding = sorted((worth, name) for name, worth in present.items() if worth > 0)
    return {name: Range(worth / WEIGHT_FACTOR, worth * WEIGHT_FACTOR, log=True) for worth, name in adding[1:]}


def weighed(split: Split, weights: Mapping[str, float] | None, asked: bool = True) -> Split:
    """The split with events of this worth, in what is asked with if `asked`; what is to be found stays."""
    if weights is None:
        return split
    fit = datasets.weighed(split.fit, weights)
    if not asked:
        return replace(split, fit=fit)
    return replace(split, fit=fit, known=fit if split.known is split.fit else datasets.weighed(split.known, weights))


def study_name(
    name: str,
    split: Split,
    goal: Goal,
    seed: int,
    weights: Mapping[str, Range],
    fixed: Mapping[str, object] | None = None,
    asked: bool = True,
) -> str:
    """A name that only the same data, protocol, goal, model, ranges, fixed parameters and way of asking share."""
    digest = hashlib.sha256()
    for frame in (split.fit, split.known, split.test):
        digest.update(repr(list(frame.columns)).encode())
        digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    tried = (sorted(space_of(name).ranges.items()), defaults_of(name), sorted(weights.items()))
    digest.update(repr((goal, seed, *tried, *sorted((fixed or {}).items()))).encode())
    digest.update(b"" if asked else b"asked as ever")
    return f"{name}-{digest.hexdigest()[:16]}"


def _study(called: str, name: str, seed: int, weights: Mapping[str, Range], storage: Path | None) -> Any:
    optuna.logging.set_verbosity(logging.WARNING)
    if storage is not None:
        storage.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=called,
        storage=None if storage is None else f"sqlite:///{storage}",
        direction="maximize",
        load_if_exists=True,
    )
    # A resumed study goes on: the sampler starts again from a seed of its own, not from what it has drawn before.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials), n_startup_trials=STARTUP)
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP // 2)
    if not study.trials:
        study.enqueue_trial(defaults_of(name) | {f"{WEIGHT}{event}": float(WEIGHTS[event]) for event in weights})
    return study


def _objective(
    trial: Any,
    *,
    name: str,
    weights: Mapping[str, Range],
    split: Split,
    goal: Goal,
    seed: int,
    fixed: Mapping[str, object],
    asked: bool,
) -> float:
    space = space_of(name)
    free = {each: within for each, within in space.ranges.items() if each not in fixed}
    params = dict(fixed) | {each: _drawn(trial, each, within) for each, within in free.items()}
    drawn = {event: float(_drawn(trial, f"{WEIGHT}{event}", within)) for event, within in weights.items()}
    if drawn:
        trial.set_user_attr("weights", all_weights(drawn))
        split = weighed(split, all_weights(drawn), asked)
    model = create(name, seed, params)
    watch = Watch(model, split, goal.metric, goal.k, goal.mask, trial) if space.reports else None
    model.fit(datasets.interactions(split.fit), watch)
    metrics = evaluation.evaluate(model, split, (goal.k,), goal.mask)
    trial.set_user_attr("metrics", metrics)
    trial.set_user_attr("params", params)
    return metrics[goal.metric]


def all_weights(drawn: Mapping[str, float]) -> dict[str, float]:
    """Every event's weight; a refund takes back what an order is worth."""
    weights = {name: float(worth) for name, worth in WEIGHTS.items()} | dict(drawn)
    return weights | {"Order Refunded": -weights["Order Completed"]}


def _drawn(trial: Any, name: str, within: Range | Choice) -> Any:
    if isinstance(within, Choice):
        return trial.suggest_categorical(name, within.values)
    if within.integer:
        return trial.suggest_int(name, int(within.low), int(within.high), log=within.log)
    return trial.suggest_float(name, within.low, within.high, log=within.log)


def _told(study: Any, trial: Any, *, progress: Progress | None, on_trial: OnTrial | None, trials: int) -> None:
    if on_trial is not None:
        on_trial(trial.number, dict(trial.params), dict(trial.user_attrs.get("metrics", {})), trial.state.name)
    if progress is not None:
        progress(sum(each.state.is_finished() for each in study.trials), trials)


def _best(study: Any) -> Tuned:
    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if not complete:
        raise BadInput("no trial could be fitted: the ranges don't suit these interactions", "tune")
    best = max(complete, key=lambda trial: (trial.value, -trial.number))
    default = next((trial.value for trial in complete if trial.number == 0), float("nan"))
    return Tuned(
        params=best.user_attrs["params"],
        weights=best.user_attrs.get("weights"),
        value=best.value,
        default=default,
        trials=sum(trial.state.is_finished() for trial in study.trials),
        study=study.study_name,
        metrics=best.user_attrs["metrics"],
    )
