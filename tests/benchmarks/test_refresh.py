"""The benchmarks of a warm start, of size and of taste, on little data."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import tastes
from benchmarks.refresh import refreshed
from benchmarks.scale import GROUPS, one, synthetic
from tests.tastes import DAY_MS, two_tastes
from training import datasets
from training.trainer import Recipe


def test_a_warm_start_is_held_against_a_full_fit_and_against_none() -> None:
    found = refreshed(Recipe("als"), datasets.checked(two_tastes()), 5 * DAY_MS)
    assert all(0 <= found[f"{name}_ndcg"] <= 1 for name in ("stale", "refreshed", "full"))
    assert found["over_full_low"] <= found["over_full"] <= found["over_full_high"]
    assert abs(found["refreshed_ndcg"] - found["full_ndcg"] - found["over_full"]) < 1e-9


def test_synthetic_customers_are_seeded_and_in_the_order_of_time() -> None:
    first, again = synthetic(50, 2 * GROUPS), synthetic(50, 2 * GROUPS)
    np.testing.assert_array_equal(first.histories.items, again.histories.items)
    times = first.histories.times
    assert times is not None
    assert all((np.diff(first.histories[row].times) >= 0).all() for row in range(50))  # type: ignore[arg-type]
    assert first.histories.items.max() < len(first.items)


def test_a_fit_is_measured_with_its_data_apart() -> None:
    found = one("trending", 100, 2 * GROUPS)
    assert 0 < found["data_gb"] <= found["peak_gb"]


def test_customers_of_little_taste_are_seeded_and_take_each_item_once() -> None:
    world = tastes.World(30, 40, 8, 0.2)
    frame = tastes.customers(world)
    pd.testing.assert_frame_equal(frame, tastes.customers(world))
    assert not frame.duplicated(["user_id", "item_id"]).any()
    assert (frame.groupby("user_id").size() == 8).all()
    told = tastes.found(world, ["item_knn"])
    assert told["item_knn_over_popularity_low"] <= told["item_knn"] - told["popularity"]


def test_worlds_of_several_seeds_are_summed_up_as_means_and_deviations() -> None:
    world = tastes.World(30, 40, 8, 0.2)
    apart = [tastes.found(world, ["item_knn"], seed)["item_knn"] for seed in (3, 4)]
    told = tastes.over_seeds(world, ["item_knn"], (3, 4))
    assert told["item_knn"] == pytest.approx(sum(apart) / 2)
    assert told["item_knn_sd"] == pytest.approx(abs(apart[0] - apart[1]) / 2**0.5)
