"""Ragged histories: parts of them are what the same parts of lists would be."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from models.histories import NOBODY, Histories, History, newest_places


def history(*items: int) -> History:
    return History(np.array(items, dtype=np.int32), np.arange(1, len(items) + 1, dtype=np.float32))


MANY = Histories.of([history(3, 1, 3), NOBODY, history(2), history(0, 1, 2, 3)], 4)


def lists(histories: Histories) -> list[list[int]]:
    return [histories[row].items.tolist() for row in range(len(histories))]


def test_each_row_is_the_history_it_was_made_of() -> None:
    assert lists(MANY) == [[3, 1, 3], [], [2], [0, 1, 2, 3]]
    assert MANY[0].weights.tolist() == [1, 2, 3]
    assert MANY.counts.tolist() == [3, 0, 1, 4]


def test_what_is_unknown_or_worth_nothing_is_left_out() -> None:
    odd = History(np.array([-1, 2, 3], dtype=np.int32), np.array([1, 0, 2], dtype=np.float32))
    assert lists(Histories.of([odd], 4)) == [[3]]


def test_parts_and_choices_keep_their_events() -> None:
    assert lists(MANY.rows(1, 3)) == [[], [2]]
    assert lists(MANY.rows(2, 99)) == [[2], [0, 1, 2, 3]]
    taken = MANY.take(np.array([3, 0, 3]))
    assert lists(taken) == [[0, 1, 2, 3], [3, 1, 3], [0, 1, 2, 3]]
    assert taken.weights.tolist() == [1, 2, 3, 4, 1, 2, 3, 1, 2, 3, 4]


def test_the_last_ones_are_the_newest() -> None:
    assert lists(MANY.last(2)) == [[1, 3], [], [2], [2, 3]]


def test_the_matrix_sums_what_came_again() -> None:
    assert MANY.matrix.toarray().tolist() == [[0, 2, 0, 4], [0, 0, 0, 0], [0, 0, 1, 0], [1, 2, 3, 4]]
    assert MANY.matrix.has_sorted_indices


def test_a_matrix_gives_histories_without_an_order() -> None:
    matrix = csr_matrix(np.array([[0, 2, 1], [0, 0, 0]], dtype=np.float32))
    found = Histories.from_matrix(matrix)
    assert not found.ordered
    assert lists(found) == [[1, 2], []]
    assert found.matrix.toarray().tolist() == matrix.toarray().tolist()


def test_times_count_only_where_all_have_them() -> None:
    dated = History(np.array([1], dtype=np.int32), np.ones(1, dtype=np.float32), np.array([5]))
    assert Histories.of([dated, history(2)], 4).times is None
    times = Histories.of([dated, dated], 4).times
    assert times is not None
    assert times.tolist() == [5, 5]


def test_a_place_is_the_newest_one_of_the_item() -> None:
    assert newest_places(history(3, 1, 3), np.array([3, 1, 2], dtype=np.int32)).tolist() == [2, 1, -1]


def test_there_is_no_history_past_the_end() -> None:
    with pytest.raises(IndexError, match="4 histories"):
        MANY[4]
