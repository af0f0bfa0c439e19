"""Trees as arrays say what LightGBM says of them."""

from typing import Any

import lightgbm
import numpy as np
import pytest

from features.errors import BrokenArtifact
from models.arrays import Float32
from models.trees import sums, trees_of

COLUMNS = 5


def rows(count: int, unknown: float, seed: int) -> Float32:
    rng = np.random.default_rng(seed)
    table = rng.standard_normal((count, COLUMNS)).astype(np.float32)
    table[:, 1] = np.round(table[:, 1])
    table[rng.random(table.shape) < unknown] = np.nan
    return table


def boosted(unknown: float, rounds: int = 30, seed: int = 0) -> Any:
    table = rows(2_000, unknown, seed)
    wanted = np.nansum(table[:, :2], axis=1) - np.isnan(table[:, 2])
    options = {"objective": "regression", "num_leaves": 15, "verbosity": -1, "num_threads": 1}
    return lightgbm.train(options, lightgbm.Dataset(table, wanted), rounds)


@pytest.mark.parametrize("learned", [0.0, 0.3])
@pytest.mark.parametrize("asked", [0.0, 0.3, 1.0])
def test_they_add_up_to_what_lightgbm_predicts_whatever_is_unknown(learned: float, asked: float) -> None:
    booster = boosted(learned)
    table = rows(500, asked, seed=1)
    np.testing.assert_array_equal(
        sums(trees_of(booster.model_to_string()), table), booster.predict(table, num_threads=1).astype(np.float32)
    )


def test_a_tree_of_a_single_leaf_adds_the_same_to_all() -> None:
    table = np.zeros((50, COLUMNS), dtype=np.float32)  # nothing to split by
    booster = lightgbm.train({"verbosity": -1}, lightgbm.Dataset(table, np.arange(50.0)), 2)
    assert sums(trees_of(booster.model_to_string()), table[:2]).tolist() == booster.predict(table[:2]).tolist()


def test_trees_that_ask_for_categories_or_lead_back_are_refused() -> None:
    table = rows(500, 0.0, seed=2)
    table[:, 0] = np.abs(np.round(table[:, 0]))
    some = lightgbm.Dataset(table, table[:, 0] % 2, categorical_feature=[0])
    by_category = lightgbm.train({"verbosity": -1, "min_data_per_group": 1, "cat_smooth": 0.0}, some, 3)
    with pytest.raises(BrokenArtifact, match="categories"):
        trees_of(by_category.model_to_string())
    text = boosted(0.0, rounds=1).model_to_string()
    (line,) = [line for line in text.splitlines() if line.startswith("left_child=")]
    with pytest.raises(BrokenArtifact, match="leads back"):
        trees_of(text.replace(line, "left_child=" + " ".join("0" for _ in line.split())))
