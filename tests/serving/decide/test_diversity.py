"""Variety: shares of categories, and rotation of what is shown in vain."""

from collections.abc import Iterable
from dataclasses import replace

from features.items import Item
from serving.decide.diversity import GRACE, rotated, spread
from serving.decide.limits import Limits, Where
from serving.decide.pool import Candidate
from serving.decide.question import question
from serving.decide.state import Policy, State
from tests.serving.decide.fake import asks, state

CATEGORIES = {"a": "x", "b": "x", "c": "x", "d": "y", "e": "", "f": ""}
SHOP = {item_id: Item(item_id=item_id, category=category) for item_id, category in CATEGORIES.items()}


def pool(item_ids: Iterable[str]) -> list[Candidate]:
    """Candidates in this order."""
    return [Candidate(item_id, 0.0, "known") for item_id in item_ids]


def shared(share: float) -> State:
    """A state in which one category takes at most a share."""
    return replace(state(catalogue=SHOP), policy=Policy(category_share=share))


def order(found: Iterable[Candidate]) -> str:
    """Item ids as one word."""
    return "".join(candidate.item_id for candidate in found)


def test_a_category_takes_no_more_than_its_share_while_there_is_something_else() -> None:
    """Half of 4 are 2: c waits, and is the first of what follows the slate."""
    assert order(spread(question(shared(0.5), asks(n=4)), pool("abcdef"))) == "abdecf"
    assert order(spread(question(shared(0.5), asks(n=4)), pool("abc"))) == "abc"
    assert order(spread(question(shared(1.0), asks(n=4)), pool("abcdef"))) == "abcdef"


def test_items_without_a_category_are_all_different() -> None:
    assert order(spread(question(shared(0.01), asks(n=3)), pool("efab"))) == "efab"


def test_a_slate_that_is_limited_to_categories_is_left_alone() -> None:
    asked = asks(n=2, limits=Limits(Where(categories=frozenset({"x"}))))
    assert order(spread(question(shared(0.5), asked), pool("abc"))) == "abc"


def test_what_was_shown_in_vain_moves_down_a_place_for_each_time_too_many() -> None:
    listed = {"a": GRACE + 2, "b": GRACE, "unknown": 99}
    assert order(rotated(question(State(), asks(listed=listed)), pool("abcd"))) == "bcad"
    assert order(rotated(question(State(), asks(listed={"a": GRACE + 1})), pool("abcd"))) == "bacd"
    assert order(rotated(question(State(), asks()), pool("abcd"))) == "abcd"


def test_what_the_customer_turned_to_was_not_shown_in_vain() -> None:
    assert order(rotated(question(State(), asks("a", listed={"a": 99})), pool("abc"))) == "abc"
