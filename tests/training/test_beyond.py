"""What slates are like, beyond accuracy, by hand."""

from math import log, log2, sqrt

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from models.histories import Histories
from models.interactions import Content, IdMap, Interactions
from training.beyond import diversity, gini, measure, miscalibration, percentiles

# users x items: item 0 met by all four, 1 by two, 2 by one, 3 by nobody
MET = csr_matrix(np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0]], dtype=np.float32))
LEARNED = Interactions.of(IdMap.of("abcd"), IdMap.of("wxyz"), MET)


def slates(*rows: list[int]) -> "np.ndarray[tuple[int, int], np.dtype[np.int32]]":
    return np.array(rows, dtype=np.int32)


def found(*rows: list[int]) -> dict[str, float]:
    return measure(slates(*rows), LEARNED, Histories.from_matrix(MET[: len(rows)]), (len(rows[0]),))


def test_items_that_share_their_users_are_alike() -> None:
    # 0 and 1 share two users: cos = 2 / (sqrt(4) * sqrt(2)); 1 and 2 none; 0 and 2 one: 1 / (sqrt(4) * 1)
    a, b = 2 / (2 * sqrt(2)), 1 / 2
    assert found([0, 1])["diversity@2"] == pytest.approx(1 - a)
    assert found([0, 1, 2])["diversity@3"] == pytest.approx(1 - (a + b + 0) / 3)
    # the mean of the two slates; an item that nobody met is like nothing
    assert found([0, 1], [0, 3])["diversity@2"] == pytest.approx(((1 - a) + 1) / 2)


def test_padding_is_nothing_shown() -> None:
    assert found([0, 1, -1])["diversity@3"] == pytest.approx(1 - 2 / (2 * sqrt(2)))
    assert found([0, -1])["novelty@2"] == found([0])["novelty@1"] == 0
    assert np.isnan(found([2, -1])["diversity@2"])  # one item has no pair


def test_content_goes_before_users_where_it_is_known() -> None:
    content = Content(("red", "blue"), csr_matrix(np.array([[1, 0], [0, 2], [1, 1], [0, 0]], dtype=np.float32)))
    learned = Interactions(LEARNED.users, LEARNED.items, LEARNED.histories, content=content)
    # red with red and blue: 1 / sqrt(2)
    assert measure(slates([0, 2]), learned, Histories.from_matrix(MET[:1]), (2,))["diversity@2"] == pytest.approx(
        1 - 1 / sqrt(2)
    )


def test_the_short_way_over_the_sum_is_the_mean_over_pairs() -> None:
    random = np.random.default_rng(0)
    vectors = random.random((30, 8))
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    rows = slates(*[random.permutation(30)[:6].tolist() for _ in range(9)])
    pairs = [np.mean([vectors[a] @ vectors[b] for a in row for b in row if a != b]) for row in rows]
    assert diversity(rows, csr_matrix(vectors)) == pytest.approx([1 - mean for mean in pairs])


def test_the_rare_is_news() -> None:
    # met by 4 of 4 users: 0 bits; by 2: 1 bit; by 1: 2 bits; by nobody counts as by 1
    assert found([0, 1])["novelty@2"] == pytest.approx((0 + 1) / 2)
    assert found([2, 3])["novelty@2"] == pytest.approx((-log2(1 / 4) - log2(1 / 4)) / 2)


def test_popularity_is_a_place_in_the_catalogue() -> None:
    # met by 4, 2, 1, 0 users: places 1, 2/3, 1/3, 0
    assert found([0, 2])["popularity@2"] == pytest.approx((1 + 1 / 3) / 2)
    # equal ones share the mean of their places 1 and 2 of 0..3
    assert percentiles(np.array([0.0, 5, 5, 9])).tolist() == pytest.approx([0, 1.5 / 3, 1.5 / 3, 1])
    assert percentiles(np.array([3.0])).tolist() == [0.5]


def test_gini_is_zero_for_all_alike_and_almost_one_for_one_alone() -> None:
    assert gini(np.array([2.0, 2, 2])) == 0
    # (2 * 4 - 4 - 1) * 8 / (4 * 8) = 3/4
    assert gini(np.array([0.0, 0, 8, 0])) == pytest.approx(3 / 4)
    # ascending 1, 3: ((2 - 2 - 1) * 1 + (4 - 2 - 1) * 3) / (2 * 4) = 2 / 8
    assert gini(np.array([3.0, 1])) == pytest.approx(2 / 8)
    assert np.isnan(gini(np.zeros(3)))


CATEGORIES = np.array([0, 0, 1, -1], dtype=np.int32)


def test_a_slate_of_the_users_own_mixture_is_calibrated() -> None:
    # the history is half of category 0 and half of 1, as is the slate
    asked = Histories.from_matrix(csr_matrix(np.array([[2, 0, 2, 9]], dtype=np.float32)))
    assert miscalibration(slates([1, 2]), asked, CATEGORIES).tolist() == pytest.approx([0])


def test_a_slate_of_one_half_misses_the_other() -> None:
    # history (3/4, 1/4); the slate is all of 0, smoothed with a hundredth of the history: (.9975, .0025)
    asked = Histories.from_matrix(csr_matrix(np.array([[3, 0, 1, 0]], dtype=np.float32)))
    by_hand = 0.75 * log(0.75 / 0.9975) + 0.25 * log(0.25 / 0.0025)
    assert miscalibration(slates([0, 1]), asked, CATEGORIES).tolist() == pytest.approx([by_hand])


def test_calibration_is_of_those_whose_categories_are_known() -> None:
    asked = Histories.from_matrix(csr_matrix(np.array([[1, 0, 0, 0], [0, 0, 0, 1]], dtype=np.float32)))
    shown = slates([3, -1], [0, 1])  # nothing known is shown to the first, nothing known was met by the second
    assert np.isnan(miscalibration(shown, asked, CATEGORIES)).all()
    assert "calibration@2" not in measure(shown, LEARNED, asked, (2,))
    assert "calibration@2" in measure(shown, LEARNED, asked, (2,), categories=CATEGORIES)
