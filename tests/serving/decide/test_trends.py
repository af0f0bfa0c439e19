"""What trends: in all, and in a context."""

from models.interactions import IdMap
from serving.decide.columns import Columns
from serving.decide.trends import EVERYBODY, Trends, keys_of
from tests.serving.decide.fake import shop

LISTS = {
    EVERYBODY: [("a", 60.0), ("b", 40.0)],
    "country:GB": [("b", 3.0), ("c", 1.0)],
    "device:mobile": [("d", 1.0)],
}


def test_without_a_context_it_is_the_list_of_everybody_as_it_was_given() -> None:
    assert Trends(LISTS).among(()) == (("a", 60.0), ("b", 40.0))
    assert Trends().among(()) == ()


def test_lists_of_a_context_count_by_shares_and_the_list_of_everybody_fills_up() -> None:
    """b: 3/4 + 0.25 * 0.4; d: 1/1 of few; c: 1/4; a: 0.25 * 0.6."""
    found = Trends(LISTS).among(("country:GB", "device:mobile"))
    assert [(item_id, round(weight, 6)) for item_id, weight in found] == [
        ("d", 1.0),
        ("b", 0.85),
        ("c", 0.25),
        ("a", 0.15),
    ]


def test_keys_without_a_list_are_left_out() -> None:
    assert Trends(LISTS).known(("country:FR", "device:mobile")) == ("device:mobile",)


def test_rows_follow_the_columns_as_they_grow() -> None:
    columns, trends = Columns(IdMap(("b",)), shop("b")), Trends(LISTS)
    assert trends.rows((), columns).tolist() == [-1, 0]
    columns.update(shop("a"), grow=True)
    assert trends.rows((), columns).tolist() == [1, 0]
    other = Columns(IdMap(("a", "b")), shop("a", "b"))
    assert trends.rows((), other).tolist() == [0, 1]


def test_a_request_says_country_and_device_as_events_do() -> None:
    context = {"country": "gb", "device": "iOS", "screen": 3}
    assert keys_of(context, "garden") == ("country:GB", "device:mobile", "category:garden")
    assert keys_of({"country": 7, "device": None}, "") == ()
