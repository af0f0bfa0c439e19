"""Each source of candidates on its own."""

from dataclasses import replace

from serving.decide.asked import Touch
from serving.decide.candidates import Candidate, from_catalogue, from_champion, from_trending, similar
from serving.decide.limits import NONE, Limits, Where
from serving.decide.state import Champion, State
from serving.decide.trends import EVERYBODY, Trends
from tests.serving.decide.fake import shop, state

VIEW = Touch("a", 1.0, "Product Viewed")
SCORES = {"a": 1.0, "b": 3.0, "c": 2.0}


def champion(made: State) -> Champion:
    """The champion that is there."""
    assert made.champion is not None
    return made.champion


def test_the_champion_gives_its_best_with_the_touch_that_caused_them() -> None:
    made = champion(state(SCORES, shop("a", "b", "c")))
    found = from_champion(made, [Touch("unknown", 9.0, "Product Viewed"), VIEW], NONE, {"b"}, 5)
    assert found == [Candidate("c", 2.0, "known", VIEW), Candidate("a", 1.0, "known", VIEW)]


def test_without_a_history_the_champion_names_no_cause() -> None:
    made = champion(state(SCORES, shop("a", "b", "c")))
    assert from_champion(made, [], NONE, (), 1) == [Candidate("b", 3.0, "known", None)]


def test_trending_items_keep_their_order_and_obey_stock_limits_and_exclusion() -> None:
    catalogue = shop("a", "b", price=5.0) | shop("c", in_stock=False) | shop("d", price=9.0)
    made = state(catalogue=catalogue, trending={"a": 1, "b": 4, "c": 9, "d": 3, "gone": 8})
    found = [candidate.item_id for candidate in from_trending(made, Limits(Where(max_price=5.0)), {"x"}, 9)]
    assert found == ["b", "a"]
    assert [candidate.item_id for candidate in from_trending(made, NONE, {"d", "b"}, 9)] == ["a"]


def test_trending_items_need_a_catalogue_only_where_there_are_limits() -> None:
    made = state(trending={"a": 1, "b": 4})
    assert [candidate.item_id for candidate in from_trending(made, NONE, {"a"}, 9)] == ["b"]
    assert from_trending(made, Limits(Where(max_price=5.0)), set(), 9) == []
    assert from_trending(made, Limits(Where(categories=frozenset({"x"}))), set(), 9) == []


def test_the_catalogue_gives_the_rest_by_id() -> None:
    made = state(catalogue=shop("b", "a", "c") | shop("d", in_stock=False))
    assert [candidate.item_id for candidate in from_catalogue(made, NONE, {"c"}, 9)] == ["a", "b"]
    assert from_catalogue(state(), NONE, set(), 9) == []


def test_similar_items_are_never_the_item_itself_and_none_for_an_unknown_one() -> None:
    made = champion(state(SCORES, shop("a", "b", "c")))
    found = similar(made, "b", NONE, (), 5)
    assert [(candidate.item_id, candidate.cause) for candidate in found] == [
        ("c", Touch("b", 1.0, "")),
        ("a", Touch("b", 1.0, "")),
    ]
    assert similar(made, "unknown", NONE, (), 5) == []


def test_no_more_than_asked_for_are_taken_from_what_trends_and_from_the_shop() -> None:
    made = state(catalogue=shop("a", "b", "c"), trending={"a": 1, "b": 4, "c": 3})
    assert [candidate.item_id for candidate in from_trending(made, NONE, {"b"}, 1)] == ["c"]
    assert [candidate.item_id for candidate in from_catalogue(made, NONE, {"a"}, 1)] == ["b"]


def test_what_trends_in_the_context_comes_first() -> None:
    lists = {EVERYBODY: [("a", 90.0), ("b", 10.0)], "country:GB": [("b", 5.0)]}
    made = replace(state(catalogue=shop("a", "b")), trending=Trends(lists))
    assert [candidate.item_id for candidate in from_trending(made, NONE, set(), 9)] == ["a", "b"]
    assert [candidate.item_id for candidate in from_trending(made, NONE, set(), 9, ("country:GB",))] == ["b", "a"]
