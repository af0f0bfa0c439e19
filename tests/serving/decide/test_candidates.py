"""Each source of candidates on its own."""

from serving.decide.asked import Touch
from serving.decide.candidates import Candidate, from_catalogue, from_champion, from_trending, similar
from serving.decide.state import Champion, Limits, State
from tests.serving.decide.fake import shop, state

VIEW = Touch("a", 1.0, "Product Viewed")
SCORES = {"a": 1.0, "b": 3.0, "c": 2.0}


def champion(made: State) -> Champion:
    """The champion that is there."""
    assert made.champion is not None
    return made.champion


def test_the_champion_gives_its_best_with_the_touch_that_caused_them() -> None:
    made = champion(state(SCORES, shop("a", "b", "c")))
    found = from_champion(made, [Touch("unknown", 9.0, "Product Viewed"), VIEW], Limits(), {"b"}, 5)
    assert found == [Candidate("c", 2.0, "known", VIEW), Candidate("a", 1.0, "known", VIEW)]


def test_without_a_history_the_champion_names_no_cause() -> None:
    made = champion(state(SCORES, shop("a", "b", "c")))
    assert from_champion(made, [], Limits(), (), 1) == [Candidate("b", 3.0, "known", None)]


def test_trending_items_keep_their_order_and_obey_stock_limits_and_exclusion() -> None:
    catalogue = shop("a", "b", price=5.0) | shop("c", in_stock=False) | shop("d", price=9.0)
    made = state(catalogue=catalogue, trending={"a": 1, "b": 4, "c": 9, "d": 3, "gone": 8})
    found = [candidate.item_id for candidate in from_trending(made, Limits(max_price=5.0), {"x"})]
    assert found == ["b", "a"]
    assert [candidate.item_id for candidate in from_trending(made, Limits(), {"d", "b"})] == ["a"]


def test_trending_items_need_a_catalogue_only_where_there_are_limits() -> None:
    made = state(trending={"a": 1, "b": 4})
    assert [candidate.item_id for candidate in from_trending(made, Limits(), {"a"})] == ["b"]
    assert list(from_trending(made, Limits(max_price=5.0), set())) == []
    assert list(from_trending(made, Limits(frozenset({"x"})), set())) == []


def test_the_catalogue_gives_the_rest_by_id() -> None:
    made = state(catalogue=shop("b", "a", "c") | shop("d", in_stock=False))
    assert [candidate.item_id for candidate in from_catalogue(made, Limits(), {"c"})] == ["a", "b"]
    assert list(from_catalogue(state(), Limits(), set())) == []


def test_similar_items_are_never_the_item_itself_and_none_for_an_unknown_one() -> None:
    made = champion(state(SCORES, shop("a", "b", "c")))
    found = similar(made, "b", Limits(), (), 5)
    assert [(candidate.item_id, candidate.cause) for candidate in found] == [
        ("c", Touch("b", 1.0, "")),
        ("a", Touch("b", 1.0, "")),
    ]
    assert similar(made, "unknown", Limits(), (), 5) == []
