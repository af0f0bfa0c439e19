"""Lists by context, and the list for a visitor of several, by hand."""

import pytest

from features.trends import LONGEST_IN_CONTEXT, PRIOR, context_key, contexts_of, in_context, trends_of

EVERYBODY = {"a": 600.0, "b": 300.0, "c": 100.0}


def test_a_visitor_of_no_context_gets_what_everybody_turns_to() -> None:
    trends = trends_of(EVERYBODY, {}, {})
    assert [item for item, _ in in_context(trends, ())] == ["a", "b", "c"]
    assert in_context(trends, ("country:GB",)) == in_context(trends, ())


def test_in_a_context_an_item_moves_by_how_much_more_it_is_wanted_there() -> None:
    # c: share 0.1 of all; in GB 50 of 100, with a prior of 100 drawn from all: (50 + 100 * 0.1) / 200 = 0.3
    # a: (50 + 100 * 0.6) / 200 = 0.55; b: (0 + 100 * 0.3) / 200 = 0.15
    assert PRIOR == 100
    found = in_context(trends_of(EVERYBODY, {"country:GB": {"a": 50, "c": 50}}, {}), ("country:GB",))
    assert [item for item, _ in found] == ["a", "c", "b"]
    assert [share for _, share in found] == pytest.approx([0.55, 0.3, 0.15])


def test_two_contexts_multiply_and_a_thin_one_says_little() -> None:
    contexts = {"country:GB": {"c": 1_000.0}, "device:mobile": {"b": 1.0}}
    trends = trends_of(EVERYBODY, contexts, {})
    assert in_context(trends, ("device:mobile",))[0][0] == "a"
    assert in_context(trends, ("country:GB", "device:mobile"))[0][0] == "c"


def test_an_item_that_only_a_context_knows_is_in_its_list() -> None:
    trends = trends_of(EVERYBODY, {"country:GB": {"rare": 400.0}}, {})
    assert in_context(trends, ("country:GB",))[0][0] == "rare"
    assert in_context({}, ("country:GB",)) == ()


def test_categories_have_lists_by_what_the_catalogue_says() -> None:
    trends = trends_of(EVERYBODY, {}, {"a": "garden", "b": "toys", "c": "toys"})
    assert trends["category:toys"] == (("b", 300.0), ("c", 100.0))
    assert in_context(trends, ("category:toys",))[0][0] == "b"


def test_lists_are_bounded_and_ties_are_ordered_by_id() -> None:
    many = {f"i{at:04d}": 1.0 for at in range(2_000)}
    trends = trends_of(many, {"country:GB": many}, {})
    assert len(trends[""]) == 1_000
    assert len(trends["country:GB"]) == LONGEST_IN_CONTEXT
    assert trends[""][0][0] == "i0000"


def test_the_contexts_of_a_request_are_read_as_those_of_an_event() -> None:
    given = {"country": "gb", "device": "iPhone"}
    assert contexts_of(given, "garden") == ("country:GB", "device:mobile", "category:garden")
    assert contexts_of({"locale": "de-AT", "device": None}) == ("country:AT",)
    assert contexts_of({"country": 7, "device": True, "locale": "x"}) == ()


def test_only_codes_of_countries_and_kinds_of_devices_are_contexts_so_that_nobody_can_make_more() -> None:
    assert context_key("country", "GB") == "country:GB"
    assert {context_key("country", "Utopia"), context_key("device", "fridge"), context_key("category", "")} == {""}
