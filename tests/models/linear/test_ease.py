"""The closed form against regressions solved one by one, and the large catalogue against the closed form."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models.arrays import Float32
from models.histories import History
from models.linear.ease import Ease, EaseConfig
from tests.tastes import two_tastes
from training import datasets

CONFIG = EaseConfig(regularization=0.5, evenness=0.5, modesty=0.0, outward=0.0, repeat=0.0, recency=0.0, neighbours=20)
WORLD = datasets.interactions(datasets.checked(two_tastes(days=20)))


def rebuilt(config: EaseConfig) -> Float32:
    """Ridge regression of each item on all others, in double precision; the largest weight is 1."""
    taken = np.log1p(WORLD.matrix.toarray().astype(np.float64))
    degrees = np.square(taken).sum(axis=0)
    mean = degrees.mean()
    ridge = config.regularization * mean * (degrees / mean) ** config.evenness
    weights = np.zeros((20, 20))
    for item in range(20):
        others = np.delete(np.arange(20), item)
        normal = taken[:, others].T @ taken[:, others] + np.diag(ridge[others])
        weights[others, item] = np.linalg.solve(normal, taken[:, others].T @ taken[:, item])
    weights *= degrees**-config.outward
    return np.asarray(weights / np.abs(weights).max(), dtype=np.float32)


def off_diagonal(model: Ease) -> Float32:
    weights: Float32 = model._matrix.toarray()
    np.fill_diagonal(weights, 0)
    return weights


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, evenness=1.0, outward=0.3)])
def test_each_item_is_rebuilt_from_the_others_by_ridge_regression(config: EaseConfig) -> None:
    np.testing.assert_allclose(off_diagonal(Ease(config).fit(WORLD)), rebuilt(config), atol=1e-4)


def test_a_large_catalogue_gets_the_same_weights_where_all_that_matters_is_near() -> None:
    near = Ease(replace(CONFIG, exact=5, support=20)).fit(WORLD)
    np.testing.assert_allclose(off_diagonal(near), rebuilt(CONFIG), atol=1e-4)


def test_an_item_of_a_large_catalogue_is_rebuilt_from_its_support_alone() -> None:
    weights = off_diagonal(Ease(replace(CONFIG, exact=5, support=3)).fit(WORLD))
    assert (np.count_nonzero(weights, axis=0) == 3).all()
    common = WORLD.matrix.log1p().toarray()
    common = common.T @ common
    alone = common / np.sqrt(common.diagonal())[:, None]  # what each would say alone, its ridge by evenness 0.5
    np.fill_diagonal(alone, 0)
    for column, said in zip(weights.T, alone.T, strict=True):
        assert set(np.flatnonzero(column)) == set(np.argsort(-said)[:3])


def test_an_item_of_a_large_catalogue_that_nobody_took_beside_another_is_no_trouble() -> None:
    rows = two_tastes(days=20)
    alone = rows.iloc[:1].assign(user_id="u:alone", item_id="i-alone")
    world = datasets.interactions(datasets.checked(pd.concat([rows, alone])))
    model = Ease(replace(CONFIG, exact=5)).fit(world)
    item = world.items.row("i-alone")
    assert not off_diagonal(model)[item].any()
    assert np.isfinite(model.scores(world.histories)).all()


def test_an_item_of_the_history_counts_for_itself() -> None:
    once, never = (Ease(replace(CONFIG, repeat=repeat)).fit(WORLD)._matrix.diagonal() for repeat in (0.5, 0.0))
    np.testing.assert_allclose(once, 0.5, rtol=1e-6)
    assert not never.any()


def test_the_ridge_grows_with_the_data() -> None:
    rows = two_tastes(days=20)
    doubled = pd.concat([rows, rows.assign(user_id="copy:" + rows["user_id"])])
    twice = Ease(CONFIG).fit(datasets.interactions(datasets.checked(doubled)))
    np.testing.assert_allclose(off_diagonal(twice), off_diagonal(Ease(CONFIG).fit(WORLD)), atol=1e-4)


def test_the_reason_is_the_largest_part_of_the_score() -> None:
    model = Ease(CONFIG).fit(WORLD)
    history = History(np.array([15, 2, 5], dtype=np.int32), np.array([1, 5, 5], dtype=np.float32))
    slate = np.array([3, 12, 18], dtype=np.int32)
    parts = np.log1p(history.weights)[:, None] * rebuilt(CONFIG)[history.items][:, slate]
    assert model.because(history, slate).tolist() == parts.argmax(axis=0).tolist()


def test_like_items_are_those_that_explain_each_other() -> None:
    rows, _ = Ease(CONFIG).fit(WORLD).similar(3, 4)
    assert set(rows.tolist()) < set(range(10)) - {3}
