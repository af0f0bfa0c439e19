"""Long histories are learned from visit by visit, and nothing of them is left out."""

import json
from pathlib import Path

import numpy as np
import pytest

from features.errors import BadInput, BrokenArtifact
from features.sessions import GAP_MS
from models import chosen, create, load
from models.histories import Histories
from models.interactions import IdMap, Interactions
from models.visits import visits

LONGEST = 200
BY_VISITS = ("als", "ease", "graph_filter", "item_knn", "session_knn", "two_tower")


def histories(*gaps: list[int], ordered: bool = True, timed: bool = True) -> Histories:
    """One person a list; each event so many ms after the one before it, and of an item of its own."""
    counts = [len(each) for each in gaps]
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    items = np.arange(indptr[-1], dtype=np.int32)
    times = np.concatenate([np.cumsum(each) for each in gaps]).astype(np.int64) if timed else None
    return Histories(indptr, items, np.ones(len(items), dtype=np.float32), len(items), times, ordered)


def test_a_long_history_is_cut_where_half_an_hour_passes_and_a_short_one_is_not() -> None:
    long = [0, *[1] * (LONGEST - 2), GAP_MS, 1, GAP_MS - 1, GAP_MS]
    short = [GAP_MS] * LONGEST
    found = visits(histories(long, short), LONGEST)
    assert found.counts.tolist() == [LONGEST - 1, 3, 1, LONGEST]
    assert found.items.tolist() == list(range(2 * LONGEST + 3))


def test_two_people_are_never_one_visit() -> None:
    found = visits(histories([1] * (LONGEST + 1), [1] * 3, [1] * LONGEST), LONGEST)
    assert found.counts.tolist() == [LONGEST, 1, 3, LONGEST]


def test_no_visit_is_longer_than_the_longest_with_times_or_without() -> None:
    for timed in (True, False):
        found = visits(histories([1] * (2 * LONGEST + 1), [1, 1], timed=timed), LONGEST)
        assert found.counts.tolist() == [LONGEST, LONGEST, 1, 2]


def test_where_no_order_is_known_nothing_is_cut() -> None:
    assert visits(histories([1] * (2 * LONGEST), ordered=False, timed=False), LONGEST).counts.tolist() == [2 * LONGEST]


def test_somebody_without_events_has_no_visit() -> None:
    assert visits(histories([], [1] * (LONGEST + 1), []), LONGEST).counts.tolist() == [LONGEST, 1]
    assert len(visits(histories([]), LONGEST)) == 1  # nobody is long: as it was


def world(*gaps: list[int]) -> Interactions:
    rows = histories(*gaps)
    users = IdMap(tuple(f"u{at}" for at in range(len(gaps))))
    return Interactions(users, IdMap(tuple(f"i{at:04d}" for at in range(rows.n_items))), rows)


def test_models_learn_what_goes_together_from_visits_and_from_whole_histories() -> None:
    made = world([0, *[1] * (LONGEST - 2), GAP_MS, 1], [1, 1])
    assert np.diff(made.taken_together(LONGEST).indptr).tolist() == [LONGEST - 1, 2, 2, LONGEST + 1]
    assert made.taken_together(LONGEST).shape == (4, LONGEST + 3)
    assert made.matrix.shape == (2, LONGEST + 3)


def test_who_has_a_single_visit_is_one_row() -> None:
    long = world([0, *[1] * LONGEST], [1, 1], [GAP_MS] * 3)
    assert long.taken_together(LONGEST).shape[0] == 5  # a piece of one event, too
    short = world([GAP_MS] * LONGEST)
    assert short.taken_together(LONGEST) is short.matrix
    assert world([0, *[1] * LONGEST]).taken_together(LONGEST + 1).shape[0] == 1


def test_without_a_bound_every_history_is_whole_and_none_is_below_zero() -> None:
    long = histories([GAP_MS] * (2 * LONGEST))
    assert visits(long, 0) is long
    for word in ("als.visits_beyond=-1", "blend.als.visits_beyond=-1"):
        with pytest.raises(BadInput, match="not -1") as caught:
            chosen([word])
        assert caught.value.field == "visits_beyond"


@pytest.mark.parametrize("name", BY_VISITS)
def test_from_where_on_a_model_learns_from_visits_is_a_setting_of_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def cut(histories: Histories, beyond: int) -> Histories:
        asked.append(beyond)
        return histories

    monkeypatch.setattr("models.interactions.visits", cut)
    monkeypatch.setattr("models.sessions.session_knn.visits", cut)
    create(name, params={"visits_beyond": 7}).fit(world(*[[1] * 4] * 4))
    assert asked == [7]


@pytest.mark.parametrize("value", ["x", None, [1], -1, 2.5, True])
@pytest.mark.parametrize("name", BY_VISITS)
def test_a_stored_bound_that_is_none_is_a_broken_model(name: str, value: object, tmp_path: Path) -> None:
    create(name).fit(world(*[[1] * 4] * 4)).save(tmp_path)
    kept = json.loads((tmp_path / "model.json").read_text())
    kept["params"]["visits_beyond"] = value
    (tmp_path / "model.json").write_text(json.dumps(kept))
    with pytest.raises(BrokenArtifact, match="visits_beyond"):
        load(tmp_path)
