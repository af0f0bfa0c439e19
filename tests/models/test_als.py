"""Fold-in and reasons against the equations of the paper."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.als import Als, AlsConfig
from models.arrays import Csr, Float32, Int32
from models.histories import History
from models.interactions import Interactions
from tests.tastes import checkerboard, two_tastes
from training import datasets

CONFIG = AlsConfig(embedding_size=8)
MODEL = Als(CONFIG).fit(datasets.interactions(datasets.checked(two_tastes())))
HISTORY: Int32 = np.array([2, 5, 7], dtype=np.int32)
WEIGHTS: Float32 = np.array([1, 5, 10], dtype=np.float32)
ASKED = History(HISTORY, WEIGHTS)


def solved() -> tuple[NDArray[np.floating], Float32]:
    """A^-1 of this history in double precision, and its confidences 1 + alpha * log(1 + w)."""
    factors = MODEL._factors.astype(np.float64)
    confidences = (1 + CONFIG.alpha * np.log1p(WEIGHTS)).astype(np.float32)
    taken = factors[HISTORY]
    normal = factors.T @ factors + MODEL._ridge * np.eye(8)
    return np.linalg.inv(normal + (taken.T * (confidences - 1)) @ taken), confidences


def test_a_score_is_that_of_the_papers_equation() -> None:
    inverse, confidences = solved()
    factors = MODEL._factors.astype(np.float64)
    expected = factors @ inverse @ (confidences @ factors[HISTORY])
    rows, scores = MODEL.recommend_one(ASKED, 20)
    np.testing.assert_allclose(scores, expected[rows], rtol=1e-3, atol=1e-5)


def test_the_reason_is_the_largest_part_of_the_score() -> None:
    inverse, confidences = solved()
    factors = MODEL._factors.astype(np.float64)
    slate, _ = MODEL.recommend_one(ASKED, 6)
    parts = (factors[HISTORY] * confidences[:, None]) @ inverse @ factors[slate].T
    assert MODEL.because(ASKED, slate).tolist() == parts.argmax(axis=0).tolist()


def test_a_place_that_counts_nothing_is_no_reason() -> None:
    asked = History(np.array([-1, 2, 3], dtype=np.int32), np.array([9, 1, 0], dtype=np.float32))
    slate, _ = MODEL.recommend_one(asked, 5)
    assert set(MODEL.because(asked, slate).tolist()) <= {1, -1}
    assert MODEL.because(asked, np.array([-1], dtype=np.int32)).tolist() == [-1]


def test_a_history_that_was_asked_with_just_now_is_folded_in_anew_after_another_one_and_after_a_fit() -> None:
    board = checkerboard()
    model, again = Als(CONFIG).fit(board), Als(CONFIG, seed=1).fit(board)
    one, other = board.histories[0], board.histories[1]
    first = model.recommend_one(one, 5)[1].tolist()
    assert model.recommend_one(other, 5)[1].tolist() != first
    assert model.recommend_one(one, 5)[1].tolist() == first
    model._hold(again.items, again._factors, again._popularity, again._ridge)
    assert model.recommend_one(one, 5)[1].tolist() != first


def test_a_new_customer_gets_what_a_known_one_with_the_same_history_gets() -> None:
    board = checkerboard()
    model = Als(CONFIG).fit(board)
    known = model.recommend(board.histories.rows(0, 1), 10)[1][0]
    new = model.recommend_one(board.histories[0], 10)[1]
    np.testing.assert_allclose(known, new, rtol=1e-4)


def test_the_number_of_threads_changes_nothing() -> None:
    board = checkerboard()
    one, two = (Als(replace(CONFIG, threads=threads)).fit(board).scores(board.histories) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_another_seed_is_another_model_of_the_same_taste() -> None:
    board = checkerboard()
    first, second = (Als(CONFIG, seed=seed).fit(board) for seed in (1, 2))
    assert not np.array_equal(first._factors, second._factors)
    tops = [model.recommend(board.histories, 1, exclude=board.matrix)[0].tolist() for model in (first, second)]
    assert tops[0] == tops[1]


def test_like_items_are_those_that_the_same_people_take() -> None:
    rows, scores = MODEL.similar(3, 9)
    assert set(rows.tolist()) == set(range(10)) - {3}
    assert scores[0] == pytest.approx(1, abs=0.1)


def test_the_size_of_the_space_may_exceed_the_number_of_items() -> None:
    board = checkerboard(users=6, items=4)
    assert np.isfinite(Als(AlsConfig(embedding_size=64)).fit(board).scores(board.histories)).all()


def test_a_refresh_knows_new_items_and_keeps_the_taste_of_the_old_ones() -> None:
    frame = two_tastes()
    old = datasets.interactions(datasets.checked(frame[frame["item_id"] != "i003"]))
    new = datasets.interactions(datasets.checked(frame))
    before = Als(AlsConfig(epochs=15)).fit(old)
    after = before.refreshed(new)
    assert len(before.items) == 19
    assert after.items.ids == new.items.ids
    assert set(after.similar(3, 9)[0].tolist()) == set(range(10)) - {3}


def test_a_refresh_without_rounds_for_it_answers_as_before() -> None:
    world = datasets.interactions(datasets.checked(two_tastes()))
    model = Als(AlsConfig(embedding_size=8, refresh_epochs=0)).fit(world)
    np.testing.assert_allclose(model.refreshed(world).scores(world.histories), model.scores(world.histories), rtol=1e-5)


def test_pairs_that_all_weigh_the_same_are_trusted_more_and_that_is_stored(tmp_path: Path) -> None:
    board = checkerboard()
    even = Als(CONFIG).fit(board)
    told = Als(replace(CONFIG, alpha=CONFIG.alpha_even, alpha_even=1.0)).fit(board)
    assert even._alpha == CONFIG.alpha_even
    assert told._alpha == 1.0
    assert MODEL._alpha == CONFIG.alpha
    one_pair, pairs = CONFIG.alpha_even * np.log(2), board.matrix.nnz / board.matrix.shape[0]
    assert even._ridge == pytest.approx(0.25 * pairs * one_pair)  # 1 pair of 4 each, not 3
    little = Als(replace(CONFIG, regularization_even=0.5)).fit(board)
    assert little._ridge == pytest.approx(0.5 * one_pair)
    even.save(tmp_path)
    np.testing.assert_array_equal(Als.load(tmp_path).scores(board.histories), even.scores(board.histories))


def test_longer_histories_than_elsewhere_are_learned_from_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def together(self: Interactions, beyond: int) -> Csr:
        asked.append(beyond)
        return self.matrix

    monkeypatch.setattr(Interactions, "taken_together", together)
    Als(CONFIG).fit(datasets.interactions(datasets.checked(two_tastes())))
    assert asked == [400]
