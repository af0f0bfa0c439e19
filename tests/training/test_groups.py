"""Accuracy by how much was known, by hand."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from training.groups import by_item, by_user


def test_a_user_is_warm_from_five_events_and_hot_from_twenty() -> None:
    values = {"hr@1": np.array([0.0, 1, 0, 1, 1])}
    found = by_user(values, np.array([0, 4, 5, 19, 20]))
    assert found == {
        "users_cold": 2,
        "users_warm": 2,
        "users_hot": 1,
        "hr@1_users_cold": (0 + 1) / 2,
        "hr@1_users_warm": (0 + 1) / 2,
        "hr@1_users_hot": 1,
    }


def test_a_group_of_nobody_has_a_count_and_no_mean() -> None:
    assert by_user({"hr@1": np.ones(1)}, np.array([7])).keys() == {
        "users_cold", "users_warm", "users_hot", "hr@1_users_warm",
    }  # fmt: skip


def test_recall_of_the_targets_of_each_group_of_items() -> None:
    # items 0 and 1 are hot, 2 is warm, 3 is cold
    wanted = csr_matrix(np.array([[1, 1, 1, 0], [0, 1, 0, 1]], dtype=np.float32))
    slates = np.array([[0, 2, -1], [3, 0, 2]], dtype=np.int32)
    found = by_item(slates, wanted, np.array([0, 1]), np.array([20, 99, 5, 4]))
    assert found["recall@3_items_hot"] == pytest.approx((1 / 2 + 0 / 1) / 2)
    assert found["recall@3_items_warm"] == 1  # only the first user wants the one
    assert found["recall@3_items_cold"] == pytest.approx(1 / 2)  # the second wants 3 and one that nobody knows
