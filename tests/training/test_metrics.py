"""Every metric against numbers computed by hand."""

from math import log2

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from training.metrics import measure, per_user, ranked


def wanted(*rows: list[int], items: int = 6) -> "csr_matrix[np.float32]":
    dense = np.zeros((len(rows), items), dtype=np.float32)
    for row, columns in enumerate(rows):
        dense[row, columns] = 1
    return csr_matrix(dense)


def slates(*rows: list[int]) -> "np.ndarray[tuple[int, int], np.dtype[np.int32]]":
    return np.array(rows, dtype=np.int32)


NONE = np.zeros(1, dtype=np.int64)


def test_one_user_by_hand() -> None:
    # targets 1, 3 and 5; shown 3, 0, 1: hits at ranks 1 and 3
    found = measure(slates([3, 0, 1]), wanted([1, 3, 5]), NONE, (3,))
    assert found["recall@3"] == pytest.approx(2 / 3)
    assert found["precision@3"] == pytest.approx(2 / 3)
    assert found["hr@3"] == 1
    assert found["mrr@3"] == 1
    gained = 1 / log2(2) + 1 / log2(4)
    best = 1 / log2(2) + 1 / log2(3) + 1 / log2(4)
    assert found["ndcg@3"] == pytest.approx(gained / best)
    assert found["coverage@3"] == pytest.approx(3 / 6)


def test_the_first_hit_at_rank_two_is_worth_a_half() -> None:
    found = measure(slates([0, 4, 2]), wanted([4]), NONE, (3,))
    assert found["mrr@3"] == pytest.approx(1 / 2)
    assert found["ndcg@3"] == pytest.approx((1 / log2(3)) / (1 / log2(2)))


def test_a_perfect_slate_shorter_than_the_targets_has_ndcg_one() -> None:
    found = measure(slates([1, 2]), wanted([1, 2, 3, 4]), NONE, (2,))
    assert found["ndcg@2"] == 1
    assert found["recall@2"] == pytest.approx(2 / 4)


def test_a_hit_beyond_k_does_not_count() -> None:
    found = measure(slates([0, 1, 5]), wanted([5]), NONE, (2, 3))
    assert (found["hr@2"], found["mrr@2"], found["ndcg@2"], found["recall@2"]) == (0, 0, 0, 0)
    assert found["hr@3"] == 1
    assert found["mrr@3"] == pytest.approx(1 / 3)


def test_means_are_over_users_with_targets() -> None:
    # the first finds its one target, the second none of two, the third has nothing to find
    found = measure(slates([0], [1], [2]), wanted([0], [2, 3], []), np.zeros(3, dtype=np.int64), (1,))
    assert found["recall@1"] == pytest.approx((1 + 0) / 2)
    assert found["coverage@1"] == pytest.approx(2 / 6)


def test_a_target_outside_of_the_catalogue_is_missed() -> None:
    found = measure(slates([0, 1]), wanted([0]), np.array([3]), (2,))
    assert found["recall@2"] == pytest.approx(1 / 4)
    assert found["ndcg@2"] == pytest.approx((1 / log2(2)) / (1 / log2(2) + 1 / log2(3)))


def test_padding_is_no_hit_and_no_coverage() -> None:
    found = measure(slates([5, -1], [-1, -1]), wanted([5], [5]), np.zeros(2, dtype=np.int64), (2,))
    assert found["recall@2"] == pytest.approx((1 + 0) / 2)
    assert found["coverage@2"] == pytest.approx(1 / 6)


def test_nobody_to_measure_is_not_a_number() -> None:
    assert np.isnan(measure(slates([0]), wanted([]), NONE, (1,))["ndcg@1"])


def test_a_target_comes_last_among_equal_scores() -> None:
    flat = np.ones((1, 4), dtype=np.float32)
    target = np.array([[True, False, False, False]])
    assert ranked(flat, target, 4).tolist() == [[1, 2, 3, 0]]
    assert ranked(flat, target, 3).tolist() == [[1, 2, 3]]


def test_a_constant_score_finds_nothing_that_chance_would_not_have_to_give() -> None:
    flat, target = np.zeros((1, 100), dtype=np.float32), np.zeros((1, 100), dtype=np.bool_)
    target[0, :5] = True
    assert not set(ranked(flat, target, 90)[0].tolist()) & {0, 1, 2, 3, 4}


def test_scores_order_the_rest_and_masked_items_never_come() -> None:
    scores = np.array([[1, -np.inf, 3, 2]], dtype=np.float32)
    target = np.array([[False, True, False, True]])
    assert ranked(scores, target, 4).tolist() == [[2, 3, 0, -1]]


def test_whole_blocks_are_ranked_as_row_by_row() -> None:
    random = np.random.default_rng(0)
    for items, k in ((30, 5), (5, 5), (3, 5), (30, 29)):
        scores = random.integers(0, 6, size=(200, items)).astype(np.float32)  # ties nearly everywhere
        scores[random.random(scores.shape) < 0.3] = -np.inf
        target = random.random(scores.shape) < 0.3
        expected = np.full((200, k), -1)
        for slate, row, flags in zip(expected, scores, target, strict=True):
            order = [at for at in np.lexsort((np.arange(items), flags, -row)) if row[at] > -np.inf][:k]
            slate[: len(order)] = order
        assert ranked(scores, target, k).tolist() == expected.tolist()


def test_who_has_nothing_to_find_is_not_a_number() -> None:
    found = per_user(slates([0], [1]), wanted([0], []), np.zeros(2, dtype=np.int64), (1,))
    assert (found["hr@1"][0], np.isnan(found["hr@1"][1])) == (1, True)
