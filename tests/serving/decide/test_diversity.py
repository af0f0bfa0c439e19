"""Variety: shares of categories, and rotation of what is shown in vain."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from features.items import Item
from serving.decide.diversity import rotated, spread
from serving.decide.limits import Limits, Where
from serving.decide.pool import Candidate
from serving.decide.question import question
from serving.decide.state import Policy, State
from tests.serving.decide.fake import asks, state

CATEGORIES = {"a": "x", "b": "x", "c": "x", "d": "y", "e": "", "f": ""}
GRACE = Policy().grace
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


def test_a_policy_without_grace_moves_nothing_down() -> None:
    still = replace(state(), policy=Policy(grace=0))
    assert order(rotated(question(still, asks(listed={"a": 99})), pool("abc"))) == "abc"
    sooner = replace(state(), policy=Policy(grace=1))
    assert order(rotated(question(sooner, asks(listed={"a": 2})), pool("abc"))) == "bac"


POOLS = st.permutations(sorted(CATEGORIES)).map(lambda ids: ids[:5]) | st.permutations(sorted(CATEGORIES))


@given(ids=POOLS, n=st.integers(1, 7), share=st.sampled_from([0.01, 0.3, 0.5, 0.9]))
def test_no_category_has_more_than_its_share_while_another_has_something_left(
    ids: list[str], n: int, share: float
) -> None:
    found = [candidate.item_id for candidate in spread(question(shared(share), asks(n=n)), pool(ids))]
    assert sorted(found) == sorted(ids)
    most = max(1, -int(-share * n // 1))
    taken = Counter(CATEGORIES[item_id] for item_id in found[:n])
    over = {category for category, count in taken.items() if category and count > most}
    others = [item_id for item_id in found[n:] if not CATEGORIES[item_id] or taken[CATEGORIES[item_id]] < most]
    assert not (over and others)
    for kept in (CATEGORIES[item_id] for item_id in ids):  # within a category the order stays
        assert [each for each in found if CATEGORIES[each] == kept] == [
            each for each in ids if CATEGORIES[each] == kept
        ]


@given(ids=POOLS, listed=st.dictionaries(st.sampled_from(sorted(CATEGORIES)), st.integers(0, 9)))
def test_what_was_shown_in_vain_never_moves_up_past_what_was_not(ids: list[str], listed: dict[str, int]) -> None:
    found = [candidate.item_id for candidate in rotated(question(state(), asks(listed=listed)), pool(ids))]
    assert sorted(found) == sorted(ids)
    for first in ids:
        for second in ids[ids.index(first) + 1 :]:
            if listed.get(first, 0) <= max(GRACE, listed.get(second, 0)):
                assert found.index(first) < found.index(second)
