"""Intervals over users, against what can be computed without drawing."""

from math import sqrt

import numpy as np
import pytest

from features.errors import BadInput
from training.statistics import interval, intervals, paired, resampled


def test_a_bootstrap_mean_spreads_as_theory_says() -> None:
    # half of 400 users at 0, half at 1: mean 1/2, standard error sqrt(1/4 / 400) = 0.025, so 95% is 0.5 -+ 1.96 * 0.025
    values = np.repeat([0.0, 1.0], 200)
    mean, low, high = interval(values, seed=0)
    assert mean == 0.5
    error = sqrt(0.25 / 400)
    assert (low, high) == pytest.approx((0.5 - 1.96 * error, 0.5 + 1.96 * error), abs=0.006)


def test_two_users_have_three_possible_means() -> None:
    # both drawn 0 and 0, one of each, or 1 and 1: means 0, 1/2, 1 with chances 1/4, 1/2, 1/4
    drawn = resampled(np.array([[0.0], [1.0]]), seed=3, resamples=4_000)[:, 0]
    assert [np.mean(drawn == mean) for mean in (0, 0.5, 1)] == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_users_who_are_all_alike_leave_no_doubt() -> None:
    assert interval(np.full(7, 0.25), seed=1) == (0.25, 0.25, 0.25)


def test_an_unmeasured_user_does_not_count() -> None:
    assert interval(np.array([0.25, np.nan, 0.25]), seed=1).mean == 0.25


def test_equal_seeds_give_equal_intervals_and_others_do_not() -> None:
    values = np.random.default_rng(0).random(50)
    assert interval(values, 1) == interval(values, 1) != interval(values, 2)


def test_metrics_of_the_same_users_share_their_draws() -> None:
    values = np.random.default_rng(0).random(30)
    found = intervals({"a": values, "b": values + 1}, seed=5)
    assert found["b"] == pytest.approx([end + 1 for end in found["a"]])


def test_draws_do_not_depend_on_how_many_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((20, 2))
    at_once = resampled(values, 0)
    monkeypatch.setattr("training.statistics.BLOCK", 1)
    assert np.allclose(resampled(values, 0), at_once)


def test_pairing_sees_what_two_intervals_hide() -> None:
    a = np.random.default_rng(0).random(200)
    b = a - 0.01  # always a little worse: as sure as can be, though both intervals are ten times as wide
    found = paired(a, b, seed=0)
    assert (found.mean, found.low, found.high) == pytest.approx((0.01, 0.01, 0.01))
    assert found.p == 1 / 1_000
    assert interval(a, 0).low < interval(b, 0).mean


def test_no_difference_is_none() -> None:
    same = np.array([0.0, 1.0, 0.5])
    assert paired(same, same, seed=0) == (0, 0, 0, 1)
    left = np.repeat([0.0, 1.0], 50)
    found = paired(left, left[::-1], seed=0)  # as often better as worse
    assert found.low < 0 < found.high
    assert found.p > 0.5


def test_other_users_cannot_be_compared() -> None:
    with pytest.raises(BadInput, match="same users"):
        paired(np.zeros(3), np.zeros(4), seed=0)


def test_nobody_has_no_interval() -> None:
    with pytest.raises(BadInput, match="at least one user"):
        interval(np.array([np.nan]), seed=0)
