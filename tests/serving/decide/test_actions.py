"""Business actions: what each does to a pool, and what is refused when they are loaded."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from features.errors import BadRule
from features.items import Item
from serving.decide.actions import Action, Boost, Bury, Filter, Pin, actions_of, active
from serving.decide.limits import NONE, Limits, Where
from serving.decide.pool import Candidate
from tests.serving.decide.fake import shop

SHOP = shop("a", "b", "c", category="x") | shop("d", "e", category="y", tags=("new",))
POOL = [Candidate(item_id, 0.0, "known") for item_id in "abcde"]
NEW = Where(tags=frozenset({"new"}))
NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z


def order(found: Iterable[Candidate]) -> str:
    """Item ids as one word."""
    return "".join(candidate.item_id for candidate in found)


def loaded(*entries: dict[str, object]) -> tuple[Action, ...]:
    """The actions of a file of these entries."""
    return actions_of(json.dumps(entries).encode())


def test_a_boost_moves_its_items_up_and_marks_them() -> None:
    found = Boost(name="sale", where=NEW, places=2).apply(POOL, SHOP)
    assert order(found) == "adbec"
    assert [candidate.item_id for candidate in found if candidate.rules == ("sale",)] == ["d", "e"]
    assert order(Boost(name="sale", where=NEW, places=100).apply(POOL, SHOP)) == "deabc"


def test_a_bury_moves_its_items_behind_all_others() -> None:
    assert order(Bury(name="old", where=Where(categories=frozenset({"x"}))).apply(POOL, SHOP)) == "deabc"


def test_items_that_the_catalogue_lacks_are_moved_by_no_rule() -> None:
    everything = Where(max_price=1e9)
    assert order(Bury(name="old", where=everything).apply(POOL, {"a": Item(item_id="a", price=1.0)})) == "bcdea"


def test_a_pin_takes_the_next_free_position_where_its_own_is_taken() -> None:
    pool = Pin(name="one", item_id="c", position=2).apply(POOL, SHOP)
    pool = Pin(name="two", item_id="z", position=2).apply(pool, SHOP)
    assert [(candidate.item_id, candidate.pinned) for candidate in pool if candidate.pinned] == [("c", 2), ("z", 3)]
    assert order(pool) == "abdecz"


def test_filters_narrow_the_limits() -> None:
    only = Filter(name="new", where=NEW, show="only").apply(NONE)
    assert only == Limits(only=(NEW,))
    assert Filter(name="old", where=NEW, show="without").apply(only) == Limits(only=(NEW,), without=(NEW,))


def test_actions_are_read_from_a_file() -> None:
    found = loaded(
        {"action": "pin", "name": "hero", "item_id": "a", "position": 1, "placements": ["home"]},
        {"action": "boost", "name": "sale", "where": {"tags": ["new"]}, "places": 3, "until": "2026-01-01T12:00:00Z"},
        {"action": "bury", "name": "old", "where": {"max_price": 2}, "since": "2026-01-01T12:00:00Z"},
        {"action": "filter", "name": "adults", "where": {"categories": ["spirits"]}, "show": "without"},
    )
    assert [type(action) for action in found] == [Pin, Boost, Bury, Filter]
    assert [action.name for action in active(found, "home", NOON)] == ["hero", "old", "adults"]
    assert [action.name for action in active(found, "cart", NOON - 1)] == ["sale", "adults"]
    assert actions_of(b"[]") == ()


@pytest.mark.parametrize(
    ("entry", "where", "why"),
    [
        ({"action": "burn", "name": "x"}, "[0].action", "burn"),
        ({"action": "pin", "name": "x", "item_id": "a", "position": 0}, "[0].position", ">= 1"),
        ({"action": "pin", "name": "x", "position": 1}, "[0]", "item_id"),
        ({"action": "pin", "name": "", "item_id": "a", "position": 1}, "[0].name", "length"),
        ({"action": "bury", "name": "x", "where": {}}, "[0]", "which items"),
        ({"action": "bury", "name": "x", "where": {"brand": ["y"]}}, "[0].where", "brand"),
        ({"action": "bury", "name": "x", "where": {"tags": ["y"]}, "factor": 2}, "[0]", "factor"),
        ({"action": "filter", "name": "x", "where": {"tags": ["y"]}, "show": "never"}, "[0].show", "never"),
        (
            {"action": "bury", "name": "x", "where": {"tags": ["y"]}, "since": "2026-01-02T00:00:00Z",
             "until": "2026-01-02T00:00:00Z"},
            "[0]", "after",
        ),
        ({"action": "bury", "name": "x", "where": {"tags": ["y"]}, "since": "2026-01-02"}, "[0].since", "RFC3339"),
    ],
)  # fmt: skip
def test_an_action_that_cannot_be_used_is_refused_with_where_and_why(
    entry: dict[str, object], where: str, why: str
) -> None:
    with pytest.raises(BadRule, match=why) as refused:
        loaded(entry)
    assert refused.value.field == where


def test_a_name_that_comes_twice_and_a_file_that_is_none_are_refused() -> None:
    entry: dict[str, object] = {"action": "bury", "name": "x", "where": {"tags": ["y"]}}
    with pytest.raises(BadRule, match="this name already") as refused:
        loaded(entry, entry)
    assert refused.value.field == "[1]"
    for raw in (b"", b"{}", b"\xff", b"[" * 5_000):
        with pytest.raises(BadRule):
            actions_of(raw)


def test_the_example_of_the_documentation_is_taken() -> None:
    text = (Path(__file__).parents[3] / "docs" / "deciding.md").read_text()
    found = actions_of(text.partition("```json\n")[2].partition("```")[0].encode())
    assert {type(action) for action in found} == {Pin, Boost, Bury, Filter}
