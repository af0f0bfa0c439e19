"""Protocols and options of the benchmark on small files."""

import math
from dataclasses import replace
from itertools import count

import pandas as pd
import pytest

from features.errors import BadInput
from models import MODELS
from pipelines.benchmark import Tuning, benchmark
from pipelines.benchmark_options import Options
from tests.tastes import DAY_MS, two_tastes
from training.splits import Protocol
from training.tuning import Tuned

FRAME = two_tastes()
TIME = Options("time-split", holdout_ms=10 * DAY_MS)


def test_every_metric_is_reported_under_the_name_of_the_contract() -> None:
    found = benchmark(FRAME, None, replace(TIME, ks=(5, 20), mask=False))
    assert list(found) == ["als", "trending"]
    of_users = {f"{name}@{k}" for name in ("recall", "ndcg", "hr", "mrr", "precision") for k in (5, 20)}
    names = of_users | {"coverage@5", "coverage@20", "users"}
    bounds = {f"{name}_{end}" for name in of_users for end in ("low", "high")}
    beyond = {f"{name}@{k}" for name in ("diversity", "novelty", "popularity", "gini") for k in (5, 20)}
    cost = {"seconds", "seconds_asking", "memory_mb", "memory_asking_mb"}
    rest = {name for name in found["als"] if "_users_" in name or "_items_" in name or name.startswith("users_")}
    assert names | {f"{name}_new" for name in names} | bounds | beyond | cost | rest == found["als"].keys()
    assert all(0 <= found["als"][name] <= 1 for name in of_users)
    assert {"users_hot", "ndcg@20_users_hot", "recall@20_items_hot"} <= rest


def test_several_seeds_give_their_mean_and_spread() -> None:
    options = replace(TIME, ks=(10,), mask=False, seed=3)
    one, other = (benchmark(FRAME, None, replace(options, seed=seed))["als"]["mrr@10"] for seed in (3, 4))
    both = benchmark(FRAME, None, replace(options, seeds=2))
    assert both["als"]["mrr@10"] == pytest.approx((one + other) / 2)
    assert both["als"]["mrr@10_sd"] == pytest.approx(abs(one - other) / 2**0.5)  # n - 1 of two
    assert both["als"]["mrr@10_low"] < both["als"]["mrr@10"] < both["als"]["mrr@10_high"]


def test_a_model_without_a_seed_is_fitted_once() -> None:
    told: list[tuple[str, int, int]] = []
    options = replace(TIME, models=("trending",), seeds=3)
    found = benchmark(FRAME, None, options, lambda *step: told.append(step))["trending"]
    assert [name for name, _, _ in told].count("trending") == 1
    assert found["ndcg@10_sd"] == 0


def test_two_models_are_compared_on_the_same_users() -> None:
    found = benchmark(FRAME, None, replace(TIME, ks=(2, 10), mask=False, compare="trending"))
    als, trending = found["als"], found["trending"]
    assert als["ndcg@10_minus_trending"] == pytest.approx(als["ndcg@10"] - trending["ndcg@10"])
    assert als["ndcg@10_minus_trending_low"] > 0  # beyond doubt
    assert als["ndcg@10_minus_trending_p"] < 0.01
    assert not [name for name in trending if "minus" in name]


def test_all_is_every_model_and_baseline_once() -> None:
    assert Options("split", models=("trending", "all")).named == tuple(
        dict.fromkeys(("trending", *MODELS, "popularity"))
    )
    assert Options("split", models=("all",), tune=3).named == (*MODELS, "popularity")


def test_what_was_tuned_is_measured_and_told() -> None:
    told: dict[str, Tuned] = {}
    trials: list[tuple[str, int]] = []
    tuning = Tuning(None, lambda name: lambda number, *_: trials.append((name, number)), told.__setitem__)
    options = replace(TIME, models=("trending", "popularity"), ks=(10,), mask=False, tune=3)
    steps: list[str] = []
    found = benchmark(FRAME, None, options, lambda name, *_: steps.append(name), tuning=tuning)
    assert trials == [("trending", 0), ("trending", 1), ("trending", 2)]
    assert set(found) == {"trending", "popularity"}
    assert list(told) == ["trending"]  # a baseline has nothing to tune
    assert told["trending"].value >= told["trending"].default
    assert steps.count("trending: tuning") == 3


