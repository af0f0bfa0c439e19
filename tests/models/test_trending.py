"""Popularity by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.errors import BrokenArtifact
from features.trends import in_context
from models.histories import NOBODY, Histories, History
from models.interactions import Contexts, IdMap, Interactions
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


def in_countries() -> Interactions:
    """x: a and b in GB, a 14 days ago, b now and again; y: c in DE, now."""
    key, user, item = (np.array(each) for each in ([0, 0, 0, 1], [0, 1, 1, 2], [0, 0, 0, 1]))
    times = np.array([0, 14, 14, 14]) * DAY_MS
    found = Contexts(("country:GB", "country:DE"), key, user.astype(np.int32), item.astype(np.int32), times)
    return replace(world([0, 14 * DAY_MS, 14 * DAY_MS]), contexts=found)


def test_each_context_has_a_list_in_which_a_user_counts_once_per_item() -> None:
    trends = Trending(TrendingConfig(7)).fit(in_countries()).trends({"y": "toys"})
    assert trends["country:GB"] == (("x", 1.25),)
    assert trends["country:DE"] == (("y", 1.0),)
    assert trends["category:toys"] == (("y", 1.0),)
    assert [item for item, _ in in_context(trends, ())] == ["x", "y"]


def test_only_the_contexts_in_which_most_happened_are_kept() -> None:
    assert set(Trending(TrendingConfig(7, contexts=1)).fit(in_countries()).trends()) == {"", "country:GB"}


def test_lists_by_context_are_saved_and_a_list_of_before_them_still_loads(tmp_path: Path) -> None:
    model = Trending().fit(in_countries())
    model.save(tmp_path)
    assert Trending.load(tmp_path).trends() == model.trends()
    (tmp_path / "contexts.json").unlink()
    assert set(Trending.load(tmp_path).trends()) == {""}


def test_lists_by_context_that_name_unknown_items_are_refused(tmp_path: Path) -> None:
    Trending().fit(in_countries()).save(tmp_path)
    arrays = {"items": np.array([0, 7]), "weights": np.ones(2, dtype=np.float32), "ends": np.array([1, 2])}
    np.savez(tmp_path / "contexts.npz", allow_pickle=False, **arrays)
    with pytest.raises(BrokenArtifact, match="lacks"):
        Trending.load(tmp_path)
    np.savez(tmp_path / "contexts.npz", allow_pickle=False, **(arrays | {"ends": np.array([1, 1])}))
    with pytest.raises(BrokenArtifact, match="doesn't hold"):
        Trending.load(tmp_path)
