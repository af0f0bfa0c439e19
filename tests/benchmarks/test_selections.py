"""The benchmarks that choose a calibration, the weights of events and what a visit is, on little data."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks.calibration import WAYS
from benchmarks.select_visits import found, one_purchase, windows
from benchmarks.select_weights import judged, weights_of
from features.weights import WEIGHTS
from training.splits import Split


@pytest.mark.parametrize("way", sorted(WAYS))
def test_a_calibration_keeps_the_order_and_stays_a_probability(way: str) -> None:
    rng = np.random.default_rng(0)
    said = rng.random(400)
    labels = (rng.random(400) < said**2).astype(np.float64)
    given = WAYS[way](said, labels)(np.linspace(0.05, 0.95, 19))
    assert ((given >= 0) & (given <= 1)).all()
    assert (np.diff(given) >= -0.02).all()
    assert way == "platt" or abs(given[9] - 0.25) < 0.15  # 0.5 was said, a quarter happened


def test_the_weights_as_they_are_are_in_the_grid_and_count_as_one() -> None:
    assert weights_of(WEIGHTS["Product Added"], WEIGHTS["Order Completed"]) == WEIGHTS
    told = judged({(3.0, 5.0): [0.2, 0.4], (1.0, 1.0): [0.1, 0.6]})
    assert told == {(3.0, 5.0): 1.0, (1.0, 1.0): pytest.approx((0.5 + 1.5) / 2)}


def test_of_a_purchase_that_is_to_be_found_nothing_else_is_known() -> None:
    rows = pd.DataFrame(
        [
            ("a", "x", "Product Viewed"),
            ("a", "x", "Order Completed"),
            ("a", "y", "Order Completed"),
            ("a", "z", "Product Viewed"),
            ("b", "x", "Order Completed"),
            ("b", "y", "Product Viewed"),
        ],
        columns=["user_id", "item_id", "event"],
    )
    split = one_purchase(rows, seed=0)
    assert split.test["user_id"].tolist() == ["a"]  # b bought one item only
    hidden = split.test["item_id"].item()
    assert hidden in "xy"
    assert not ((split.fit["user_id"] == "a") & (split.fit["item_id"] == hidden)).any()
    assert len(split.fit) == len(rows) - (2 if hidden == "x" else 1)


def test_each_window_ends_where_the_one_after_it_begins() -> None:
    day = 86_400_000
    rows = pd.DataFrame({"user_id": "a", "item_id": "x", "timestamp": np.arange(120) * day, "weight": 1.0})
    before, earlier = windows(rows, 2)
    assert before.test["timestamp"].tolist() == [at * day for at in range(60, 90)]
    assert earlier.test["timestamp"].tolist() == [at * day for at in range(30, 60)]


def test_a_bound_is_what_histories_are_cut_by() -> None:
    """Two visits of two items each: whole, all four go together."""
    half_hour = 30 * 60_000
    rows = pd.DataFrame(
        {
            "user_id": np.repeat(["a", "b", "c"], 4),
            "item_id": ["i1", "i2", "i3", "i4"] * 3,
            "timestamp": np.tile([0, 1, half_hour + 1, half_hour + 2], 3),
            "weight": 1.0,
        }
    )
    split = Split(rows, rows[rows["item_id"] == "i1"], rows[(rows["item_id"] == "i3") & (rows["user_id"] == "a")])
    asked = replace(split, known=split.known[split.known["user_id"] == "a"])
    assert found(asked, (True,), "session_knn", 0)["ndcg@10"] > 0.6  # i2 or i3 comes first, then the other
    assert found(asked, (True,), "session_knn", 2)["ndcg@10"] < 0.6  # i2 is all that comes next; then popularity
