"""Each source of candidates on its own, and how they fill a slate in turn."""

from collections.abc import Iterable
from dataclasses import replace

from features.trends import EVERYBODY
from serving.decide.asked import Asked, Touch
from serving.decide.candidates import (
    LOOKED_AT,
    alike,
    from_history,
    given,
    popular,
    rest,
    retrieve,
    similar,
    trending,
    unmet,
)
from serving.decide.limits import Limits, Where
from serving.decide.pool import Candidate
from serving.decide.question import Question, question
from serving.decide.state import State, take
from serving.decide.trends import Trends
from tests.serving.decide.fake import asks, champion_of, shop, state

SCORES = {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}
SHOP = shop("a", "b", "c", "d", "e", "f")
NOTHING: frozenset[str] = frozenset()
CHEAP = Limits(Where(max_price=5.0))


def about(made: State, asked: Asked | None = None, **more: object) -> Question:
    """A question to a state."""
    return question(made, asked or asks(**more))  # type: ignore[arg-type]


def order(found: Iterable[Candidate]) -> str:
    """Item ids as one word."""
    return "".join(candidate.item_id for candidate in found)


def test_a_model_gives_its_best_for_what_it_knows_of_the_history() -> None:
    asked = about(state(SCORES, SHOP), asks("unknown", "a"))
    found = from_history(asked, asked.models[0], frozenset("b"), 2)
    assert found == [Candidate("a", 4.0, "known"), Candidate("c", 2.0, "known")]


def test_a_model_that_knows_nothing_of_the_history_gives_nothing() -> None:
    asked = about(state(SCORES, SHOP), asks("unknown"))
    assert from_history(asked, asked.models[0], NOTHING, 2) == []
    assert order(popular(asked, asked.models[0], NOTHING, 2)) == "ab"


def test_trending_items_keep_their_order_and_obey_stock_limits_and_exclusion() -> None:
    catalogue = shop("a", "b", price=5.0) | shop("c", in_stock=False) | shop("d", price=9.0)
    made = state(catalogue=catalogue, trending={"a": 1, "b": 4, "c": 9, "d": 3, "gone": 8})
    assert order(trending(about(made, limits=CHEAP), frozenset("x"), 9)) == "ba"
    assert order(trending(about(made), frozenset("db"), 9)) == "a"
    assert order(trending(about(made), NOTHING, 1)) == "b"


def test_what_trends_far_down_a_long_list_is_found_where_only_that_is_allowed() -> None:
    ids = [f"i{at:04d}" for at in range(3 * LOOKED_AT)]
    cheap = {ids[LOOKED_AT], ids[2 * LOOKED_AT + 5]}
    catalogue = {each: item for each in ids for item in shop(each, price=4.0 if each in cheap else 9.0).values()}
    made = state(catalogue=catalogue, trending={each: float(-at) for at, each in enumerate(ids)})
    assert [each.item_id for each in trending(about(made, limits=CHEAP), NOTHING, 9)] == sorted(cheap)
    assert [each.item_id for each in trending(about(made), NOTHING, 300)] == ids[:300]


def test_trending_items_need_a_catalogue_only_where_there_are_limits() -> None:
    made = state(trending={"a": 1, "b": 4})
    assert order(trending(about(made), frozenset("a"), 9)) == "b"
    assert trending(about(made, limits=CHEAP), NOTHING, 9) == []


def test_what_trends_in_the_context_comes_first() -> None:
    lists = {EVERYBODY: [("a", 90.0), ("b", 10.0)], "country:GB": [("b", 5e3)], "category:x": [("c", 5e3)]}
    made = replace(state(catalogue=shop("a", "b", "c", category="x")), trending=Trends(lists))
    assert order(trending(about(made), NOTHING, 2)) == "ab"
    assert order(trending(about(made, context={"country": "gb"}), NOTHING, 2)) == "ba"
    assert order(trending(about(made, item_id="a"), NOTHING, 2)) == "ca"


def test_the_catalogue_gives_the_rest_by_id() -> None:
    made = state(catalogue=shop("b", "a", "c") | shop("d", in_stock=False))
    assert order(rest(about(made), frozenset("c"), 9)) == "ab"
    assert rest(about(state()), NOTHING, 9) == []


def test_similar_items_say_what_they_are_like_and_there_are_none_for_an_unknown_one() -> None:
    asked = about(state(SCORES, SHOP))
    found = similar(asked, asked.models[0], "b", NOTHING, 2)
    assert found == [Candidate("a", 4.0, "known", "b"), Candidate("c", 2.0, "known", "b")]
    assert similar(asked, asked.models[0], "unknown", NOTHING, 2) == []


def test_new_items_are_those_that_no_model_has_met_the_newest_first() -> None:
    made = state({"a": 1.0}, shop("a", "b", "c"))
    other = champion_of(state({"a": 1.0, "b": 1.0}, shop("a", "b", "c")), "other")
    made = replace(made, sources=(other,))
    take(made, {**shop("e", "d"), "f": None})
    assert order(unmet(about(made), NOTHING, 9)) == "dec"
    assert order(unmet(about(made), frozenset("d"), 1)) == "e"
    assert order(unmet(about(made, limits=CHEAP), NOTHING, 9)) == ""
    take(made, {"d": None, **shop("e", in_stock=False)})
    assert order(unmet(about(made), NOTHING, 9)) == "c"
    assert unmet(about(state(catalogue=SHOP)), NOTHING, 9) == []


def test_the_champion_comes_first_then_what_trends_then_the_rest_of_the_shop() -> None:
    made = state({"a": 4.0, "b": 3.0}, SHOP, {"d": 100.0, "b": 50.0})
    found = retrieve(about(made, asks("a")), 20)
    assert order(found) == "bdcefa"
    assert [candidate.source for candidate in found] == ["known", "trending", *["catalogue"] * 3, "known"]


