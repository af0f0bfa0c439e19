"""Trials on validation data: seeded, resumable, the defaults among them."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.errors import BadInput
from features.weights import WEIGHTS
from models.contracts import Progress
from models.interactions import Interactions
from models.spaces import SPACES, Range, Space
from models.trending import Trending
from training import tuning
from training.datasets import checked
from training.early import Watch
from training.splits import Split, time_split
from training.tuning import Goal, Tuned, tune, weight_ranges

DAY_MS = 86_400_000
GOAL = Goal("ndcg@2", mask=False)


def split() -> Split:
    """What was met yesterday is met again, what was popular a month ago isn't: short half-lives win."""
    old = [(f"u{n}", item, n) for n in range(9) for item in ("old", "older")]
    late = [(f"u{n}", "new", 30 * DAY_MS + n) for n in range(4)]
    test = [(f"u{n}", "new", 31 * DAY_MS + n) for n in range(9)]
    frame = pd.DataFrame(old + late + test, columns=["user_id", "item_id", "timestamp"])
    return time_split(checked(frame), DAY_MS // 2)


@pytest.fixture(autouse=True)
def from_long_half_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SPACES, "trending", Space({"half_life_days": Range(0.5, 3_650, log=True)}))
    monkeypatch.setattr(tuning, "defaults_of", lambda _: {"half_life_days": 3_650.0})


def found(trials: int, storage: Path | None = None, seed: int = 0, told: Progress | None = None) -> Tuned:
    return tune("trending", split(), GOAL, trials, seed, storage, told)


def test_what_is_found_is_better_than_the_defaults() -> None:
    best = found(8)
    assert best.value == 1 > best.default
    assert float(best.params["half_life_days"]) < 100
    assert best.metrics["ndcg@2"] == best.value
    assert best.weights is None


def test_the_first_trial_is_the_defaults() -> None:
    only = found(1)
    assert (only.params, only.value) == ({"half_life_days": 3_650.0}, only.default)


def test_equal_seeds_find_the_same() -> None:
    assert found(6) == found(6)


def test_tuning_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    first = found(3, tmp_path / "kept" / "tuning.db")
    second = found(5, tmp_path / "kept" / "tuning.db", told=lambda done, total: told.append((done, total)))
    assert (first.trials, second.trials, first.study == second.study) == (3, 5, True)
    assert told == [(3, 5), (4, 5), (5, 5)]
    assert found(5, tmp_path / "kept" / "tuning.db") == second  # nothing is left to be done


def test_other_data_goals_and_seeds_are_other_studies() -> None:
    lines = split()
    less = Split(lines.fit, lines.known, lines.test.iloc[1:])
    names = {
        tuning.study_name("trending", each, goal, seed, {})
        for each, goal, seed in ((lines, GOAL, 0), (less, GOAL, 0), (lines, Goal("hr@2", False), 0), (lines, GOAL, 1))
    }
    assert len(names) == 4
    assert tuning.study_name("trending", split(), GOAL, 0, {}) in names


def test_every_trial_is_told() -> None:
    told: list[tuple[int, dict[str, Any], dict[str, float], str]] = []
    tune("trending", split(), GOAL, 2, on_trial=lambda *trial: told.append(trial))
    assert [(number, state) for number, _, _, state in told] == [(0, "COMPLETE"), (1, "COMPLETE")]
    assert told[0][1] == {"half_life_days": 3_650.0}
    assert 0 <= told[0][2]["ndcg@2"] <= 1


def test_a_trial_that_cannot_be_fitted_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, states = Trending.fit, []

    def picky(self: Trending, interactions: Interactions, progress: Progress | None = None) -> Trending:
        if self.params["half_life_days"] == 3_650.0:
            raise BadInput("too long")
        return plain(self, interactions, progress)

    monkeypatch.setattr(Trending, "fit", picky)
    tune("trending", split(), GOAL, 3, on_trial=lambda _number, _params, _metrics, state: states.append(state))
    assert states == ["FAIL", "COMPLETE", "COMPLETE"]
    with pytest.raises(BadInput, match="no trial could be fitted"):
        found(1)


def test_weights_are_tuned_but_for_the_weakest_event() -> None:
    views = [("u", "x", 1, "Product Viewed"), ("u", "x", 2, "Order Completed"), ("u", "x", 3, "Order Refunded")]
    frame = checked(pd.DataFrame(views, columns=["user_id", "item_id", "timestamp", "event"]))
    assert weight_ranges(frame) == {"Order Completed": Range(5 / 8, 40, log=True)}
    assert weight_ranges(frame[frame["event"] == "Product Viewed"]) == {}
    drawn = tuning.all_weights({"Order Completed": 10.0})
    assert drawn["Order Refunded"] == -10  # what is given back is what was bought
    assert drawn["Product Viewed"] == WEIGHTS["Product Viewed"]


def test_events_that_foretell_nothing_lose_their_weight() -> None:
    # carts foretell nothing here and views everything; an item counts by what a user's events add up to
    lines = [(f"u{n}", "x", n, "Product Viewed") for n in range(3)] + [("u9", "x", 9, "Order Completed")]
    lines += [(f"u{n}", "x", 5 * DAY_MS + n, "Product Viewed") for n in range(3)]
    frame = checked(pd.DataFrame(lines, columns=["user_id", "item_id", "timestamp", "event"]))
    best = tune("trending", time_split(frame, DAY_MS), Goal("hr@1", mask=False), 2)
    assert best.weights is not None
    assert best.weights["Order Completed"] == 5  # all are equally good, so the first, which is the defaults
    moved = tuning.weighed(time_split(frame, DAY_MS), {"Product Viewed": 2.0})
    assert moved.fit["weight"].tolist() == [2, 2, 2, 0]
    assert moved.test["weight"].tolist() == [1, 1, 1]
    asked_as_ever = tuning.weighed(time_split(frame, DAY_MS), {"Product Viewed": 2.0}, asked=False)
    assert asked_as_ever.fit["weight"].tolist() == [2, 2, 2, 0]
    assert asked_as_ever.known["weight"].tolist() == [1, 1, 1, 5]


@pytest.mark.parametrize("metric", ["ndcg", "beauty@10", "ndcg@0", "ndcg@x"])
def test_a_metric_that_is_none_is_named(metric: str) -> None:
    with pytest.raises(BadInput, match="tuned for"):
        tune("trending", split(), Goal(metric), 1)


class Reports:
    """What Optuna's trial is told."""

    def __init__(self, prune: bool) -> None:
        self.told: list[tuple[float, int]] = []
        self.prune = prune

    def report(self, value: float, step: int) -> None:
        self.told.append((value, step))

    def should_prune(self) -> bool:
        return self.prune


def watched(trial: Reports) -> None:
    lines = split()
    model = Trending().fit(tuning.datasets.interactions(lines.fit))
    watch = Watch(model, lines, "hr@2", 2, False, trial)
    for done in range(1, 9):
        watch(done, 8)


def test_a_fit_is_looked_at_each_quarter_but_the_last() -> None:
    trial = Reports(prune=False)
    watched(trial)
    assert trial.told == [(1.0, 1), (1.0, 2), (1.0, 3)]


def test_a_fit_that_is_worse_than_others_is_stopped() -> None:
    trial = Reports(prune=True)
    with pytest.raises(tuning.optuna.TrialPruned):
        watched(trial)
    assert len(trial.told) == 1
