"""Trials that are stopped early: what a model finds while it is being fitted, reported at each quarter."""

from typing import Any

import numpy as np
import optuna

from models.contracts import Model
from training import evaluation
from training.splits import Split

USERS = 1_000  # that the model is asked for meanwhile
STEPS = 4  # reports over a whole fit; the last one is the trial's own value


class Watch:
    """The progress of one fit; raises TrialPruned where the metric is below the median of earlier trials."""

    def __init__(self, model: Model, split: Split, metric: str, k: int, mask: bool, trial: Any) -> None:
        self._model, self._metric, self._k, self._mask, self._trial = model, metric, k, mask, trial
        users = np.sort(split.test["user_id"].unique())
        some = users[np.sort(np.random.default_rng(0).permutation(len(users))[:USERS])]
        self._split = Split(
            split.fit, split.known[split.known["user_id"].isin(some)], split.test[split.test["user_id"].isin(some)]
        )

    def __call__(self, done: int, total: int) -> None:
        step = done * STEPS // total
        if step == (done - 1) * STEPS // total or done == total:
            return
        found = evaluation.evaluate(self._model, self._split, (self._k,), self._mask)
        self._trial.report(found[self._metric], step)
        if self._trial.should_prune():
            raise optuna.TrialPruned
