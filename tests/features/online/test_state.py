"""States and positions change together or not at all, and only by the bucket's owner."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from features.errors import Fenced, Rewound
from features.online import BucketCommit, StateStore, connect, popular
from features.online.popularity import popularity_key
from features.online.state import POPULARITY_DAYS, bucket_of_customer, meta_key, state_key

BUCKETS = 4


def store_of(url: str, source: str = "events.a.p4") -> StateStore:
    return StateStore(connect(url), source, BUCKETS)


def commit(
    version: int,
    position: int,
    end: int,
    popularity: dict[tuple[int, str], int] | None = None,
    **states: bytes,
) -> BucketCommit:
    return BucketCommit(0, version, position, end, states, popularity or {})


def test_a_fresh_bucket_stands_at_the_beginning(redis_server: str) -> None:
    store = store_of(redis_server)
    assert store.positions() == dict.fromkeys(range(BUCKETS), 0)
    assert store.claim([0, 2]) == {0: 0, 2: 0}
    assert store.read({0: ["u:1"], 2: []}) == {0: (0, [None]), 2: (0, [])}
    assert store.commit([]) == []


def test_a_commit_writes_states_and_position_and_the_next_builds_on_it(redis_server: str) -> None:
    store = store_of(redis_server)
    store.claim([0])
    assert store.commit([commit(0, 0, 5, a=b"1", b=b"2")]) == []
    assert store.read({0: ["a", "c", "b"]}) == {0: (1, [b"1", None, b"2"])}
    assert store.commit([commit(1, 5, 9, a=b"3")]) == []
    assert store.read({0: ["a", "b"]}) == {0: (2, [b"3", b"2"])}
    assert store.positions()[0] == 9


def test_a_commit_without_a_claim_is_refused(redis_server: str) -> None:
    with pytest.raises(Fenced):
        store_of(redis_server).commit([commit(0, 0, 5)])


def test_a_worker_whose_bucket_was_claimed_since_is_fenced_and_changes_nothing(redis_server: str) -> None:
    zombie, owner = store_of(redis_server), store_of(redis_server)
    zombie.claim([0])
    owner.claim([0])
    before = dict(zombie.client.hgetall(meta_key(0)))
    with pytest.raises(Fenced) as refused:
        zombie.commit([commit(0, 0, 5, {(0, "i"): 1}, a=b"zombie")])
    assert refused.value.bucket == 0
    assert zombie.client.hgetall(meta_key(0)) == before
    assert set(zombie.client.keys("*")) == {meta_key(0).encode(), b"kindred:buckets"}
    assert owner.commit([commit(0, 0, 5, a=b"owner")]) == []


def test_a_batch_built_on_another_position_is_refused_with_the_stored_one(redis_server: str) -> None:
    store = store_of(redis_server)
    store.claim([0])
    store.commit([commit(0, 0, 5, a=b"1")])
    for position in (0, 4, 6):
        with pytest.raises(Rewound, match="bucket 0 stands at 5") as refused:
            store.commit([commit(1, position, 9, a=b"2")])
        assert refused.value.stored == 5
    assert store.read({0: ["a"]}) == {0: (1, [b"1"])}


def test_a_commit_that_is_sent_twice_counts_once(redis_server: str) -> None:
    store = store_of(redis_server)
    store.claim([0])
    once = commit(0, 0, 5, {(1, "i"): 2}, a=b"1")
    store.commit([once])
    with pytest.raises(Rewound):
        store.commit([once])
    assert store.client.hgetall(popularity_key(0, 1)) == {b"i": b"2"}


def test_a_bucket_that_another_source_changed_is_reported_and_left_alone(redis_server: str) -> None:
    ours, theirs = store_of(redis_server), store_of(redis_server, "import.b.p1")
    ours.claim([0])
    theirs.claim([0])
    theirs.commit([commit(0, 0, 7, a=b"theirs")])
    late = commit(0, 0, 5, a=b"ours")
    assert ours.commit([late]) == [late]
    assert ours.read({0: ["a"]}) == {0: (1, [b"theirs"])}
    assert (ours.positions()[0], theirs.positions()[0]) == (0, 7)
    assert ours.commit([commit(1, 0, 5, a=b"both")]) == []


def test_of_several_buckets_those_that_can_be_are_committed(redis_server: str) -> None:
    ours, other = store_of(redis_server), store_of(redis_server)
    ours.claim([0, 1])
    other.claim([1])
    with pytest.raises(Fenced) as refused:
        ours.commit([BucketCommit(1, 0, 0, 5), BucketCommit(0, 0, 0, 5)])
    assert refused.value.bucket == 1
    assert ours.positions() == {0: 5, 1: 0, 2: 0, 3: 0}


def test_writers_of_two_sources_into_one_bucket_lose_nothing(redis_server: str) -> None:
    """Each adds one to the same number 200 times, and tries again where the other was faster."""

    def count(source: str) -> int:
        store, again = store_of(redis_server, source), 0
        position = store.claim([0])[0]
        while position < 200:
            version, (packed,) = store.read({0: ["n"]})[0]
            value = str(int(packed or 0) + 1).encode()
            if store.commit([commit(version, position, position + 1, {(0, "i"): 1}, n=value)]):
                again += 1
            else:
                position += 1
        return again

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(count, ["events.a.p4", "import.b.p1"])) > 0
    store = store_of(redis_server)
    assert store.read({0: ["n"]}) == {0: (400, [b"400"])}
    assert popular(store.client, BUCKETS) == {"i": 400}


def test_popularity_is_what_the_newest_days_of_the_log_hold_in_any_order(redis_server: str) -> None:
    newest = 20_000
    tiles = {(newest - age, f"i{age}"): age + 1 for age in range(2 * POPULARITY_DAYS)}
    found = []
    for seed in range(4):
        store = store_of(redis_server, f"run{seed}")
        store.client.flushall()
        store.claim([0])
        shuffled = list(tiles.items())
        random.Random(seed).shuffle(shuffled)
        for number, tile in enumerate(shuffled):
            assert store.commit([commit(number, number, number + 1, dict([tile]))]) == []
        found.append({key: store.client.hgetall(key) for key in sorted(store.client.keys("*pop*"))})
    assert all(each == found[0] for each in found)
    days = range(newest - POPULARITY_DAYS + 1, newest + 1)
    assert {*found[0]} == {popularity_key(0, day).encode() for day in days}


def test_popular_sums_all_buckets_over_the_last_days_of_any_of_them(redis_server: str) -> None:
    store = store_of(redis_server)
    store.claim([0, 1])
    store.commit(
        [
            BucketCommit(0, 0, 0, 1, {}, {(100, "a"): 3, (94, "b"): 1, (93, "old"): 9}),
            BucketCommit(1, 0, 0, 1, {}, {(99, "a"): -1, (94, "c"): 2}),
        ]
    )
    assert popular(store.client, BUCKETS) == {"a": 2, "b": 1, "c": 2}
    assert popular(store.client, BUCKETS, days=1) == {"a": 3}
    store.client.flushall()
    assert popular(store.client, BUCKETS) == {}


def test_a_customer_is_kept_in_the_bucket_of_its_kafka_key_whatever_the_id() -> None:
    assert bucket_of_customer("u:x", 64) == bucket_of_customer("a:x", 64)
    assert state_key(3, "u:}{b:9}") == "{b:3}:u:}{b:9}"  # Redis hashes what is between the first braces