def test_a_model_is_measured_with_the_settings_that_are_said_of_it_and_those_are_not_tuned() -> None:
    given = {"trending": {"half_life_days": math.inf}}
    options = replace(TIME, models=("trending", "popularity"), ks=(10,), mask=False, settings=given)
    found = benchmark(FRAME, None, options)
    assert found["trending"]["ndcg@10"] == found["popularity"]["ndcg@10"]
    told: dict[str, Tuned] = {}
    benchmark(FRAME, None, replace(options, tune=2), tuning=Tuning(on_tuned=told.__setitem__))
    assert told["trending"].params == {"half_life_days": math.inf}


def test_prefixes_ask_for_the_next_item_of_each_and_repeats_are_real() -> None:
    sessions = pd.DataFrame([("s", "x"), ("s", "y"), ("t", "x")], columns=["user_id", "item_id"])
    asked = pd.DataFrame({"prefix": ["x y", "y", "x"], "next_item_id": ["x", "y", "unheard of"]})
    found = benchmark(sessions, asked, Options("prefixes", models=("trending",), ks=(1,)))["trending"]
    # x is shown to everybody: the first has met it already and wants it again
    assert (found["hr@1"], found["mrr@1"], found["users"]) == (pytest.approx(1 / 3), pytest.approx(1 / 3), 3)
    assert not [name for name in found if name.endswith("_new")]


def test_als_beats_popularity_where_tastes_differ() -> None:
    found = benchmark(FRAME, None, replace(TIME, mask=False))
    assert found["als"]["ndcg@10"] > 1.2 * found["trending"]["ndcg@10"]


def test_popularity_forgets_nothing_and_what_trends_does() -> None:
    old = [(f"u{n}", "old", 0) for n in range(5)]
    new = [(f"u{n}", "new", 98 * DAY_MS) for n in range(3)]
    asked = [("u0", "new", 99 * DAY_MS), ("u1", "new", 99 * DAY_MS)]
    frame = pd.DataFrame(old + new + asked, columns=["user_id", "item_id", "timestamp"])
    options = Options("time-split", models=("trending", "popularity"), ks=(1,), holdout_ms=DAY_MS, mask=False)
    split = replace(options, mask=True)
    with pytest.raises(BadInput, match="left to be found"):
        benchmark(frame, None, split)  # both have "new" already
    assert "hr@1_new" not in benchmark(frame, None, options)["trending"]
    frame = frame[~((frame["timestamp"] == 98 * DAY_MS) & frame["user_id"].isin(["u0", "u1"]))]
    frame = pd.concat([frame, pd.DataFrame([("w", "new", 98 * DAY_MS)], columns=frame.columns)])
    found = benchmark(frame, None, options)
    assert (found["trending"]["hr@1"], found["popularity"]["hr@1"]) == (1, 0)


def test_seconds_are_those_of_the_fit() -> None:
    ticks = count(0, 7)
    found = benchmark(FRAME, None, replace(TIME, models=("trending",), mask=False), clock=lambda: float(next(ticks)))
    assert found["trending"]["seconds"] == 7


