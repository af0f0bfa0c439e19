"""Cosines against the formula, what a history's order does, and what the neighbours kept are."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from models.histories import Histories, History
from models.interactions import IdMap, Interactions
from models.linear.item_knn import ItemKnn, ItemKnnConfig
from models.linear.item_weights import bounded
from tests.tastes import checkerboard, two_tastes
from training import datasets

PLAIN = ItemKnnConfig(neighbours=10, shrinkage=0.0, modesty=0.0, recency=0.0)
WORLD = datasets.interactions(datasets.checked(two_tastes()))


def of(rows: list[list[float]]) -> Interactions:
    matrix = csr_matrix(np.array(rows, dtype=np.float32))
    users, items = (IdMap(tuple(f"{number:02d}" for number in range(size))) for size in matrix.shape)
    return Interactions.of(users, items, matrix)


def one(item: int, weight: float = 1.0) -> Histories:
    return Histories.of([History(np.array([item], dtype=np.int32), np.array([weight], dtype=np.float32))], 3)


def test_a_weight_is_the_cosine_of_two_items_takers() -> None:
    # takers of the items: {0, 1}, {1, 2}, {2}; cosines of the first: 1, 1/2, 0; of the second: 1/2, 1, 1/sqrt(2)
    model = ItemKnn(PLAIN).fit(of([[1, 0, 0], [1, 1, 0], [0, 1, 1]]))
    first, second = model.scores(one(0))[0], model.scores(one(1))[0]
    np.testing.assert_allclose(first / first[0], [1, 1 / 2, 0], atol=1e-5)
    np.testing.assert_allclose(second / second[1], [1 / 2, 1, 1 / np.sqrt(2)], atol=1e-5)


def test_few_witnesses_are_trusted_less() -> None:
    rare, common = [[1.0, 1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0, 1.0]] * 20  # both pairs have cosine 1
    model = ItemKnn(replace(PLAIN, shrinkage=0.5)).fit(of(rare + common))
    weights = model._matrix.toarray()
    assert weights[0, 1] < 0.5 * weights[2, 3]


def test_somebody_who_took_everything_says_less() -> None:
    # the first item goes with the second for a user of two items, with the third for one of six
    rows = [[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0]]
    weights = ItemKnn(replace(PLAIN, modesty=1.0)).fit(of(rows))._matrix.toarray()
    assert weights[0, 1] > weights[0, 2] > 0


def test_only_the_nearest_neighbours_are_kept() -> None:
    whole = ItemKnn(replace(PLAIN, neighbours=20)).fit(WORLD)._matrix.toarray()
    kept = ItemKnn(replace(PLAIN, neighbours=5)).fit(WORLD)._matrix.toarray()
    for column, all_of_it in zip(kept.T, whole.T, strict=True):
        assert np.count_nonzero(column) == 5
        np.testing.assert_array_equal(np.sort(column[column > 0]), np.sort(all_of_it)[-5:])


def test_what_came_last_counts_most_where_order_is_known() -> None:
    items = np.array([0, 19], dtype=np.int32)  # one of each half
    weights = np.ones(2, dtype=np.float32)
    model = ItemKnn(replace(PLAIN, neighbours=20, recency=1.0)).fit(WORLD)
    forth, back = (
        model.scores(Histories.of([History(each, weights)], 20))[0] for each in (items, items[::-1].astype(np.int32))
    )
    assert forth[10:].mean() > forth[:10].mean()
    assert back[10:].mean() < back[:10].mean()


def test_an_order_that_means_nothing_changes_nothing() -> None:
    board = checkerboard()
    model = ItemKnn(replace(PLAIN, recency=1.0)).fit(board)
    start, stop = board.histories.indptr[:2]
    items, weights = board.histories.items[start:stop], board.histories.weights[start:stop]
    forth, back = (model.scores(Histories.of([History(each, weights)], 10)) for each in (items, items[::-1]))
    np.testing.assert_allclose(forth, back, rtol=1e-6)


def test_what_no_neighbour_reaches_comes_by_popularity() -> None:
    # the history's item goes with item 1 alone; of the rest, 3 has three takers, 2 has two and 4 one
    rows = [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]]
    model = ItemKnn(PLAIN).fit(of([[float(value) for value in row] for row in rows]))
    slate, scores = model.recommend_one(History(np.zeros(1, dtype=np.int32), np.ones(1, dtype=np.float32)), 5)
    assert sorted(slate[:2].tolist()) == [0, 1]
    assert slate[2:].tolist() == [3, 2, 4]
    assert (np.diff(scores[1:]) < 0).all()


def test_like_items_are_those_that_the_same_people_take() -> None:
    rows, scores = ItemKnn(PLAIN).fit(WORLD).similar(3, 9)
    assert set(rows.tolist()) == set(range(10)) - {3}
    assert (np.diff(scores) <= 0).all()


def test_an_item_that_nobody_took_with_another_has_no_neighbours() -> None:
    rows, scores = ItemKnn(PLAIN).fit(of([[1, 0, 0], [0, 1, 1]])).similar(0, 2)
    assert rows.tolist() == [-1, -1]
    assert np.isneginf(scores).all()


def test_the_reason_is_the_largest_part_of_the_score() -> None:
    model = ItemKnn(PLAIN).fit(WORLD)
    history = History(np.array([2, 15, -1, 2], dtype=np.int32), np.array([1, 9, 9, 1], dtype=np.float32))
    slate = np.array([3, 14, -1], dtype=np.int32)
    taste = np.log1p([2.0, 9.0])
    expected = np.argmax(taste[:, None] * model._matrix.toarray()[[2, 15]][:, [3, 14]], axis=0)
    reasons = model.because(history, slate)
    assert reasons.tolist() == [[3, 1][row] for row in expected] + [-1]


@pytest.mark.parametrize("longest", [1, 3])
def test_a_user_without_end_is_cut_evenly(longest: int) -> None:
    matrix = csr_matrix(np.ones((3, 8), dtype=np.float32))
    cut = bounded(matrix, 0, longest)
    assert np.diff(cut.indptr).tolist() == [longest] * 3
    assert bounded(matrix, 0, 8) is matrix
