"""What trends: in all, and in a context."""

from features.trends import EVERYBODY
from models.interactions import IdMap
from serving.decide.columns import Columns
from serving.decide.trends import Trends, keys_of, live_trends
from tests.serving.decide.fake import shop

LISTS = {
    EVERYBODY: [("a", 60.0), ("b", 40.0)],
    "country:GB": [("b", 3.0), ("c", 1.0)],
    "device:mobile": [("d", 1.0)],
}


def test_without_a_context_it_is_the_list_of_everybody_as_it_was_given() -> None:
    assert Trends(LISTS).among(()) == (("a", 60.0), ("b", 40.0))
    assert Trends().among(()) == ()


def test_in_a_context_items_move_by_how_much_more_they_are_wanted_there() -> None:
    lists = {**LISTS, "country:GB": [("b", 300.0), ("c", 100.0)]}
    assert [item_id for item_id, _ in Trends(lists).among(("country:GB",))] == ["b", "c", "a"]
    assert [item_id for item_id, _ in Trends(LISTS).among(("country:GB",))][:2] == ["a", "b"]  # few speak for it


def test_live_lists_know_categories_by_the_catalogue() -> None:
    found = live_trends({"a": 6, "b": 4, "gone": 1}, {"country:GB": {"b": 3}}, shop("a", "b"))
    assert found.lists[EVERYBODY] == (("a", 6.0), ("b", 4.0), ("gone", 1.0))
    assert set(found.known(("country:GB", f"category:{shop('a')['a'].category}"))) >= {"country:GB"}
    assert live_trends({"a": 1}, {}, None).lists == {EVERYBODY: (("a", 1.0),)}


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
