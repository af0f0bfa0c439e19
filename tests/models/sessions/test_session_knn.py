"""What neighbours say, by hand; and what is no part of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.errors import BrokenArtifact
from models.histories import Histories, History
from models.interactions import IdMap, Interactions
from models.sessions.session_knn import TRACE, SessionKnn, SessionKnnConfig
from models.trending import DAY_MS

# every power off, so that a score is a plain sum of decays
PLAIN = SessionKnnConfig(
    asked_decay=1.0, distance_decay=3.0, backward=0.5, repeated=1.0, idf=0.0, length=0.0, anchor=0.0, damping=0.0,
    asked_worth=0.0, candidate_worth=0.0, age_decay=0.0, step=0.0, walk=0.0,
)  # fmt: skip


def asked(*items: int, weights: list[float] | None = None) -> History:
    worth = np.array(weights or [1.0] * len(items), dtype=np.float32)
    return History(np.array(items, dtype=np.int32), worth)


def world(sessions: list[list[int]], days: list[int] | None = None, n_items: int = 8) -> Interactions:
    """One user a session; all events of a session on its day."""
    histories = [asked(*session) for session in sessions]
    if days is not None:
        histories = [
            History(history.items, history.weights, np.full(len(history.items), day * DAY_MS))
            for history, day in zip(histories, days, strict=True)
        ]
    users = IdMap(tuple(f"u{row:03d}" for row in range(len(sessions))))
    return Interactions(users, IdMap(tuple(f"i{row}" for row in range(n_items))), Histories.of(histories, n_items))


def votes(model: SessionKnn, *items: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """The scores of one history, best 1, without the trace of popularity."""
    scores = model.scores(Histories.of([asked(*items)], len(model.items)))[0]
    popular = model._popularity
    return np.asarray(scores - TRACE * popular / popular.max())


def test_a_vote_decays_with_the_distance_from_the_match() -> None:
    model = SessionKnn(PLAIN).fit(world([[0, 1, 2], [1, 2, 3]]))
    # asked 1: both sessions are alike by 1. Item 2 is one behind it in both, 3 two behind, 0 one before, 1 itself
    expected = np.array([0.5, 2, 2, np.exp(-1 / 3), 0, 0, 0, 0]) / 2
    np.testing.assert_allclose(votes(model, 1), expected, atol=1e-6)


def test_what_was_asked_last_weighs_most() -> None:
    model = SessionKnn(PLAIN).fit(world([[0, 2], [1, 3]]))
    found = votes(model, 0, 1)
    assert found[3] == pytest.approx(1)
    assert found[2] == pytest.approx(1 / 2)  # one event older


def test_a_session_that_shares_two_items_counts_for_both_and_from_the_newer() -> None:
    model = SessionKnn(replace(PLAIN, repeated=0.0)).fit(world([[0, 4, 1, 2], [1, 3]]))
    likeness = 1 + 1 / 2
    # item 2 comes one behind item 1, the newer; item 3 comes one behind it in a session alike by 1
    assert votes(model, 0, 1)[3] == pytest.approx(1 / likeness)


def test_an_item_that_comes_again_counts_once_where_it_was_met_last() -> None:
    model = SessionKnn(PLAIN).fit(world([[0, 2], [1, 3]]))
    np.testing.assert_allclose(votes(model, 0, 1, 0), votes(model, 1, 0), atol=1e-6)


def test_sharing_a_rare_item_says_more_than_sharing_a_common_one() -> None:
    rare = world([[0, 2], [1, 3], [1, 4], [1, 5]])
    same_place = Histories.of([asked(0, 1)], 8)
    alone = SessionKnn(replace(PLAIN, asked_decay=0.0)).fit(rare).scores(same_place)[0]
    weighed = SessionKnn(replace(PLAIN, asked_decay=0.0, idf=1.0)).fit(rare).scores(same_place)[0]
    assert alone[2] == pytest.approx(alone[3])
    assert weighed[2] > 1.5 * weighed[3]


def test_a_purchase_says_more_than_a_view() -> None:
    model = SessionKnn(replace(PLAIN, asked_worth=0.5, asked_decay=0.0)).fit(world([[0, 2], [1, 3]]))
    rows, _ = model.recommend_one(asked(0, 1, weights=[5, 1]), 8)
    assert rows.tolist().index(2) < rows.tolist().index(3)


def test_a_new_session_counts_more_than_an_old_one() -> None:
    model = SessionKnn(replace(PLAIN, age_decay=1.0)).fit(world([[0, 1], [0, 2]], [0, 100]))
    found = votes(model, 0)
    assert found[1] / found[2] == pytest.approx(np.exp(-1.0))  # one is as old as everything, one is new
    long_ago = History(np.zeros(1, dtype=np.int32), np.ones(1, dtype=np.float32), np.zeros(1, dtype=np.int64))
    assert model.recommend_one(long_ago, 8)[0].tolist().index(1) < model.recommend_one(long_ago, 8)[0].tolist().index(2)


def test_only_the_most_similar_sessions_are_heard() -> None:
    sessions = [[0, 1, 2], [1, 3], [1, 4]]
    found = votes(SessionKnn(replace(PLAIN, neighbours=1)).fit(world(sessions)), 0, 1)
    assert np.flatnonzero(found > 1e-6).tolist() == [0, 1, 2]


def test_of_a_common_item_only_the_newest_sessions_are_looked_at() -> None:
    model = SessionKnn(replace(PLAIN, postings=2)).fit(world([[0, 1], [0, 2], [0, 3]], [5, 9, 7]))
    assert np.flatnonzero(votes(model, 0) > 1e-6).tolist() == [0, 2, 3]


@pytest.mark.parametrize("days", [[5, 9, 7], None])
def test_no_more_events_are_kept_than_allowed_and_those_are_the_newest(days: list[int] | None) -> None:
    model = SessionKnn(replace(PLAIN, events=5)).fit(world([[0, 1], [0, 2], [0, 3]], days))
    assert model.facts == {"sessions": 2.0}
    if days:
        assert np.flatnonzero(votes(model, 0) > 1e-6).tolist() == [0, 2, 3]


def test_the_walk_reaches_what_no_neighbour_has() -> None:
    sessions = world([[0, 1], [1, 2], [5, 6]])
    assert votes(SessionKnn(PLAIN).fit(sessions), 0)[2] == pytest.approx(0, abs=1e-6)
    found = votes(SessionKnn(replace(PLAIN, walk=0.1)).fit(sessions), 0)
    assert found[2] > 0.01
    assert found[6] == pytest.approx(0, abs=1e-6)


def test_what_nothing_reaches_is_ordered_by_popularity() -> None:
    rows, scores = SessionKnn().fit(world([[0, 1], [6], [6], [5]])).recommend_one(asked(0), 4)
    assert rows.tolist()[2:] == [6, 5]
    assert scores[2] > scores[3] > 0


def test_without_an_order_the_places_mean_nothing() -> None:
    matrix = world([[0, 1, 2, 3], [3, 2, 4, 5], [1, 4, 6, 7]]).histories.matrix
    users, items = IdMap(("a", "b", "c")), IdMap(tuple(f"i{row}" for row in range(8)))
    model = SessionKnn(replace(PLAIN, walk=0.1)).fit(Interactions.of(users, items, matrix))
    one, other = (model.recommend_one(asked(*order), 8) for order in ([0, 3, 4], [4, 0, 3]))
    assert one[0].tolist() == other[0].tolist()
    np.testing.assert_allclose(one[1], other[1], rtol=1e-6)
    # asked 0: the far end of its session is as near as the next item
    assert votes(model, 0)[3] == pytest.approx(votes(model, 0)[1], rel=0.2)


def test_the_parts_of_the_history_add_up_to_the_score() -> None:
    rng = np.random.default_rng(0)
    model = SessionKnn().fit(world([rng.integers(0, 8, 6).tolist() for _ in range(30)]))
    history = asked(2, 5, 2, 7)
    parts = model._parts(model._sessions.asked(model._alone(history), model._config), np.arange(8, dtype=np.int32))
    np.testing.assert_allclose(parts.sum(axis=0), votes(model, 2, 5, 2, 7), rtol=1e-4, atol=1e-5)


def test_the_reason_is_the_event_whose_neighbours_have_the_item() -> None:
    model = SessionKnn().fit(world([[0, 2], [0, 2], [1, 3], [1, 3]]))
    history = asked(-1, 0, 1, 0, -1)
    assert model.because(history, np.array([2, 3, 7, -1], dtype=np.int32)).tolist() == [3, 2, -1, -1]


def test_what_follows_is_more_alike_than_what_precedes_and_what_never_met_is_not() -> None:
    model = SessionKnn().fit(world([[0, 1, 2]]))
    assert model.similar(1, 4)[0].tolist() == [2, 0, -1, -1]
    assert model.similar(7, 2)[0].tolist() == [-1, -1]


def test_a_very_long_history_is_asked_by_its_newest_events() -> None:
    model = SessionKnn().fit(world([[0, 1], [2, 3]]))
    assert model.recommend_one(asked(*[0] * 5_000, 2), 2)[0].tolist() == [2, 3]


@pytest.mark.parametrize("key", ["sessions_items", "sessions_indptr", "times"])
def test_sessions_that_do_not_fit_together_are_refused(tmp_path: Path, key: str) -> None:
    SessionKnn().fit(world([[0, 1], [1, 2]], [1, 2])).save(tmp_path)
    with np.load(tmp_path / "arrays.npz") as stored:
        arrays = dict(stored)
    arrays[key] = arrays[key][:1] if key == "times" else arrays[key] + 7
    np.savez(tmp_path / "arrays.npz", allow_pickle=False, **arrays)
    with pytest.raises(BrokenArtifact):
        SessionKnn.load(tmp_path)
