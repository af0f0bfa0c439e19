"""Profiles as the service reads them: of one id, of all ids of a person, and what the definitions mean of them."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from msgspec import msgpack

from features.columns import Events
from features.components import resolve
from features.definitions import FEATURES
from features.feature import count
from features.identity import Edge
from features.online import Client, IdentityStore, ProfileReader, connect, connect_async, generations, pipelined
from features.online.identity import Beside, edges_key, unpack
from features.profiles import Profile
from features.table import Table, table
from pipelines.backfill import folder_of
from pipelines.folding import Batch, Buckets, Folder
from tests.features.histories import Happening, T, columns, line
from tests.features.test_identity import edge
from tests.features.test_parity import Ask, Values, check_parity, worlds

BUCKETS = 4


class Counting(ProfileReader):
    """Counts its round trips."""

    trips = 0

    async def _get(self, keys: Any) -> list[bytes | None]:
        self.trips += 1
        return await super()._get(keys)


def profile(url: str, customer: str, merge: bool = True, table: Table = FEATURES) -> tuple[Profile, int]:
    """The profile, and how many round trips it took."""

    async def read() -> tuple[Profile, int]:
        async with Counting(connect_async(url, timeout_s=5.0), BUCKETS) as reader:
            reader.table = table
            return await reader.profile(customer, merge), reader.trips

    return asyncio.run(read())


def folder_at(client: Client, table: Table) -> Folder:
    folder = folder_of(client, "events.a.p1", BUCKETS, table)
    folder.positions = folder.store.claim(list(range(BUCKETS)))
    return folder


def take(folder: Folder, events: Events, first: int, end: int) -> None:
    """Commit the events [first, end) of a log."""
    some = events.take(np.arange(first, end))
    bucket = Buckets(BUCKETS).of(some.customer.values)[some.customer.codes]
    batch = Batch(some, np.arange(first, end), bucket, dict.fromkeys(range(BUCKETS), end))
    folder.commit(batch, folder.fold(batch)[0])


@pytest.fixture
def person(redis_server: str) -> str:
    """A user with two devices, a visitor by himself, each with one view."""
    client = connect(redis_server)
    ids = ("u:1", "a:phone", "a:laptop", "a:other")
    log = [Happening("Product Viewed", T + n, str(n), who, lines=(line(f"i{n}"),)) for n, who in enumerate(ids)]
    take(folder_at(client, FEATURES), columns(log), 0, len(log))
    IdentityStore(client, BUCKETS).add([edge("a:phone", "u:1", T), edge("a:laptop", "u:1", T + 1)])
    return redis_server


def views(found: Profile) -> int:
    count: int = found.features(T + 1_000, ["views_1h"])["views_1h"]
    return count


@pytest.mark.parametrize(
    ("customer", "expected", "trips"), [("a:other", 1, 1), ("u:1", 3, 2), ("a:phone", 3, 2), ("a:never", 0, 1)]
)
def test_a_profile_is_all_that_a_person_did_in_few_round_trips(
    person: str, customer: str, expected: int, trips: int
) -> None:
    found, took = profile(person, customer)
    assert (views(found), took) == (expected, trips)


def test_profiles_of_many_take_no_more_round_trips_than_one(person: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    ask = pipelined._Line.ask

    def counted(line: pipelined._Line, questions: "deque[pipelined._Question]") -> None:
        written.append(len(questions))
        ask(line, questions)

    async def read() -> list[Profile]:
        async with ProfileReader(connect_async(person, timeout_s=5.0), BUCKETS) as reader:
            return await reader.profiles(["a:other", "u:1", "a:never", "a:phone", "u:1"])

    monkeypatch.setattr(pipelined._Line, "ask", counted)
    assert [views(each) for each in asyncio.run(read())] == [1, 3, 0, 3, 3]
    assert written == [5, 3]  # all at once, then what the three learned of other ids


def test_without_merging_it_is_what_the_one_id_did(person: str) -> None:
    found, took = profile(person, "a:phone", merge=False)
    assert (views(found), took) == (1, 1)


def test_any_part_of_a_person_tells_whether_an_event_is_reflected(person: str) -> None:
    found, _ = profile(person, "u:1")
    assert [found.has_seen(str(n)) for n in range(4)] == [True, True, True, False]


def test_a_person_taken_apart_is_two_again(person: str) -> None:
    IdentityStore(connect(person), BUCKETS).add([edge("a:phone", "u:1", T + 2, trusted=True, removed=True)])
    assert views(profile(person, "u:1")[0]) == 2
    assert views(profile(person, "a:phone")[0]) == 1


DEVICES = [edge(f"a:{n}", "u:1", T + n) for n in (1, 2, 3)]
OTHERS = [edge(f"a:{n}", "u:3", T + n) for n in (4, 5)]
APART = edge("a:2", "u:1", T + 9, trusted=True, removed=True)
SHARED = [edge("a:3", "u:3", T - 1)]
CHAIN = [edge(f"u:{n}", f"u:{n + 1}", T, trusted=True) for n in range(1, 9)]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(
    ("edges", "one", "two"),
    [
        (DEVICES, "a:9 u:9", "u:1 a:1 a:2 a:3"),
        ([*DEVICES, APART], "a:2", "u:1 a:1 a:3"),
        ([*DEVICES, *OTHERS, *SHARED], "", "u:1 a:1 a:2 u:3 a:3 a:4 a:5"),
        ([*DEVICES, *OTHERS, *CHAIN], "", "u:1 u:2 u:3 u:4 u:5 u:9 a:1 a:3 a:4 a:5"),
        ([*DEVICES, *OTHERS, *CHAIN, edge("u:2", "u:3", T + 1, trusted=True, removed=True)], "", "u:1 a:1 u:3 u:9 a:5"),
    ],
)
def test_whoever_is_asked_a_merged_profile_takes_two_round_trips(
    redis_server: str, edges: list[Edge], one: str, two: str, backwards: bool
) -> None:
    client = connect(redis_server)
    ids = sorted({end for each in edges for end in (each.left, each.right)})
    log = [Happening("Product Viewed", T + n, str(n), who, lines=(line(f"i{n}"),)) for n, who in enumerate(ids)]
    take(folder_at(client, FEATURES), columns(log), 0, len(log))
    for each in reversed(edges) if backwards else edges:
        IdentityStore(client, BUCKETS).add([each])
    for trips, asked in ((1, one.split()), (2, two.split())):
        for raw_id in asked:
            right = len({*resolve(raw_id, edges).members} & {*ids})
            found, took = profile(redis_server, raw_id)
            assert (raw_id, views(found), took) == (raw_id, right, trips)


def test_who_was_not_told_of_another_device_reads_the_same_in_one_more_trip(person: str) -> None:
    client, key = connect(person), edges_key("a:phone", BUCKETS)
    assert unpack(cast("bytes", client.get(key))).near == ["a:laptop"]
    client.set(key, msgpack.encode(Beside(unpack(cast("bytes", client.get(key))).edges)))
    found, took = profile(person, "a:phone")
    assert (views(found), took) == (3, 3)


def joined(ids: Sequence[str]) -> list[Edge]:
    """What makes some ids, of one or more users, one person."""
    users = sorted(each for each in ids if each.startswith("u:"))
    devices = [edge(each, users[0], T) for each in ids if each.startswith("a:")]
    return devices + [edge(users[0], each, T, trusted=True) for each in users[1:]]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=worlds())
def test_redis_says_what_the_definitions_mean(redis_server: str, world: Any) -> None:
    """The whole way: folded, committed and read, between arrivals, with the ids of a person merged when read."""
    client = connect(redis_server)

    def store(features: Table, log: Sequence[Happening], asks: Sequence[Ask], cuts: Sequence[int]) -> Values:
        client.flushall()
        folder, events, found = folder_at(client, features), columns(log), {}
        for at in sorted(range(len(asks)), key=lambda at: asks[at].known):
            ask = asks[at]
            ends = sorted({*(cut for cut in cuts if cut < ask.known), ask.known})
            for end in ends:
                first = folder.positions[0]
                if end > first:
                    take(folder, events, first, end)
            IdentityStore(client, BUCKETS).add(joined(ask.ids))
            found[at] = profile(redis_server, ask.ids[0], table=features)[0].features(ask.now, features.features)
            client.delete(*(edges_key(each, BUCKETS) for each in ask.ids))
        return [found[at] for at in range(len(asks))]

    check_parity(store, world)


def test_a_service_comes_back_to_its_own_definitions_with_its_own_generation(redis_server: str) -> None:
    client = connect(redis_server)
    older = table([count("views_1h", "Product Viewed", "1h")])
    for each in (older, FEATURES):
        generations.announce(client, each)

    async def follow() -> list[Table]:
        async with ProfileReader(connect_async(redis_server, timeout_s=5.0), BUCKETS) as reader:
            seen = []
            for each in (older, FEATURES):
                generations.make_live(client, each.generation, generations.live(client))
                await reader.follow()
                seen.append(reader.table)
            return seen

    first, second = asyncio.run(follow())
    assert first.generation == older.generation
    assert second is FEATURES
