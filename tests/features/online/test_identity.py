"""Edges are kept beside both ids, and a component read from there is the one that all edges make."""

import asyncio
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.components import MEMBERS, Component, resolve
from features.identity import PAIRS, PAIRS_OF_ANONYMOUS, Edge
from features.online import Client, IdentityStore, ProfileReader, connect, connect_async
from features.online.identity import Beside, component, edges_key, missing, unpack
from tests.features.test_identity import IDS, edge, edges, removal

BUCKETS = 4
T = 1_767_225_600_000


def read(url: str, *raw_ids: str) -> dict[str, Component]:
    async def all_of_them() -> dict[str, Component]:
        async with ProfileReader(connect_async(url, timeout_s=5.0), BUCKETS) as reader:
            return {raw_id: await reader.members(raw_id) for raw_id in raw_ids}

    return asyncio.run(all_of_them())


def trips(client: Client, raw_id: str) -> int:
    """How many round trips it takes to know who belongs together and to have read something of all of them."""
    read, along, count = dict[str, Beside](), set[str](), 0
    while wanted := missing(raw_id, read):
        along |= {*wanted, *component(raw_id, read).members}.union(*(each.near for each in read.values()))
        read.update((other, unpack(cast("bytes | None", client.get(edges_key(other, BUCKETS))))) for other in wanted)
        count += 1
    return count + bool({*component(raw_id, read).members} - along)


def test_an_id_never_seen_is_by_itself(redis_server: str) -> None:
    assert read(redis_server, "a:1") == {"a:1": Component("a:1", ("a:1",), False)}


def test_an_edge_is_found_from_both_sides_each_in_its_own_bucket(redis_server: str) -> None:
    client = connect(redis_server)
    IdentityStore(client, BUCKETS).add([edge("a:1", "u:1", T)])
    assert {key.decode() for key in client.scan_iter()} == {edges_key("a:1", BUCKETS), edges_key("u:1", BUCKETS)}
    assert set(read(redis_server, "a:1", "u:1").values()) == {Component("u:1", ("a:1", "u:1"), False)}


def test_edges_that_count_for_nothing_leave_nothing_behind(redis_server: str) -> None:
    client = connect(redis_server)
    IdentityStore(client, BUCKETS).add([edge("u:1", "u:2", T), edge("a:1", "u:1", T, removed=True)])
    assert list(client.scan_iter()) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(edges(), max_size=6), max_size=5))
def test_however_edges_come_the_components_read_are_those_of_their_set(
    redis_server: str, batches: list[list[Edge]]
) -> None:
    client = connect(redis_server)
    client.flushall()
    for batch in batches:
        IdentityStore(client, BUCKETS).add(batch)
    known = [each for batch in batches for each in batch]
    assert read(redis_server, *IDS) == {raw_id: resolve(raw_id, known) for raw_id in IDS}
    assert max(trips(client, raw_id) for raw_id in IDS) <= 2
    before = {key: client.get(key) for key in client.scan_iter()}
    IdentityStore(client, BUCKETS).add(known)
    assert {key: client.get(key) for key in client.scan_iter()} == before


@pytest.mark.parametrize("backwards", [False, True])
def test_beyond_the_bounds_too_what_is_read_is_a_function_of_the_set(redis_server: str, backwards: bool) -> None:
    known = [edge(f"a:{n:03}", "u:0", T + n) for n in range(PAIRS + 10)]
    known += [edge("a:000", f"u:{n}", T + n) for n in range(1, PAIRS_OF_ANONYMOUS + 4)]
    known.append(removal("a:000", "u:0", T + 500))
    client = connect(redis_server)
    for each in reversed(known) if backwards else known:
        IdentityStore(client, BUCKETS).add([each])
    ids = sorted({end for each in known for end in (each.left, each.right)})
    assert read(redis_server, *ids) == {raw_id: resolve(raw_id, known) for raw_id in ids}
    assert max(trips(client, raw_id) for raw_id in ids) <= 2


def test_a_user_learns_that_a_browser_is_no_longer_theirs(redis_server: str) -> None:
    store = IdentityStore(connect(redis_server), BUCKETS)
    store.add([edge("a:1", "u:1", T)])
    store.add([edge("a:1", "u:2", T - 1)])
    assert read(redis_server, "u:1", "u:2") == {
        "u:1": Component("u:1", ("u:1",), False),
        "u:2": Component("u:2", ("a:1", "u:2"), False),
    }


