"""From events to numbers, by hand."""

import random

import msgspec
import pandas as pd
import pytest

from features.errors import BadInput
from features.events import decode, iso
from features.profiles import Profile
from features.states import RECENT
from models.interactions import IdMap
from serving.decide.asked import touches_of
from tests.profiles import packed
from training.datasets import Frame, checked, histories, interactions, targets

Line = tuple[str, str, int, str]


def events(*lines: Line) -> Frame:
    return checked(pd.DataFrame(lines, columns=["user_id", "item_id", "timestamp", "event"]))


def test_events_add_up_to_confidence() -> None:
    # u and x: viewed 1 + added 3 + ordered 5
    lines = events(
        ("u", "x", 1, "Product Viewed"), ("u", "x", 2, "Product Added"), ("u", "x", 3, "Order Completed"),
        ("v", "y", 4, "Product Viewed"),
    )  # fmt: skip
    found = interactions(lines)
    assert (found.users.ids, found.items.ids) == (("u", "v"), ("x", "y"))
    assert found.matrix.toarray().tolist() == [[9, 0], [0, 1]]
    assert found.timestamps is not None
    assert found.timestamps.tolist() == [3, 4]
    assert found.window == (1, 5)


def test_a_refund_takes_the_order_back() -> None:
    lines = events(
        ("u", "x", 1, "Order Completed"), ("u", "x", 9, "Order Refunded"),
        ("u", "y", 2, "Order Completed"), ("u", "y", 3, "Product Viewed"), ("u", "y", 8, "Order Refunded"),
    )  # fmt: skip
    found = interactions(lines)
    assert found.items.ids == ("y",)
    assert found.matrix.toarray().tolist() == [[1]]
    assert found.timestamps is not None
    assert found.timestamps.tolist() == [3]  # the refund is no interest


def test_everything_given_back_is_said() -> None:
    with pytest.raises(BadInput, match="refund"):
        interactions(events(("u", "x", 1, "Order Completed"), ("u", "x", 2, "Order Refunded")))


def test_an_event_that_came_twice_counts_once() -> None:
    once, twice = events(("u", "x", 1, "Product Viewed")), events(*[("u", "x", 1, "Product Viewed")] * 2)
    assert interactions(once).matrix.toarray().tolist() == interactions(twice).matrix.toarray().tolist() == [[1]]


def test_equal_rows_without_times_are_all_counted() -> None:
    frame = pd.DataFrame({"user_id": ["u", "u"], "item_id": ["x", "x"]})
    found = interactions(checked(frame))
    assert found.matrix.toarray().tolist() == [[2]]
    assert (found.timestamps, found.window) == (None, None)


