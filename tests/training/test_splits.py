"""What each protocol learns from, is asked with, and must find."""

import pandas as pd
import pytest

from features.errors import BadInput
from training.datasets import Frame, checked
from training.splits import given, leave_last_out, prefixes, time_split


def rows(*lines: tuple[str, str, int], event: str | None = None) -> Frame:
    frame = pd.DataFrame(lines, columns=["user_id", "item_id", "timestamp"])
    return checked(frame if event is None else frame.assign(event=event))


def pairs(frame: Frame) -> list[tuple[str, str]]:
    return list(zip(frame["user_id"], frame["item_id"], strict=True))


def test_the_holdout_is_the_end_of_the_data_and_begins_exactly_there() -> None:
    split = time_split(rows(("a", "x", 0), ("a", "y", 90), ("a", "z", 91), ("a", "w", 100)), 10)
    assert pairs(split.fit) == [("a", "x"), ("a", "y")]
    assert pairs(split.test) == [("a", "z"), ("a", "w")]  # [91, 101)
    assert split.known is split.fit


def test_who_was_not_known_before_is_not_asked_for() -> None:
    split = time_split(rows(("a", "x", 0), ("b", "y", 95), ("a", "z", 100)), 10)
    assert pairs(split.test) == [("a", "z")]


def test_nobody_on_both_sides_is_said() -> None:
    with pytest.raises(BadInput, match="holdout"):
        time_split(rows(("a", "x", 0), ("b", "y", 100)), 10)


def test_a_time_split_without_times_is_said() -> None:
    frame = checked(pd.DataFrame({"user_id": ["a"], "item_id": ["x"]}))
    with pytest.raises(BadInput, match="timestamp"):
        time_split(frame, 10)


def test_only_the_target_event_is_to_be_found() -> None:
    frame = pd.DataFrame(
        [("a", "x", 0, "Product Viewed"), ("a", "y", 99, "Product Viewed"), ("a", "z", 100, "Order Completed")],
        columns=["user_id", "item_id", "timestamp", "event"],
    )
    assert pairs(time_split(checked(frame), 10, "Order Completed").test) == [("a", "z")]
    assert pairs(time_split(checked(frame), 10).test) == [("a", "y"), ("a", "z")]
    with pytest.raises(BadInput, match="Product Added"):
        time_split(checked(frame), 10, "Product Added")


def test_a_refund_is_nothing_to_find() -> None:
    frame = pd.DataFrame(
        [("a", "x", 0, "Order Completed"), ("a", "x", 99, "Order Refunded"), ("a", "z", 100, "Order Completed")],
        columns=["user_id", "item_id", "timestamp", "event"],
    )
    assert pairs(time_split(checked(frame), 10).test) == [("a", "z")]


def test_a_given_split_is_taken_as_it_is() -> None:
    split = given(rows(("a", "x", 5)), rows(("a", "y", 1), ("new", "x", 0)))
    assert (pairs(split.fit), pairs(split.test)) == ([("a", "x")], [("a", "y"), ("new", "x")])


def in_file_order(*lines: tuple[str, str]) -> Frame:
    return checked(pd.DataFrame(lines, columns=["user_id", "item_id"]))


def test_strict_does_not_learn_from_the_validation_row_but_both_are_asked_with_it() -> None:
    lines = in_file_order(("a", "x"), ("b", "q"), ("a", "y"), ("a", "z"))
    strict, refit = leave_last_out(lines, "strict"), leave_last_out(lines, "refit")
    assert pairs(strict.fit) == [("a", "x"), ("b", "q")]
    assert pairs(refit.fit) == [("a", "x"), ("b", "q"), ("a", "y")]
    assert pairs(strict.known) == pairs(refit.known) == [("a", "x"), ("b", "q"), ("a", "y")]
    assert pairs(strict.test) == pairs(refit.test) == [("a", "z")]


def test_a_file_without_times_keeps_its_order() -> None:
    split = leave_last_out(in_file_order(("a", "z"), ("a", "y"), ("a", "x")))
    assert pairs(split.test) == [("a", "x")]


def test_equal_times_keep_the_order_of_the_file() -> None:
    split = leave_last_out(rows(("a", "z", 1), ("a", "y", 7), ("a", "x", 7)))
    assert pairs(split.test) == [("a", "x")]


def test_users_with_fewer_than_three_rows_are_learned_from_and_not_measured() -> None:
    split = leave_last_out(in_file_order(("b", "p"), ("b", "q"), ("a", "x"), ("a", "y"), ("a", "z")))
    assert pairs(split.fit) == [("b", "p"), ("b", "q"), ("a", "x")]
    assert pairs(split.test) == [("a", "z")]
    with pytest.raises(BadInput, match="three"):
        leave_last_out(in_file_order(("b", "p"), ("b", "q")))


def test_each_prefix_is_somebody_who_asks_for_the_next_item() -> None:
    sessions = in_file_order(("s", "a"), ("s", "b"))
    asked = pd.DataFrame({"prefix": ["b a b", " a"], "next_item_id": ["a", "b"]})
    split = prefixes(sessions, asked)
    assert pairs(split.fit) == [("s", "a"), ("s", "b")]
    assert pairs(split.known) == [("0", "b"), ("0", "a"), ("0", "b"), ("1", "a")]
    assert split.known["position"].tolist() == [0, 1, 2, 0]
    assert pairs(split.test) == [("0", "a"), ("1", "b")]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (pd.DataFrame({"prefix": ["a"]}), "next_item_id"),
        (pd.DataFrame({"next_item_id": ["a"]}), "no column 'prefix'"),
        (pd.DataFrame({"prefix": ["a", " "], "next_item_id": ["a", "b"]}), "1 rows of the test file have no prefix"),
    ],
)
def test_a_file_without_prefixes_is_said(asked: Frame, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        prefixes(in_file_order(("s", "a")), asked)