def test_a_given_split_by_hand() -> None:
    train = pd.DataFrame([("a", "x"), ("b", "x"), ("b", "y"), ("c", "z")], columns=["user_id", "item_id"])
    test = pd.DataFrame([("a", "y"), ("c", "x")], columns=["user_id", "item_id"])
    found = benchmark(train, test, Options("split", models=("trending",), ks=(1, 2)))["trending"]
    # popularity: x 2, y 1, z 1. a may see y, z: y and z tie, so the wanted y comes second. c may see x, y: x is first
    assert found["hr@1"] == pytest.approx(1 / 2)
    assert found["mrr@2"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["users"] == 2


def test_leave_last_out_by_hand() -> None:
    lines = [("a", item) for item in "xyz"] + [("b", item) for item in "yxw"] + [("c", "z"), ("d", "z")]
    frame = pd.DataFrame(lines, columns=["user_id", "item_id"])
    options = Options("leave-last-out", models=("trending",), ks=(1,))
    # strict: fitted on x (a), y (b), z (c, d). a has seen x, y and wants z; b wants w, which nobody taught
    found = benchmark(frame, None, options)["trending"]
    assert (found["hr@1"], found["users"]) == (1 / 2, 2)
    assert found["coverage@1"] == pytest.approx(1 / 3)


def test_refit_learns_from_one_row_more() -> None:
    lines = [("a", item) for item in "xqz"] + [("b", item) for item in "yxq"]
    frame = pd.DataFrame(lines, columns=["user_id", "item_id"])
    options = Options("leave-last-out", models=("trending",), ks=(1,))
    assert benchmark(frame, None, options)["trending"]["hr@1"] == 0  # b wants q, which strict doesn't know
    assert benchmark(frame, None, replace(options, fit="refit"))["trending"]["hr@1"] == 1 / 2


def test_a_target_event_may_be_named_as_in_the_file() -> None:
    views = FRAME.assign(event="Product Viewed", timestamp=FRAME["timestamp"] + 1)
    both = pd.concat([FRAME, views])
    options = replace(TIME, models=("trending",), mask=False)
    orders = benchmark(both, None, replace(options, target_event="Order Completed"))
    assert (
        benchmark(both, None, replace(options, target_event="purchase"))["trending"]["ndcg@10"]
        == (orders["trending"]["ndcg@10"])
    )
    with pytest.raises(BadInput, match="Product Added"):
        benchmark(both, None, replace(options, target_event="Product Added"))


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"protocol": "guess"}, "protocol"),
        ({"protocol": "prefixes"}, "test"),
        ({"protocol": "prefixes", "target_event": "purchase"}, "target-event"),
        ({"models": ()}, "models"),
        ({"seeds": 0}, "seeds"),
        ({"compare": "als"}, "compare"),
        ({"tune": -1}, "tune"),
        ({"tune": 1, "tune_for": "beauty"}, "tune-for"),
        ({"tune": 1, "models": ("blend",)}, "tune"),
        ({"settings": {"als": {"alpha": 2.0}}}, "set"),
        ({"protocol": "split"}, "test"),
        ({"models": ("oracle",)}, "models"),
        ({"ks": ()}, "k"),
        ({"ks": (0,)}, "k"),
        ({"holdout_ms": 0}, "holdout"),
        ({"fit": "loose"}, "fit"),
        ({"device": "abacus"}, "device"),
    ],
)
def test_an_option_that_does_not_fit_is_named(changed: dict[str, object], field: str) -> None:
    with pytest.raises(BadInput) as caught:
        benchmark(FRAME, None, replace(TIME, **{"models": ("trending",), **changed}))  # type: ignore[arg-type]
    assert caught.value.field == field


@pytest.mark.parametrize("protocol", ["time-split", "leave-last-out"])
def test_a_test_file_belongs_to_a_given_split_alone(protocol: Protocol) -> None:
    with pytest.raises(BadInput, match="--test goes with"):
        benchmark(FRAME, FRAME, replace(TIME, protocol=protocol))


def test_progress_names_the_model() -> None:
    told: list[tuple[str, int, int]] = []
    benchmark(FRAME, None, replace(TIME, mask=False), lambda *step: told.append(step))
    names = list(dict.fromkeys(name for name, _, _ in told))
    assert names == ["als", "als: asking", "trending", "trending: asking"]
    assert [done for name, done, _ in told if name == "als"] == list(range(1, 16))
    assert told[-1][1] == told[-1][2]
