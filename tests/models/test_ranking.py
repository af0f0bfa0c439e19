"""The best k, and who comes first among equals."""

import numpy as np
from scipy.sparse import csr_matrix

from models.ranking import top, top_rows

INF = np.inf


def scores(*values: float) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return np.array(values, dtype=np.float32)


def test_the_best_come_first_and_ties_by_row() -> None:
    rows, values = top(scores(1, 3, 2, 3), 3)
    assert rows.tolist() == [1, 3, 2]
    assert values.tolist() == [3, 3, 2]


def test_a_tie_at_the_edge_is_decided_by_row_too() -> None:
    assert top(scores(5, *[1] * 50), 3)[0].tolist() == [0, 1, 2]


def test_the_order_is_that_of_sorting_everything() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.integers(0, 4, 40).astype(np.float32)
        expected = sorted(range(40), key=lambda row: (-values[row], row))[:9]
        assert top(values, 9)[0].tolist() == expected


def test_what_is_not_allowed_does_not_count() -> None:
    allowed = np.array([True, False, True, False])
    rows, values = top(scores(1, 3, 2, 3), 3, allowed)
    assert rows.tolist() == [2, 0, -1]
    assert values.tolist() == [2, 1, -INF]


def test_minus_infinity_is_never_shown() -> None:
    assert top(scores(-INF, 1, -INF), 3)[0].tolist() == [1, -1, -1]


def test_none_wanted_and_nothing_there_are_answered() -> None:
    assert top(scores(1, 2), 0)[0].tolist() == []
    assert top(scores(), 2)[0].tolist() == [-1, -1]


def test_each_row_leaves_out_its_own() -> None:
    hidden = csr_matrix(np.array([[0, 1, 0], [1, 0, 0]], dtype=np.float32))
    rows, _ = top_rows(np.array([[1, 2, 3], [1, 2, 3]], dtype=np.float32), 2, hidden)
    assert rows.tolist() == [[2, 0], [2, 1]]
