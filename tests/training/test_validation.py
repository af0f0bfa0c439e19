"""What is carved for tuning, and that the test part never has a share in it."""

import pandas as pd
import pytest

from features.errors import BadInput
from training import splits
from training.datasets import Frame, checked
from training.validation import last_sessions, tenth, validation


def rows(*lines: tuple[str, str, int]) -> Frame:
    return checked(pd.DataFrame(lines, columns=["user_id", "item_id", "timestamp"]))


def in_file_order(*lines: tuple[str, str]) -> Frame:
    return checked(pd.DataFrame(lines, columns=["user_id", "item_id"]))


def pairs(frame: Frame) -> list[tuple[str, str]]:
    return list(zip(frame["user_id"], frame["item_id"], strict=True))


def test_a_time_split_is_tuned_on_the_window_before() -> None:
    lines = rows(("a", "x", 0), ("a", "y", 85), ("a", "z", 90), ("a", "w", 95), ("a", "test", 100))
    found = validation(splits.time_split(lines, 5), "time-split", 5)  # the test is [96, 101), validation [91, 96)
    assert (pairs(found.fit), pairs(found.test)) == ([("a", "x"), ("a", "y"), ("a", "z")], [("a", "w")])


def test_leave_last_out_is_tuned_on_the_last_but_one_fitted_on_everything_before_it() -> None:
    lines = in_file_order(*[("a", item) for item in ("x", "y", "last but one", "test")])
    for fit in ("strict", "refit"):
        found = validation(splits.leave_last_out(lines, fit), "leave-last-out")
        assert pairs(found.fit) == pairs(found.known) == [("a", "x"), ("a", "y")]
        assert pairs(found.test) == [("a", "last but one")]


def test_a_given_split_with_an_order_is_tuned_on_the_newest_tenth_of_each_user() -> None:
    # eleven rows give two, two rows give one, and a user of one row gives none
    lines = [("a", f"i{n}", n) for n in range(11)] + [("b", "p", 5), ("b", "q", 4), ("c", "alone", 1)]
    found = tenth(rows(*lines), seed=0)
    assert pairs(found.test) == [("a", "i9"), ("a", "i10"), ("b", "p")]
    assert len(found.fit) == 14 - 3


def test_a_given_split_without_an_order_is_tuned_on_a_random_tenth_by_seed() -> None:
    train = in_file_order(*[("a", f"i{n}") for n in range(30)])
    split = splits.given(train, in_file_order(("a", "test")))
    found = [pairs(validation(split, "split", seed=seed).test) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    assert len(found[0]) == 3
    assert ("a", "test") not in found[0]


def test_sessions_are_tuned_on_the_last_twentieth_and_every_beginning_of_them() -> None:
    early = [(f"s{n:02d}", item) for n in range(19) for item in ("x", "y")]
    found = last_sessions(in_file_order(*early, ("s19", "a"), ("s19", "b"), ("s19", "c")))
    assert pairs(found.fit) == early
    assert pairs(found.known) == [("0", "a"), ("1", "a"), ("1", "b")]
    assert pairs(found.test) == [("0", "b"), ("1", "c")]


def test_with_times_the_last_sessions_are_those_that_began_last() -> None:
    found = last_sessions(rows(("late", "x", 50), ("late", "y", 51), ("early", "p", 1), ("early", "q", 99)))
    assert pairs(found.test) == [("0", "y")]


def test_too_little_to_tune_on_is_said() -> None:
    with pytest.raises(BadInput, match="at least two"):
        tenth(in_file_order(("a", "x"), ("b", "x")), seed=0)
    with pytest.raises(BadInput, match="at least two"):
        last_sessions(in_file_order(("a", "x"), ("b", "x")))
