"""Protocols and options of the benchmark on small files."""

from dataclasses import replace
from itertools import count

import pandas as pd
import pytest

from features.errors import BadInput
from models import MODELS
from pipelines.benchmark import Options, Protocol, benchmark
from tests.tastes import DAY_MS, two_tastes

FRAME = two_tastes()
TIME = Options("time-split", holdout_ms=10 * DAY_MS)


def test_every_metric_is_reported_under_the_name_of_the_contract() -> None:
    found = benchmark(FRAME, None, replace(TIME, ks=(5, 20), mask=False))
    assert list(found) == list(MODELS) == ["als", "trending"]
    names = {f"{name}@{k}" for name in ("recall", "ndcg", "hr", "mrr", "precision", "coverage") for k in (5, 20)}
    assert names | {f"{name}_new" for name in names} | {"users", "users_new", "seconds"} == found["als"].keys()
    assert all(0 <= value <= 1 for key, value in found["als"].items() if "@" in key)


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
        ({"protocol": "prefixes"}, "protocol"),
        ({"protocol": "split"}, "test"),
        ({"models": ("oracle",)}, "models"),
        ({"ks": ()}, "k"),
        ({"ks": (0,)}, "k"),
        ({"holdout_ms": 0}, "holdout"),
        ({"fit": "loose"}, "fit"),
    ],
)
def test_an_option_that_does_not_fit_is_named(changed: dict[str, object], field: str) -> None:
    with pytest.raises(BadInput) as caught:
        benchmark(FRAME, None, replace(TIME, **changed))  # type: ignore[arg-type]
    assert caught.value.field == field


@pytest.mark.parametrize("protocol", ["time-split", "leave-last-out"])
def test_a_test_file_belongs_to_a_given_split_alone(protocol: Protocol) -> None:
    with pytest.raises(BadInput, match="--test goes with"):
        benchmark(FRAME, FRAME, replace(TIME, protocol=protocol))


def test_progress_names_the_model() -> None:
    told: list[tuple[str, int, int]] = []
    benchmark(FRAME, None, replace(TIME, mask=False), lambda *step: told.append(step))
    assert [name for name, _, _ in told] == ["als"] * 15 + ["trending"]
