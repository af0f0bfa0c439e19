"""A model's way from a frame to something that can be registered."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.errors import BadInput
from models import create
from tests.tastes import DAY_MS, two_tastes
from training import datasets, evaluation, trainer
from training.splits import Split
from training.trainer import Recipe

FRAME = two_tastes()


def test_als_finds_a_taste_that_popularity_cannot() -> None:
    found = {name: trainer.train(Recipe(name), FRAME, 10 * DAY_MS).metrics["ndcg@10"] for name in ("als", "trending")}
    assert found["als"] > 1.2 * found["trending"]


def test_what_is_registered_knows_the_newest_data_and_was_measured_without_it() -> None:
    newest = FRAME["timestamp"].max()
    late = pd.DataFrame([("u:000", "i-new", newest, "Order Completed", 1.0)], columns=list(FRAME.columns))
    fitted = trainer.train(Recipe("als"), pd.concat([FRAME, late]), 10 * DAY_MS)
    assert fitted.model.items.row("i-new") >= 0
    assert fitted.window == (FRAME["timestamp"].min(), newest + 1)
    assert fitted.measured == (newest + 1 - 10 * DAY_MS, newest + 1)
    plain = trainer.train(Recipe("als"), FRAME, 10 * DAY_MS)
    assert fitted.metrics["recall@10"] < plain.metrics["recall@10"]  # one more target, and none could know it


def test_orders_are_to_be_found_where_there_are_any_and_everything_else_where_not() -> None:
    views = FRAME.assign(event="Product Viewed")
    assert trainer.train(Recipe("trending"), views, 10 * DAY_MS).target == "any"
    mixed = pd.concat([views, FRAME])
    assert trainer.train(Recipe("trending"), mixed, 10 * DAY_MS).target == "Order Completed"


def test_both_ways_of_counting_repeats_are_measured() -> None:
    metrics = trainer.train(Recipe("als"), FRAME, 10 * DAY_MS).metrics
    assert {"ndcg@10", "ndcg@10_new", "users", "users_new", "index_recall_at_20"} <= metrics.keys()


def test_a_masked_item_is_neither_shown_nor_wanted() -> None:
    rows = datasets.checked(
        pd.DataFrame([("u", "a"), ("u", "b"), ("v", "a"), ("v", "c"), ("w", "c")], columns=["user_id", "item_id"])
    )
    test = datasets.checked(pd.DataFrame([("u", "a"), ("u", "c")], columns=["user_id", "item_id"]))
    model = create("trending").fit(datasets.interactions(rows))
    split = Split(rows, rows, test)
    # popular: a (2), c (2), b (1). With repeats a and c are wanted and both are shown first
    assert evaluation.evaluate(model, split, (2,), mask=False)["recall@2"] == 1
    # without them c alone is wanted and is all there is to show
    masked = evaluation.evaluate(model, split, (2,), mask=True)
    assert (masked["recall@2"], masked["precision@2"]) == (1, 1 / 2)
    assert masked["coverage@2"] == pytest.approx(1 / 3)


def test_nothing_left_to_find_is_said() -> None:
    rows = datasets.checked(pd.DataFrame([("u", "a"), ("v", "b")], columns=["user_id", "item_id"]))
    model = create("trending").fit(datasets.interactions(rows))
    with pytest.raises(BadInput, match="left to be found"):
        evaluation.evaluate(model, Split(rows, rows, rows), (2,), mask=True)


def test_one_customer_is_enough() -> None:
    alone = FRAME[FRAME["user_id"] == "u:000"]
    fitted = trainer.train(Recipe("als"), alone, 10 * DAY_MS)
    assert np.isfinite(fitted.metrics["ndcg@10"])
    assert fitted.customers == 1


def test_a_rival_is_fitted_on_the_same_past_and_compared_customer_by_customer() -> None:
    found = trainer.train(Recipe("als"), FRAME, 10 * DAY_MS, rival=Recipe("trending")).metrics
    alone = trainer.train(Recipe("trending"), FRAME, 10 * DAY_MS).metrics
    assert found["rival_ndcg@10"] == alone["ndcg@10"]
    assert found["gain_ndcg@10"] == pytest.approx(found["ndcg@10"] - alone["ndcg@10"])
    assert 0 < found["gain_ndcg@10_low"] < found["gain_ndcg@10"] < found["gain_ndcg@10_high"]


def test_the_champions_own_recipe_gains_nothing_over_itself() -> None:
    found = trainer.train(Recipe("als", 3), FRAME, 10 * DAY_MS, rival=Recipe("als", 3)).metrics
    assert (found["gain_ndcg@10_low"], found["gain_ndcg@10_high"]) == (0, 0)


def test_a_refresh_is_measured_as_what_it_starts_from_on_days_that_that_never_saw() -> None:
    until = int(FRAME["timestamp"].max()) + 1 - 10 * DAY_MS
    full = trainer.train(Recipe("als"), FRAME, 10 * DAY_MS)
    base = create("als").fit(datasets.interactions(datasets.checked(FRAME[FRAME["timestamp"] < until])))
    warm = trainer.refresh(Recipe("als"), base, until, FRAME)
    assert warm.metrics["ndcg@10"] == pytest.approx(full.metrics["ndcg@10"])  # both were fitted on all before
    assert {"ndcg@10_low", "coverage@10", "ask_ms_p99", "index_recall_at_20"} <= warm.metrics.keys()
    assert (warm.window, warm.measured, warm.target) == (full.window, full.measured, full.target)
    assert warm.model is not base
    with pytest.raises(BadInput, match="no warm start"):
        trainer.refresh(Recipe("ease"), create("ease"), until, FRAME)


def test_events_are_worth_in_a_fit_what_the_recipe_says_and_a_rivals_what_its_own_says() -> None:
    views = FRAME.assign(event="Product Viewed", item_id="i019")
    frame = pd.concat([views, FRAME])
    heavy = Recipe("als", weights={"Product Viewed": 40.0, "Order Completed": 1.0})
    rows = datasets.checked(frame)
    assert trainer.interactions_of(heavy, rows, ()).matrix.max() > 40
    alone = trainer.train(heavy, frame, 10 * DAY_MS)
    beside = trainer.train(Recipe("als"), frame, 10 * DAY_MS, rival=heavy)
    assert alone.weights == heavy.weights
    assert beside.weights is None
    assert beside.metrics["rival_ndcg@10"] == pytest.approx(alone.metrics["ndcg@10"])
    assert alone.metrics["ndcg@10"] != pytest.approx(beside.metrics["ndcg@10"])


def test_a_metric_comes_with_its_interval_and_with_what_it_cost() -> None:
    wall, cpu = iter(range(1_000_000)), iter(range(0, 1_000_000, 2))
    clocks: dict[str, Any] = {"clock": lambda: float(next(wall)), "cpu": lambda: float(next(cpu))}
    found = trainer.train(Recipe("als"), FRAME, 10 * DAY_MS, **clocks).metrics
    assert found["ndcg@10_low"] < found["ndcg@10"] < found["ndcg@10_high"]
    assert (found["fit_seconds"], found["ask_ms_p50"]) == (1, 2_000)  # a clock ticks each time it is asked


def test_no_data_is_said() -> None:
    with pytest.raises(BadInput, match="no interactions"):
        trainer.train(Recipe("als"), FRAME.iloc[:0], DAY_MS)


def test_progress_runs_once_over_both_fits() -> None:
    told: list[tuple[int, int]] = []
    trainer.train(Recipe("als"), FRAME, 10 * DAY_MS, progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, told[-1][1] + 1))