def test_an_unknown_event_moves_nothing() -> None:
    lines = events(("u", "x", 1, "Product Viewed"), ("u", "y", 2, "Order Completed"), ("u", "z", 3, "Song Played"))
    assert interactions(lines).matrix.toarray().tolist() == [[1, 5]]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"user_id": [], "item_id": []}), "no interactions"),
        (pd.DataFrame({"user_id": ["u"]}), "item_id"),
        (pd.DataFrame({"item_id": ["u"]}), "user_id"),
        (pd.DataFrame({"user_id": ["u", None], "item_id": ["x", "y"]}), "1 rows have no user_id"),
        (pd.DataFrame({"user_id": ["u"], "item_id": ["x"], "event": ["Song Played"]}), "no known event"),
    ],
)
def test_a_frame_that_says_nothing_is_refused(frame: Frame, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        checked(frame)


def test_numbers_are_ids_too() -> None:
    found = interactions(checked(pd.DataFrame({"user_id": [7, 10], "item_id": [1, 2]})))
    assert found.users.ids == ("10", "7")


def test_a_history_is_of_known_items_and_those_asked_for() -> None:
    lines = events(("u", "x", 1, "Product Viewed"), ("u", "new", 2, "Product Viewed"), ("v", "x", 3, "Product Added"))
    found = histories(lines, IdMap.of(["u", "nobody"]), IdMap.of(["x", "y"]))
    assert found.matrix.toarray().tolist() == [[0, 0], [1, 0]]


def test_a_history_is_in_the_order_of_time_and_keeps_what_came_again() -> None:
    lines = events(("u", "b", 3, "Product Viewed"), ("v", "c", 1, "Product Viewed"), ("u", "a", 2, "Product Added"))
    lines = pd.concat([lines, events(("u", "b", 1, "Product Viewed"))])
    found = histories(lines, IdMap.of("uv"), IdMap.of("abc"))
    assert [found[row].items.tolist() for row in range(2)] == [[1, 0, 1], [2]]
    assert found[0].weights.tolist() == [1, 3, 1]
    assert found[0].times is not None
    assert found[0].times.tolist() == [1, 2, 3]


def test_a_refund_takes_from_the_events_of_its_pair_and_is_none() -> None:
    lines = events(("u", "x", 1, "Order Completed"), ("u", "x", 2, "Order Completed"), ("u", "x", 3, "Order Refunded"))
    found = histories(lines, IdMap.of("u"), IdMap.of("x"))
    assert found.weights.tolist() == [2.5, 2.5]  # 5 + 5 - 5 over two orders


def test_what_was_asked_with_as_in_serving_stands_once_at_its_newest_place() -> None:
    lines = events(*[("u", item, at, "Product Viewed") for at, item in enumerate("abca")])
    assert histories(lines, IdMap.of("u"), IdMap.of("abc"), newest=9).items.tolist() == [1, 2, 0]


def test_only_the_newest_events_of_a_history_count() -> None:
    lines = events(*[("u", item, at, "Product Viewed") for at, item in enumerate("abcd")])
    found = histories(lines, IdMap.of(["u"]), IdMap.of("abcd"), newest=2)
    assert (found.matrix.toarray() > 0).tolist() == [[False, False, True, True]]


def test_the_latest_event_counts_five_times_and_one_of_a_day_before_three_times() -> None:
    day = 86_400_000
    lines = events(("u", "a", 0, "Product Viewed"), ("u", "b", day, "Product Viewed"))
    # 1 + 4 * 0.5 ** 0 = 5, and 1 + 4 * 0.5 ** 1 = 3
    assert histories(lines, IdMap.of(["u"]), IdMap.of("ab"), newest=100).matrix.toarray().tolist() == [[3, 5]]


def test_training_asks_with_the_same_history_as_serving_in_the_same_order_at_the_same_times() -> None:
    names = ["Product Viewed", "Product Added", "Order Completed", "Order Refunded"]
    rng = random.Random(7)
    lines = [("u:1", rng.choice("abcdef"), rng.randrange(1, 5) * 40_000_000 + n, rng.choice(names)) for n in range(140)]
    sent = []
    for n, (customer, item, at, name) in enumerate(lines):
        key = "order_id" if name.startswith("Order") else "product_id"
        detail = {key: item, **({"products": [{"product_id": item}]} if key == "order_id" else {})}
        event = {"type": "track", "event": name, "messageId": str(n), "userId": customer[2:], "timestamp": iso(at)}
        sent.append(decode(msgspec.json.encode({**event, "properties": detail}), at))
    items = IdMap.of("abcdef")
    asked = histories(events(*lines), IdMap.of(["u:1"]), items, newest=RECENT)[0]
    served = touches_of(Profile([packed(*sent)]), [], now=0)
    assert items.names(asked.items) == [touch.item_id for touch in served]
    assert asked.weights.tolist() == pytest.approx([touch.confidence for touch in served])
    assert asked.times is not None
    assert asked.times.tolist() == [touch.at for touch in served]


def test_targets_are_counted_once_and_unknown_ones_apart() -> None:
    lines = events(
        ("u", "x", 1, "Order Completed"), ("u", "x", 2, "Order Completed"), ("u", "new", 3, "Order Completed"),
        ("v", "y", 4, "Order Refunded"),
    )  # fmt: skip
    wanted, unknown = targets(lines, IdMap.of(["u", "v"]), IdMap.of(["x", "y"]))
    assert wanted.toarray().tolist() == [[1, 0], [0, 0]]
    assert unknown.tolist() == [1, 0]


@pytest.mark.parametrize("column", ["timestamp", "position"])
def test_a_row_without_its_time_or_position_is_refused(column: str) -> None:
    frame = pd.DataFrame({"user_id": ["u", "v"], "item_id": ["a", "b"], column: [1.0, float("nan")]})
    with pytest.raises(BadInput, match=f"1 rows have no {column}"):
        checked(frame)
