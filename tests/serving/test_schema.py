"""Requests: what is taken, and how a refusal names the field."""

import pytest

from features.errors import BadInput
from serving.schema import (
    Filter,
    RankRequest,
    RecommendRequest,
    Touched,
    parse_parameters,
    parse_rank,
    parse_recommend,
    parse_similar,
)


def refused(body: bytes) -> BadInput:
    """What parsing raises."""
    with pytest.raises(BadInput) as caught:
        parse_recommend(body)
    return caught.value


def test_a_request_needs_nothing_but_somebody_to_serve() -> None:
    assert parse_recommend(b'{"user_id": "u"}') == RecommendRequest(user_id="u")
    assert parse_recommend(b'{"anonymous_id": "a"}').n == 10
    assert parse_recommend(b'{"history": []}').history == ()
    assert refused(b'{"n": 5}').field == "user_id"
    assert refused(b'{"user_id": null, "history": null}').field == "user_id"


def test_the_example_of_the_contract_is_taken() -> None:
    body = b"""{"user_id": "u1", "anonymous_id": "a1", "n": 10, "placement": "home", "item_id": null,
        "history": [{"item_id": "i9", "event": "Product Viewed", "timestamp": "2026-03-01T12:00:00Z"}],
        "context": {"device": "mobile", "country": "GB"},
        "filter": {"category": ["garden"], "in_stock": true, "max_price": 50}, "exclude": ["i3"], "after": "m1"}"""
    request = parse_recommend(body)
    assert request.filter == Filter(category=("garden",), max_price=50)
    assert request.exclude == ("i3",)
    assert request.history is not None
    assert request.history[0].timestamp is not None


@pytest.mark.parametrize("n", [1, 100])
def test_n_may_be_one_to_a_hundred(n: int) -> None:
    assert parse_recommend(b'{"user_id": "u", "n": %d}' % n).n == n


@pytest.mark.parametrize("n", [b"0", b"101", b"-1", b"10000", b'"5"', b"1.5", b"null"])
def test_any_other_n_is_refused_by_name(n: bytes) -> None:
    error = refused(b'{"user_id": "u", "n": %s}' % n)
    assert error.field == "n"
    assert str(error).startswith("n: ")


def test_lists_have_their_limits() -> None:
    touched = b'{"item_id": "i"},'
    assert len(parse_recommend(b'{"history": [%s]}' % (touched * 200)[:-1]).history or ()) == 200
    assert refused(b'{"history": [%s]}' % (touched * 201)[:-1]).field == "history"
    assert refused(b'{"user_id": "u", "exclude": [%s]}' % (b'"i",' * 1_001)[:-1]).field == "exclude"


@pytest.mark.parametrize(
    "when", [b'"2026-01-01T00:00:00"', b'"9999-12-31T23:59:59-12:00"', b'"0001-01-01T00:00:00+14:00"', b'"soon"']
)
def test_a_time_without_zone_or_beyond_reason_is_refused(when: bytes) -> None:
    assert (refused(b'{"history": [{"item_id": "i", "timestamp": %s}]}' % when).field or "").startswith("history[0]")


def test_an_unknown_field_is_refused_wherever_it_stands() -> None:
    assert refused(b'{"user_id": "u", "color": 1}').field == "color"
    assert refused(b'{"user_id": "u", "filter": {"color": 1}}').field == "filter.color"
    assert refused(b'{"history": [{"item_id": "i", "color": 1}]}').field == "history[0].color"
    assert refused(b'{"history": [{}]}').field == "history[0].item_id"


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"user_id"', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused_as_a_body(body: bytes) -> None:
    assert refused(body).field == "body"


def test_old_names_of_events_are_taken_for_the_new_ones() -> None:
    assert Touched(item_id="i", event="Viewed Product").name == "Product Viewed"
    assert Touched(item_id="i").name == "Product Viewed"


def test_similar_needs_an_item() -> None:
    assert parse_similar(b'{"item_id": "i", "n": 3}').n == 3
    with pytest.raises(BadInput) as caught:
        parse_similar(b"{}")
    assert caught.value.field == "item_id"


def test_a_get_says_the_same_as_a_post() -> None:
    asked = parse_parameters(
        [("user_id", "u"), ("n", "5"), ("category", "x"), ("category", "y"), ("max_price", "9.5"), ("exclude", "i1"),
         ("exclude", "i2"), ("country", "GB"), ("device", "mobile"), ("history", "i3"), ("history", "i4"),
         ("debug", "true"), ("placement", "home"), ("item_id", "i5"), ("after", "m1")]
    )  # fmt: skip
    assert asked == RecommendRequest(
        user_id="u", n=5, filter=Filter(category=("x", "y"), max_price=9.5), exclude=("i1", "i2"), debug=True,
        context={"country": "GB", "device": "mobile"}, history=(Touched(item_id="i3"), Touched(item_id="i4")),
        placement="home", item_id="i5", after="m1",
    )  # fmt: skip
    assert parse_parameters([("history", "")]).history == ()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ([("n", "5")], "user_id"),
        ([("user_id", "u"), ("n", "0")], "n"),
        ([("user_id", "u"), ("n", "many")], "n"),
        ([("user_id", "u"), ("max_price", "-1")], "max_price"),
        ([("user_id", "u"), ("user_id", "v")], "user_id"),
        ([("user_id", "u"), ("filter", "{}")], "filter"),
        ([("user_id", "u"), ("debug", "perhaps")], "debug"),
        ([("user_id", "")], "user_id"),
        ([("user_id", "u"), *[("history", "i")] * 201], "history"),
        ([("user_id", "u"), ("exclude", "")], "exclude[0]"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_refused_by_name(given: list[tuple[str, str]], field: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_parameters(given)
    assert caught.value.field == field


def test_a_list_to_rank_has_one_to_a_thousand_items_and_somebody_to_rank_for() -> None:
    assert parse_rank(b'{"user_id": "u", "item_ids": ["i"]}') == RankRequest(user_id="u", item_ids=("i",))
    many = b'"i",' * 1_001
    for body, field in [
        (b'{"user_id": "u", "item_ids": []}', "item_ids"),
        (b'{"user_id": "u", "item_ids": [%s]}' % many[:-1], "item_ids"),
        (b'{"user_id": "u"}', "item_ids"),
        (b'{"item_ids": ["i"]}', "user_id"),
        (b'{"user_id": "u", "item_ids": ["i"], "exclude": []}', "exclude"),
    ]:
        with pytest.raises(BadInput) as caught:
            parse_rank(body)
        assert caught.value.field == field
