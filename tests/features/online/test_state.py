"""States and positions change together or not at all, and only by the bucket's owner."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from redis.cluster import RedisCluster

from features.errors import Fenced, Rewound
from features.online import BucketCommit, Client, StateStore, connect
from features.online.batch import Batch, primaries
from features.online.state import bucket_of_customer, meta_key, prefix_of, state_key, tile_key
from features.tiles import Tiles, sent

BUCKETS = 4
GEN = "0123ab"
KEEP = {1: 10, 12: 3}


def store_of(url: str, source: str = "events.a.p4", keep: dict[int, int] = KEEP) -> StateStore:
    return StateStore(connect(url), source, BUCKETS, GEN, keep)


def commit(version: int, position: int, end: int, tiles: Tiles | None = None, **states: bytes) -> BucketCommit:
    newest = max((start for starts in (tiles or {}).values() for start in starts), default=0)
    return BucketCommit(0, version, position, end, states, sent(tiles or {}), newest)


def meta(client: Client, bucket: int = 0) -> dict[bytes, bytes]:
    return client.hgetall(meta_key(bucket, GEN))  # type: ignore[return-value]


def tiles_of(client: Client, bucket: int = 0) -> dict[str, dict[bytes, bytes]]:
    """All tiles of a bucket by name; the index of them holds the same names."""
    prefix = prefix_of(bucket, GEN)
    names = sorted(key.decode().removeprefix(prefix) for key in keys(client) if key.decode().startswith(f"{prefix}t:"))
    assert sorted(name.decode() for name in client.zrange(f"{prefix}dirty", 0, -1)) == names  # type: ignore[union-attr]
    return {name: client.hgetall(prefix + name) for name in names}  # type: ignore[misc]


def keys(client: Client) -> set[bytes]:
    return {key for node in primaries(client) for key in node.scan_iter()}


def test_a_fresh_bucket_stands_at_the_beginning(redis_url: str) -> None:
    store = store_of(redis_url)
    assert store.positions() == dict.fromkeys(range(BUCKETS), 0)
    assert store.claim([0, 2]) == {0: 0, 2: 0}
    assert store.read({0: ["u:1"], 2: []}) == {0: (0, [None]), 2: (0, [])}
    assert store.commit([]) == []


def test_a_commit_writes_states_and_position_and_the_next_builds_on_it(redis_url: str) -> None:
    store = store_of(redis_url)
    store.claim([0])
    assert store.commit([commit(0, 0, 5, a=b"1", b=b"2")]) == []
    assert store.read({0: ["a", "c", "b"]}) == {0: (1, [b"1", None, b"2"])}
    assert store.commit([commit(1, 5, 9, a=b"3")]) == []
    assert store.read({0: ["a", "b"]}) == {0: (2, [b"3", b"2"])}
    assert store.positions()[0] == 9


def test_a_commit_without_a_claim_is_refused(redis_url: str) -> None:
    with pytest.raises(Fenced):
        store_of(redis_url).commit([commit(0, 0, 5)])


def test_a_worker_whose_bucket_was_claimed_since_is_fenced_and_changes_nothing(redis_url: str) -> None:
    zombie, owner = store_of(redis_url), store_of(redis_url)
    zombie.claim([0])
    owner.claim([0])
    before = meta(zombie.client)
    with pytest.raises(Fenced) as refused:
        zombie.commit([commit(0, 0, 5, {1: {1: {"1:i": 1}}}, a=b"zombie")])
    assert refused.value.bucket == 0
    assert meta(zombie.client) == before
    assert keys(zombie.client) == {meta_key(0, GEN).encode(), b"kindred:buckets"}
    assert owner.commit([commit(0, 0, 5, a=b"owner")]) == []


def test_a_batch_built_on_another_position_is_refused_with_the_stored_one(redis_url: str) -> None:
    store = store_of(redis_url)
    store.claim([0])
    store.commit([commit(0, 0, 5, a=b"1")])
    for position in (0, 4, 6):
        with pytest.raises(Rewound, match="bucket 0 stands at 5") as refused:
            store.commit([commit(1, position, 9, a=b"2")])
        assert refused.value.stored == 5
    assert store.read({0: ["a"]}) == {0: (1, [b"1"])}


def test_a_commit_that_is_sent_twice_counts_once(redis_url: str) -> None:
    store = store_of(redis_url)
    store.claim([0])
    once = commit(0, 0, 5, {1: {1: {"1:i": 2}}}, a=b"1")
    store.commit([once])
    with pytest.raises(Rewound):
        store.commit([once])
    assert store.client.hgetall(tile_key(0, GEN, 1, 1)) == {b"1:i": b"2"}


def test_a_bucket_that_another_source_changed_is_reported_and_left_alone(redis_url: str) -> None:
    ours, theirs = store_of(redis_url), store_of(redis_url, "import.b.p1")
    ours.claim([0])
    theirs.claim([0])
    theirs.commit([commit(0, 0, 7, a=b"theirs")])
    late = commit(0, 0, 5, a=b"ours")
    assert ours.commit([late]) == [late]
    assert ours.read({0: ["a"]}) == {0: (1, [b"theirs"])}
    assert (ours.positions()[0], theirs.positions()[0]) == (0, 7)
    assert ours.commit([commit(1, 0, 5, a=b"both")]) == []


def test_of_several_buckets_those_that_can_be_are_committed(redis_url: str) -> None:
    ours, other = store_of(redis_url), store_of(redis_url)
    ours.claim([0, 1])
    other.claim([1])
    with pytest.raises(Fenced) as refused:
        ours.commit([BucketCommit(1, 0, 0, 5), BucketCommit(0, 0, 0, 5)])
    assert refused.value.bucket == 1
    assert ours.positions() == {0: 5, 1: 0, 2: 0, 3: 0}


def test_writers_of_two_sources_into_one_bucket_lose_nothing(redis_url: str) -> None:
    """Each adds one to the same number 200 times, and tries again where the other was faster."""

    def count(source: str) -> int:
        store, again = store_of(redis_url, source), 0
        position = store.claim([0])[0]
        while position < 200:
            version, (packed,) = store.read({0: ["n"]})[0]
            value = str(int(packed or 0) + 1).encode()
            if store.commit([commit(version, position, position + 1, {1: {7: {"1:i": 1}}}, n=value)]):
                again += 1
            else:
                position += 1
        return again

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(count, ["events.a.p4", "import.b.p1"])) > 0
    store = store_of(redis_url)
    assert store.read({0: ["n"]}) == {0: (400, [b"400"])}
    assert tiles_of(store.client) == {"t:1:7": {b"1:i": b"400"}}


def test_what_is_left_of_tiles_are_those_that_are_kept_of_the_newest_in_any_order(redis_url: str) -> None:
    newest = 1_200
    one = {start: {"1:i": start} for start in range(newest - 30, newest + 1)}
    hour = {start: {"2:i": 1, "2:an-item-with-an-id-of-more-than-31-bytes": -2} for start in range(0, newest + 1, 12)}
    found = []
    for seed in range(4):
        store = store_of(redis_url, f"run{seed}")
        for node in primaries(store.client):
            node.flushall()
        store.claim([0])
        batches: list[Tiles] = [{1: {start: fields}} for start, fields in one.items()]
        batches += [{12: {start: fields}} for start, fields in hour.items()]
        random.Random(seed).shuffle(batches)
        for number, tiles in enumerate(batches):
            assert store.commit([commit(number, number, number + 1, tiles)]) == []
        found.append(tiles_of(store.client))
    assert all(each == found[0] for each in found)
    fine = {f"t:1:{start}": {b"1:i": str(start).encode()} for start in range(newest - 10, newest + 1)}
    fields = {b"2:i": b"1", b"2:an-item-with-an-id-of-more-than-31-bytes": b"-2"}
    coarse = {f"t:12:{start}": fields for start in range(newest - 36, newest + 1, 12)}
    assert found[0] == fine | coarse


def test_tiles_of_a_size_that_nothing_keeps_are_left_out(redis_url: str) -> None:
    store = store_of(redis_url, keep={})
    store.claim([0])
    assert store.commit([commit(0, 0, 1, {1: {5: {"1:i": 1}}})]) == []
    assert tiles_of(store.client) == {}


def test_sums_are_exact_beyond_what_a_float_holds(redis_url: str) -> None:
    store = store_of(redis_url)
    store.claim([0])
    large = 2**53 + 1
    for position in range(2):
        store.commit([commit(position, position, position + 1, {1: {5: {"1:i": large, "1:j": -large}}})])
    twice = str(2 * large).encode()
    assert tiles_of(store.client) == {"t:1:5": {b"1:i": twice, b"1:j": b"-" + twice}}


def test_a_redis_that_forgot_the_scripts_is_told_them_again(redis_url: str) -> None:
    store = store_of(redis_url)
    store.claim([0, 1, 2, 3])
    for node in primaries(store.client):
        node.script_flush()
    assert store.commit([BucketCommit(bucket, 0, 0, 5, {"u:a": b"1"}) for bucket in range(BUCKETS)]) == []
    assert store.positions() == dict.fromkeys(range(BUCKETS), 5)


def test_of_a_batch_the_first_error_is_raised_and_answers_come_in_the_order_of_commands(redis_url: str) -> None:
    batch = Batch(connect(redis_url))
    for bucket in range(20):
        batch.add("SET", f"{{b:{bucket}}}:x", bucket)
        batch.add("GET", f"{{b:{bucket}}}:x")
    assert batch.execute()[1::2] == [str(bucket).encode() for bucket in range(20)]
    batch.add("SET", "{b:1}:x", b"text")
    batch.add("INCR", "{b:1}:x")
    with pytest.raises(redis.ResponseError, match="not an integer"):
        batch.execute()
    assert batch.execute() == []


def test_two_generations_of_a_bucket_stand_at_positions_of_their_own(redis_url: str) -> None:
    old, new = store_of(redis_url), StateStore(connect(redis_url), "events.a.p4", BUCKETS, "ffffff")
    old.claim([0])
    new.claim([0])
    old.commit([commit(0, 0, 5, a=b"old")])
    assert new.positions()[0] == 0
    assert new.commit([commit(0, 0, 3, a=b"new")]) == []
    assert old.read({0: ["a"]}) == {0: (1, [b"old"])}


def test_slots_that_moved_fail_one_batch_and_are_found_by_the_next(cluster_url: str) -> None:
    client = connect(cluster_url)
    store = StateStore(client, "events.a.p4", BUCKETS, GEN)
    store.claim(list(range(BUCKETS)))
    assert isinstance(client, RedisCluster)
    slots = client.nodes_manager.slots_cache
    first, *_ = nodes = [slots[slot] for slot in (0, 8_000, 16_000)]
    for slot in slots:  # as if another node had had all of them when this client asked
        slots[slot] = first
    assert len({node[0].name for node in nodes}) == 3
    with pytest.raises(redis.RedisError):
        store.positions()
    assert store.positions() == dict.fromkeys(range(BUCKETS), 0)


def test_a_customer_is_kept_in_the_bucket_of_its_kafka_key_whatever_the_id() -> None:
    assert bucket_of_customer("u:x", 64) == bucket_of_customer("a:x", 64)
    assert (
        state_key(3, GEN, "u:}{b:9}") == f"{{b:3}}:{GEN}:u:}}{{b:9}}"
    )  # Redis hashes what is between the first braces
