"""Popularity by hand."""

import numpy as np
import pytest

from models.histories import NOBODY, Histories, History
from models.interactions import IdMap, Interactions
from models.trending import DAY_MS, Trending, TrendingConfig, popularity


def world(timestamps: list[int] | None) -> Interactions:
    """Users a and b took x, c took y."""
    items, worth = np.array([0, 0, 1], dtype=np.int32), np.array([1, 9, 1], dtype=np.float32)
    times = None if timestamps is None else np.array(timestamps)
    return Interactions(IdMap(("a", "b", "c")), IdMap(("x", "y")), Histories(np.arange(4), items, worth, 2, times))


def test_without_times_every_user_counts_once_however_often_they_came() -> None:
    assert popularity(world(None), 7).tolist() == [2, 1]


def test_a_half_life_halves() -> None:
    # x: 14 days and 7 days before the end, y: at the end, half-life 7 days: 1/4 + 1/2 and 1
    assert popularity(world([0, 7 * DAY_MS, 14 * DAY_MS]), 7).tolist() == [0.75, 1.0]


def test_what_is_new_overtakes_what_was() -> None:
    days = [0, 0, 30 * DAY_MS]
    assert Trending(TrendingConfig(7)).fit(world(days)).recommend_one(NOBODY, 2)[0].tolist() == [1, 0]
    assert Trending(TrendingConfig(365)).fit(world(days)).recommend_one(NOBODY, 2)[0].tolist() == [0, 1]


def test_the_list_knows_no_likeness_and_gives_no_reason() -> None:
    model = Trending().fit(world(None))
    assert model.similar(0, 2)[0].tolist() == [-1, -1]
    rows = np.array([0], dtype=np.int32)
    assert model.because(History(rows, np.ones(1, dtype=np.float32)), rows).tolist() == [-1]


def test_a_very_old_item_still_has_a_place() -> None:
    old = popularity(world([0, 0, 9_000 * DAY_MS]), 7)
    assert np.isfinite(old).all()
    assert old[1] == pytest.approx(1.0)