def test_a_source_is_asked_only_while_the_slate_is_short() -> None:
    made = state({"b": 3.0, "c": 2.0}, SHOP, {"d": 100.0})
    assert order(retrieve(about(made, asks("a", "b", n=1)), 20)) == "c"
    assert order(retrieve(about(made, asks("a", "b", n=2)), 20)) == "cd"


def test_of_a_source_as_many_are_taken_as_stages_after_it_can_use() -> None:
    assert order(retrieve(about(state(SCORES, SHOP), asks("f", "d", n=1)), 2)) == "ab"


def test_a_later_source_is_shifted_below_what_is_there() -> None:
    made = state({"a": 1.0, "b": 3.0}, SHOP, {"d": 100.0, "e": 99.5})
    found = retrieve(about(made, asks("a", n=3)), 20)
    assert [(candidate.item_id, candidate.score) for candidate in found] == [("b", 3.0), ("d", 2.0), ("e", 1.5)]


def test_somebody_new_gets_what_trends_before_a_models_popular_items() -> None:
    made = state(SCORES, SHOP, {"f": 2.0})
    assert order(retrieve(about(made, asks(n=3)), 20)) == "fabcd"
    assert order(retrieve(about(made, asks("unknown", n=3)), 20)) == "fabcd"


def test_what_was_only_looked_at_comes_last() -> None:
    assert order(retrieve(about(state(SCORES, SHOP), asks("a", n=3)), 20)) == "bcd"
    assert order(retrieve(about(state(SCORES, SHOP), asks("a", n=10)), 20)) == "bcdefa"


def test_several_models_are_asked_in_their_order() -> None:
    second = champion_of(state({"a": 1.0, "e": 9.0}, SHOP), "second")
    made = replace(state({"a": 1.0, "b": 3.0}, SHOP), sources=(second,))
    found = retrieve(about(made, asks("a", customer="u:1", n=2)), 20)
    assert [(candidate.item_id, candidate.source) for candidate in found] == [("b", "known"), ("e", "second")]


def test_a_short_history_and_a_visitor_are_for_the_model_of_sessions() -> None:
    sessions = champion_of(state({"a": 1.0}, SHOP), "session_knn")
    made = replace(state(SCORES, SHOP), sources=(sessions,))
    regular = asks(*"abcd", customer="u:1")
    for asked, first in [
        (regular, "known"),
        (asks(*"abc", customer="u:1"), "session_knn"),
        (replace(regular, customer="a:1"), "session_knn"),
        (replace(regular, customer=""), "session_knn"),
    ]:
        assert about(made, asked).models[0].name == first


def test_the_item_that_is_looked_at_brings_what_is_like_it() -> None:
    """The model knows nothing but likeness here: no history, and nothing trends."""
    found = retrieve(about(state(SCORES, SHOP), asks(n=2, item_id="b")), 20)
    assert [(candidate.item_id, candidate.like) for candidate in found][:2] == [("a", "b"), ("c", "b")]


def test_similar_items_are_filled_up_with_what_trends_and_with_the_shop() -> None:
    asked = about(state({"a": 4.0, "b": 3.0}, SHOP, {"d": 9.0}), asks(alike="a", exclude=("c",)))
    assert order(alike(asked, "a")) == "bdef"
    assert order(alike(about(state(SCORES, SHOP, {"f": 9.0}), asks(n=2, alike="unknown")), "unknown")) == "fa"


def test_given_items_are_all_ordered_whatever_is_known_of_them() -> None:
    """Not one is left out: a caller that lets a list be ordered shows the list."""
    made = state(SCORES, SHOP | shop("c", in_stock=False), {"f": 3.0})
    asked = about(made, asks("a", bought=frozenset("b"), exclude=("d",)))
    assert order(given(asked, ("Z", "e", "d", "f", "c", "b", "a", "d", "Y"))) == "abcdfeYZ"
    assert order(given(about(State()), ("b", "a"))) == "ab"


def test_equal_scores_are_ordered_by_id() -> None:
    made = state(dict.fromkeys("dbca", 1.0), shop(*"abcdefx"), dict.fromkeys("fe", 3.0))
    assert order(retrieve(about(made, asks("x", "d", n=5)), 20)) == "abcef"


def test_scores_that_round_to_the_same_after_the_shift_are_ordered_by_id() -> None:
    """Below -1e17, b's lead of 0.5 over a is too small for a float."""
    made = state({"x": -1e17, "y": -2e17}, shop("a", "b", "x", "y"), {"b": 1.5, "a": 1.0})
    found = retrieve(about(made, asks("y", n=3)), 20)
    assert order(found) == "xab"
    assert found[1].score == found[2].score


def test_what_was_bought_is_never_shown_unless_it_is_repeatable() -> None:
    bought = asks("a", bought=frozenset("a"))
    assert order(retrieve(about(state(SCORES, SHOP), bought), 20)) == "bcdef"
    made = state(SCORES, SHOP | shop("a", category="tea"), repeatable=frozenset({"tea"}))
    assert order(retrieve(about(made, bought), 20)) == "abcdef"


def test_the_history_reaches_the_model_with_weights_and_times() -> None:
    touches = (Touch("d", 2.0, "Product Added", 500), Touch("unknown", 1.0, "Product Viewed", 700))
    asked = about(state(SCORES, SHOP), asks(touches=touches))
    history = asked.history(asked.models[0])
    assert (history.items.tolist(), history.weights.tolist()) == ([3, -1], [2.0, 1.0])
    assert history.times is not None
    assert history.times.tolist() == [500, 700]