def test_a_write_that_another_overtook_is_made_again(redis_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = (IdentityStore(connect(redis_server), BUCKETS) for _ in range(2))
    plain = store._read
    overtaken: list[list[str]] = []

    def overtake(raw_ids: list[str]) -> dict[str, bytes | None]:
        found = plain(raw_ids)
        if not overtaken:
            overtaken.append(raw_ids)
            other.add([edge("a:2", "u:1", T)])
        return found

    monkeypatch.setattr(store, "_read", overtake)
    store.add([edge("a:1", "u:1", T)])
    assert overtaken
    assert read(redis_server, "u:1")["u:1"].members == ("a:1", "a:2", "u:1")


@pytest.mark.parametrize("at", range(1, 9))
def test_whoever_adds_last_tells_all_of_all(redis_server: str, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    client = connect(redis_server)
    store, other = (IdentityStore(client, BUCKETS) for _ in range(2))
    store.add([edge("a:1", "u:1", T), edge("u:1", "u:2", T, trusted=True)])
    plain, calls = store._read, list[list[str]]()

    def overtake(raw_ids: list[str]) -> dict[str, bytes | None]:
        found = plain(raw_ids)
        calls.append(raw_ids)
        if len(calls) == at:
            other.add([edge("a:3", "u:1", T), edge("u:2", "u:3", T, trusted=True)])
        return found

    monkeypatch.setattr(store, "_read", overtake)
    store.add([edge("a:2", "u:2", T)])
    if len(calls) < at:
        other.add([edge("a:3", "u:1", T), edge("u:2", "u:3", T, trusted=True)])
    ids = ("a:1", "a:2", "a:3", "u:1", "u:2", "u:3")
    assert set(read(redis_server, *ids).values()) == {Component("u:1", ids, False)}
    assert [trips(client, raw_id) for raw_id in ids] == [2] * 6


def test_adding_again_completes_what_a_crash_left_half_done(redis_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = [edge("a:1", "u:1", T), edge("a:1", "u:2", T - 1)]
    store = IdentityStore(connect(redis_server), BUCKETS)
    store.add(known[:1])
    plain = store._merge
    calls: list[Any] = []

    def crash_at_the_second(new: Any) -> Any:
        calls.append(new)
        if len(calls) == 2:
            raise ConnectionError
        return plain(new)

    monkeypatch.setattr(store, "_merge", crash_at_the_second)
    with pytest.raises(ConnectionError):
        store.add(known[1:])
    assert read(redis_server, "u:1")["u:1"].members == ("a:1", "u:1")
    IdentityStore(connect(redis_server), BUCKETS).add(known[1:])
    assert read(redis_server, "u:1")["u:1"].members == ("u:1",)


@pytest.mark.parametrize("raw_id", ["a:1", "u:10", "u:24"])
def test_a_chain_of_users_as_long_as_a_component_is_read_whole(redis_server: str, raw_id: str) -> None:
    chain = [edge(f"u:{n}", f"u:{n + 1}", T, trusted=True) for n in range(10, 8 + MEMBERS)]
    known = [*chain, edge("a:1", "u:10", T)]
    IdentityStore(connect(redis_server), BUCKETS).add(known)
    assert len(resolve(raw_id, known).members) == MEMBERS
    assert read(redis_server, raw_id)[raw_id] == resolve(raw_id, known)


def test_no_chain_of_users_is_followed_without_end(redis_server: str) -> None:
    client = connect(redis_server)
    IdentityStore(client, BUCKETS).add([edge(f"u:{n}", f"u:{n + 1}", T, trusted=True) for n in range(10, 90)])
    client.config_resetstat()
    read(redis_server, "u:10")
    looked_up = client.info("stats")
    assert looked_up["keyspace_hits"] + looked_up["keyspace_misses"] == 2 * MEMBERS  # states come along


def test_a_component_is_that_of_the_edges_read() -> None:
    known = {"a:1": Beside([edge("a:1", "u:1", T)]), "u:1": Beside([edge("a:1", "u:1", T), edge("a:2", "u:1", T)])}
    assert missing("a:1", {}) == ["a:1"]
    assert missing("a:1", {"a:1": known["a:1"]}) == ["u:1"]
    assert missing("a:1", known) == []
    assert component("a:1", known) == Component("u:1", ("a:1", "a:2", "u:1"), False)
