"""From candidates to a slate."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.decide.asked import Touch
from serving.decide.candidates import Candidate
from serving.decide.limits import NONE as EVERYTHING
from serving.decide.rank import like, reason, slate
from serving.decide.state import State
from tests.serving.decide.fake import shop, state

SCORES = {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}
SHOP = shop("a", "b", "c", "d", "e", "f")
VIEW = Touch("a", 1.0, "Product Viewed")


def order(found: Iterable[Candidate]) -> str:
    """Item ids as one word."""
    return "".join(candidate.item_id for candidate in found)


def test_the_champion_comes_first_then_what_trends_then_the_rest_of_the_shop() -> None:
    made = state({"a": 4.0, "b": 3.0}, SHOP, {"d": 100.0, "b": 50.0})
    found = slate(made, [VIEW], set(), EVERYTHING, (), 10)
    assert order(found) == "bdcefa"
    assert [candidate.source for candidate in found] == ["known", "trending", *["catalogue"] * 3, "known"]


def test_a_later_source_is_shifted_below_what_is_there() -> None:
    found = slate(state({"b": 3.0}, SHOP, {"d": 100.0, "e": 99.5}), [VIEW], set(), EVERYTHING, (), 3)
    assert [(candidate.item_id, candidate.score) for candidate in found] == [("b", 3.0), ("d", 2.0), ("e", 1.5)]


def test_somebody_new_gets_what_trends_before_the_champions_popular_items() -> None:
    found = slate(state(SCORES, SHOP, {"f": 2.0}), [], set(), EVERYTHING, (), 3)
    assert order(found) == "fab"


def test_what_was_only_looked_at_comes_last() -> None:
    assert order(slate(state(SCORES, SHOP), [VIEW], set(), EVERYTHING, (), 3)) == "bcd"
    assert order(slate(state(SCORES, SHOP), [VIEW], set(), EVERYTHING, (), 10)) == "bcdefa"


def test_what_was_bought_never_comes_back_unless_it_is_repeatable() -> None:
    bought = Touch("a", 5.0, "Order Completed")
    assert order(slate(state(SCORES, SHOP), [bought], {"a"}, EVERYTHING, (), 10)) == "bcdef"
    made = state(SCORES, SHOP | shop("a", category="tea"), repeatable=frozenset({"tea"}))
    assert order(slate(made, [bought], {"a"}, EVERYTHING, (), 10)) == "abcdef"


def test_an_excluded_item_is_never_shown_not_even_last() -> None:
    made = state(SCORES, SHOP, {"b": 5.0}, repeatable=frozenset({"*"}))
    assert order(slate(made, [VIEW], {"b"}, EVERYTHING, ("a", "b", "e"), 10)) == "cdf"


def test_equal_scores_are_ordered_by_id() -> None:
    made = state(dict.fromkeys("dbca", 1.0), SHOP, dict.fromkeys("fe", 3.0))
    assert order(slate(made, [Touch("x", 1.0, "")], set(), EVERYTHING, (), 6)) == "abcdef"


def test_scores_that_round_to_the_same_after_the_shift_are_ordered_by_id() -> None:
    """Below -1e17, b's lead of 0.5 over a is too small for a float."""
    made = state({"x": -1e17}, shop("a", "b", "x"), {"b": 1.5, "a": 1.0})
    found = slate(made, [Touch("y", 1.0, "")], set(), EVERYTHING, (), 3)
    assert order(found) == "xab"
    assert found[1].score == found[2].score


def test_without_anything_the_slate_is_empty() -> None:
    assert slate(State(), [VIEW], set(), EVERYTHING, (), 10) == []
    assert like(State(), "a", EVERYTHING, (), 10) == []


ID = st.sampled_from([f"i{number}" for number in range(12)])
WEIGHTS = st.dictionaries(ID, st.floats(-1e6, 1e6, width=32), max_size=12)


@given(
    scores=st.none() | WEIGHTS.filter(bool),
    trending=st.dictionaries(ID, st.integers(1, 10**7), max_size=12),
    catalogue=st.none() | st.sets(ID),
    out=st.sets(ID, max_size=4),
    history=st.lists(ID, unique=True, max_size=6),
    bought=st.sets(ID, max_size=4),
    exclude=st.sets(ID, max_size=4),
    n=st.integers(1, 15),
)
def test_every_slate_holds_what_the_contract_says(
    scores: dict[str, float] | None,
    trending: dict[str, float],
    catalogue: set[str] | None,
    out: set[str],
    history: list[str],
    bought: set[str],
    exclude: set[str],
    n: int,
) -> None:
    items = None if catalogue is None else shop(*(catalogue - out)) | shop(*(catalogue & out), in_stock=False)
    touches = [Touch(item_id, 1.0, "Product Viewed") for item_id in history]
    found = slate(state(scores, items, trending), touches, bought, EVERYTHING, exclude, n)
    chosen = [candidate.item_id for candidate in found]
    assert len(chosen) == len(set(chosen)) <= n
    keys = [(-candidate.score, candidate.item_id) for candidate in found]
    assert keys == sorted(keys)
    assert not set(chosen) & (exclude | bought)
    if catalogue is not None:
        assert set(chosen) <= catalogue - out
        assert len(chosen) == min(n, len(catalogue - out - exclude - bought))


def test_similar_items_are_filled_up_with_what_trends_and_with_the_shop() -> None:
    found = like(state({"a": 4.0, "b": 3.0}, SHOP, {"d": 9.0}), "a", EVERYTHING, ("c",), 10)
    assert order(found) == "bdef"
    assert [reason(candidate)[0] for candidate in found] == ["similar_to", "trending", "popular", "popular"]
    assert order(like(state(SCORES, SHOP, {"f": 9.0}), "unknown", EVERYTHING, (), 2)) == "fa"


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (Candidate("i", 1.0, "als", Touch("a", 1.0, "Product Viewed")), ("because_you_viewed", "a")),
        (Candidate("i", 1.0, "als", Touch("a", 1.0, "Product Added")), ("because_you_added", "a")),
        (Candidate("i", 1.0, "als", Touch("a", 1.0, "Product Added to Wishlist")), ("because_you_added", "a")),
        (Candidate("i", 1.0, "als", Touch("a", 1.0, "Order Completed")), ("because_you_bought", "a")),
        (Candidate("i", 1.0, "als", Touch("a", 1.0, "")), ("similar_to", "a")),
        (Candidate("i", 1.0, "trending", None), ("trending", None)),
        (Candidate("i", 1.0, "als", None), ("popular", None)),
        (Candidate("i", 1.0, "catalogue", None), ("popular", None)),
    ],
)
def test_every_item_has_a_reason(candidate: Candidate, expected: tuple[str, str | None]) -> None:
    assert reason(candidate) == expected
