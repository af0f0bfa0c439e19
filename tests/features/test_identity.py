"""Who belongs together is a function of the set of edges, and a browser joins no two customers."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.components import MEMBERS, Component, Graph, resolve
from features.events import decode, iso
from features.identity import PAIRS, PAIRS_OF_ANONYMOUS, Edge, edges_of, kept, stored

T = 1_767_225_600_000
IDS = ("a:0", "a:1", "a:2", "a:3", "u:0", "u:1", "u:2")


def edge(one: str, other: str, at: int, **fields: Any) -> Edge:
    known: dict[str, Any] = {"available_at": at, "message_id": f"{one}{other}{at}", "trusted": False} | fields
    return Edge(event_time=at, left=min(one, other), right=max(one, other), **known)


def removal(one: str, other: str, at: int) -> Edge:
    return edge(one, other, at, trusted=True, removed=True)


@st.composite
def edges(draw: st.DrawFn, trusted: bool | None = None) -> Edge:
    user = draw(st.sampled_from(IDS[4:]))
    other = draw(st.sampled_from([name for name in IDS if name != user]))
    at = draw(st.integers(0, 12))
    return edge(
        user,
        other,
        at,
        available_at=at + draw(st.integers(0, 6)),
        trusted=draw(st.booleans()) if trusted is None else trusted,
        removed=draw(st.integers(0, 4)) == 0,
    )


def components(known: list[Edge]) -> dict[str, Component]:
    return {raw_id: resolve(raw_id, known) for raw_id in IDS}


def test_an_id_without_edges_is_a_component_of_its_own() -> None:
    assert resolve("a:1", []) == Component("a:1", ("a:1",), False)
    assert resolve("u:1", [edge("a:1", "u:2", T)]) == Component("u:1", ("u:1",), False)


def test_a_customer_is_a_user_with_all_their_browsers() -> None:
    known = [edge("a:1", "u:1", T), edge("a:2", "u:1", T + 1), edge("a:3", "u:2", T)]
    for raw_id in ("a:1", "a:2", "u:1"):
        assert resolve(raw_id, known) == Component("u:1", ("a:1", "a:2", "u:1"), False)


def test_a_shared_browser_belongs_to_the_user_of_its_earliest_edge() -> None:
    known = [edge("a:1", "u:2", T), edge("a:1", "u:1", T + 1)]
    assert resolve("a:1", known) == Component("u:2", ("a:1", "u:2"), True)
    assert resolve("u:1", known) == Component("u:1", ("u:1",), False)


def test_logging_in_again_costs_nobody_their_browser() -> None:
    known = [edge("a:1", "u:2", T), edge("a:1", "u:1", T + 1), edge("a:1", "u:2", T + 2)]
    assert resolve("a:1", known).canonical == "u:2"


def test_of_two_edges_at_one_time_the_smaller_user_id_has_the_browser() -> None:
    known = [edge("a:1", "u:2", T), edge("a:1", "u:1", T, message_id="z", available_at=T + 9)]
    assert resolve("a:1", known).canonical == "u:1"


def test_an_earlier_edge_that_arrives_later_takes_the_browser_over() -> None:
    known = [edge("a:1", "u:1", T), edge("a:1", "u:2", T - 5, available_at=T + 5)]
    assert resolve("a:1", known, T + 4).canonical == "u:1"
    assert resolve("a:1", known, T + 4, "final").canonical == "u:2"
    assert resolve("a:1", known, T + 5).canonical == "u:2"
    assert resolve("a:1", known, T - 6, "final") == Component("a:1", ("a:1",), False)


def test_a_secret_key_joins_two_users_with_their_browsers_under_the_smaller_user_id() -> None:
    known = [edge("u:2", "u:1", T, trusted=True), edge("a:1", "u:1", T), edge("a:2", "u:2", T)]
    assert {resolve(raw_id, known) for raw_id in ("a:1", "a:2", "u:1", "u:2")} == {
        Component("u:1", ("a:1", "a:2", "u:1", "u:2"), False)
    }


def test_a_secret_key_on_a_shared_browser_joins_nobody() -> None:
    known = [edge("a:1", "u:1", T, trusted=True), edge("a:1", "u:2", T + 1, trusted=True)]
    assert resolve("u:1", known).members == ("a:1", "u:1")
    assert resolve("u:2", known).members == ("u:2",)


def test_an_untrusted_removal_takes_nothing_away() -> None:
    known = [edge("a:1", "u:1", T), edge("a:1", "u:1", T + 1, removed=True)]
    assert resolve("a:1", known).canonical == "u:1"


def test_an_edge_taken_away_counts_until_then_and_again_from_when_it_is_drawn_later() -> None:
    known = [edge("a:1", "u:1", T), removal("a:1", "u:1", T + 10), edge("a:1", "u:2", T + 20)]
    drawn_again = [*known, edge("a:1", "u:1", T + 30)]
    assert resolve("a:1", known, T + 9).canonical == "u:1"
    assert resolve("a:1", known, T + 10).canonical == "a:1"
    assert resolve("a:1", known) == Component("u:2", ("a:1", "u:2"), False)
    assert resolve("a:1", drawn_again) == Component("u:2", ("a:1", "u:2"), True)
    assert resolve("a:1", [*known[:2], drawn_again[3]]).canonical == "u:1"


def test_a_removal_takes_an_edge_of_the_same_millisecond() -> None:
    assert resolve("a:1", [edge("a:1", "u:1", T), removal("a:1", "u:1", T)]).canonical == "a:1"


def test_of_many_browsers_the_ones_joined_first_stay_and_the_others_are_by_themselves() -> None:
    known = [edge(f"a:{n:02}", "u:1", T - n) for n in range(20)]
    members = (*(f"a:{n:02}" for n in range(21 - MEMBERS, 20)), "u:1")
    assert resolve("u:1", known).members == resolve("a:19", known).members == members
    assert resolve("a:04", known) == Component("a:04", ("a:04",), False)


def test_of_many_browsers_joined_at_one_time_the_smaller_ids_stay() -> None:
    known = [edge(f"a:{n:02}", "u:1", T) for n in range(20)]
    assert resolve("u:1", known).members == (*(f"a:{n:02}" for n in range(MEMBERS - 1)), "u:1")


def test_a_user_whom_others_have_let_go_of_is_not_joined_to_them() -> None:
    known = [edge("u:0", f"u:{n}", T + n, trusted=True) for n in range(1, 3 * PAIRS)]
    known.append(edge("a:1", f"u:{PAIRS + 9}", T - 1))
    assert resolve(f"u:{PAIRS + 9}", known).members == ("a:1", f"u:{PAIRS + 9}")


def test_a_browser_that_logs_in_daily_keeps_no_other_out() -> None:
    daily = [edge("a:1", "u:1", T + n) for n in range(5 * PAIRS)]
    known = [*daily, edge("a:2", "u:1", T + 5 * PAIRS)]
    assert resolve("u:1", known).members == ("a:1", "a:2", "u:1")
    assert len(stored("u:1", known)) == 3
    assert len(stored("a:1", daily)) == 2


def test_what_is_kept_is_bounded_and_the_earliest_stay() -> None:
    crowd = [edge("a:1", f"u:{n:03}", T + n) for n in range(500)]
    assert len(kept("a:1", crowd)) == 2 * PAIRS_OF_ANONYMOUS
    assert resolve("a:1", crowd) == Component("u:000", ("a:1", "u:000"), True)
    browsers = [edge(f"a:{n:03}", "u:1", T + n) for n in range(500)]
    assert len(kept("u:1", browsers)) == 2 * PAIRS
    assert set(browsers[:PAIRS]) < set(kept("u:1", browsers))


def test_a_removal_outlives_any_number_of_browsers_logins() -> None:
    known = [removal("a:0", "u:1", T + 1), edge("a:0", "u:1", T)]
    known += [edge("a:0", f"u:{n:03}", T + n) for n in range(2, 500)]
    assert resolve("a:0", kept("a:0", known)).canonical == "u:002"


@given(st.lists(edges(), max_size=14), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_changes_a_component(known: list[Edge], dice: random.Random) -> None:
    shuffled = known + dice.choices(known, k=5) if known else []
    dice.shuffle(shuffled)
    assert components(shuffled) == components(known)
    assert all(stored(raw_id, shuffled) == stored(raw_id, known) for raw_id in IDS)


@given(st.lists(edges(), max_size=14))
def test_all_members_of_a_component_see_the_same_component(known: list[Edge]) -> None:
    for raw_id, component in components(known).items():
        assert raw_id in component.members
        assert all(resolve(member, known)[:2] == component[:2] for member in component.members)
        assert component.canonical in component.members


@given(st.lists(edges(trusted=False), max_size=14))
def test_untrusted_edges_never_join_two_users(known: list[Edge]) -> None:
    for component in components(known).values():
        assert sum(member.startswith("u:") for member in component.members) <= 1


@given(st.lists(edges(), max_size=14))
def test_two_users_are_together_only_through_trusted_edges_between_users(known: list[Edge]) -> None:
    without = [each for each in known if not (each.trusted and each.left.startswith("u:"))]
    for component in components(without).values():
        assert sum(member.startswith("u:") for member in component.members) <= 1


@given(st.lists(edges(), min_size=1, max_size=14), st.data())
def test_taking_an_edge_away_restores_both_sides(known: list[Edge], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(known))
    without = [each for each in known if (each.left, each.right) != (gone.left, gone.right)]
    assert components([*known, removal(gone.left, gone.right, 99)]) == components(without)


@given(st.lists(edges(), max_size=14), st.lists(edges(), max_size=14))
def test_what_is_kept_of_a_union_is_what_is_kept_of_the_parts(some: list[Edge], more: list[Edge]) -> None:
    for raw_id in IDS:
        assert kept(raw_id, [*kept(raw_id, some), *more]) == kept(raw_id, some + more)


@given(st.lists(edges(), max_size=14), st.integers(0, 20))
def test_what_is_known_at_a_time_is_what_came_until_then(known: list[Edge], as_of: int) -> None:
    come = [each for each in known if each.available_at <= as_of]
    happened = [each for each in known if each.event_time <= as_of]
    for raw_id in IDS:
        assert resolve(raw_id, known, as_of) == resolve(raw_id, come)
        assert Graph(known).at(as_of, "final").component(raw_id) == resolve(raw_id, happened)


def drawn(kind: str, trusted: bool = True, **fields: Any) -> list[tuple[str, str, bool]]:
    sent = {"type": kind, "messageId": "m", "timestamp": iso(T), "keyId": "k", "trusted": trusted}
    raw = json.dumps(sent | fields).encode()
    found = edges_of(decode(raw, T + 5), raw, T + 5)
    assert all((each.event_time, each.available_at, each.message_id) == (T, T + 5, "m") for each in found)
    assert all(each.trusted == trusted for each in found)
    return [(each.left, each.right, each.removed) for each in found]


def test_identify_with_both_ids_draws_an_edge() -> None:
    assert drawn("identify", userId="u", anonymousId="a") == [("a:a", "u:u", False)]
    assert drawn("identify", userId=7, anonymousId=8) == [("a:8", "u:7", False)]
    assert drawn("identify", anonymousId="a") == drawn("identify", userId="u") == []


@pytest.mark.parametrize("kind", ["track", "page", "screen", "group"])
def test_no_other_event_draws_one(kind: str) -> None:
    assert drawn(kind, userId="u", anonymousId="a", previousId="p", event="identify") == []


def test_an_alias_of_the_browsers_own_id_draws_an_edge_to_it() -> None:
    assert drawn("alias", userId="u", anonymousId="a", previousId="a") == [("a:a", "u:u", False)]


def test_an_alias_of_an_id_of_unknown_kind_draws_both_edges() -> None:
    assert drawn("alias", userId="b", previousId="c") == [("a:c", "u:b", False), ("u:b", "u:c", False)]
    assert drawn("alias", userId="c", previousId=5) == [("a:5", "u:c", False), ("u:5", "u:c", False)]


@pytest.mark.parametrize("previous", [{}, {"previousId": None}, {"previousId": "u"}])
def test_an_alias_of_nothing_or_of_itself_draws_none(previous: dict[str, Any]) -> None:
    assert drawn("alias", userId="u", **previous) == []
    assert drawn("alias", anonymousId="a", **previous) == []


@pytest.mark.parametrize(
    ("remove", "removed"), [(True, True), (False, False), ("true", False), (1, False), (None, False)]
)
def test_an_alias_that_says_remove_takes_its_edges_away(remove: object, removed: bool) -> None:
    asked: Any = {"userId": "b", "previousId": "c", "properties": {"remove": remove}}
    assert [each[2] for each in drawn("alias", **asked)] == [removed, removed]
    assert not any(each[2] for each in drawn("identify", anonymousId="c", **asked))


@pytest.mark.parametrize(
    ("stamped", "trusted"),
    [
        ({}, True),
        ({"keyId": None}, True),
        ({"keyId": "k"}, False),
        ({"keyId": ""}, False),
        ({"keyId": "k", "trusted": True}, True),
        ({"keyId": "k", "trusted": False}, False),
        ({"keyId": "k", "trusted": "true"}, False),
        ({"keyId": "k", "trusted": 1}, False),
    ],
)
def test_an_event_is_trusted_without_a_key_or_with_the_servers_word(stamped: dict[str, Any], trusted: bool) -> None:
    assert decode(json.dumps({"type": "identify", "userId": "u"} | stamped).encode(), T).trusted is trusted


@pytest.mark.parametrize(("trusted", "since"), [(False, T - 86_400_000), (True, 1)])
def test_a_browser_can_backdate_an_edge_by_a_day_at_most(trusted: bool, since: int) -> None:
    """The earliest edges win: dated 1970, a stranger's would push those of a customer's own devices out."""
    sent = {"type": "identify", "userId": "victim", "anonymousId": "evil", "timestamp": "1970-01-01T00:00:00.001Z"}
    raw = json.dumps(sent | {"keyId": "k", "trusted": trusted}).encode()
    (found,) = edges_of(decode(raw, T), raw, T)
    assert found.event_time == since
