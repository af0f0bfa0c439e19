"""Whatever is taken away between two steps of the processor: what follows is what a clean pass gives."""

import json
import random
import threading
from collections.abc import Callable

import numpy as np
import pytest

from features.columns import empty
from features.errors import Fenced, Rewound
from features.events import decode
from features.kafka.topics import partition_of
from features.offline import EventLog, ItemLog, append_events
from features.offline.log import LoggedEvent
from features.online import BucketCommit, CatalogueStore, StateStore
from features.online.state import meta_key
from pipelines.backfill import folder_of, restore, restore_identity, source_name
from pipelines.folding import Batch
from pipelines.stream import DEAD_LETTERS, STEPS
from tests.pipelines.crashing_worker import dying
from tests.pipelines.stream_truth import GENERATION, assert_same, expected, keyed, rightly_placed, states, tiles, views
from tests.pipelines.stream_world import TOPICS, World
from tests.pipelines.traffic import ARRIVED, BASE, event, viewed

EVERY = (*STEPS[:1], "logged", "committed", "edges-stored")  # of each kind one; the others are slow
ONCE = ("claimed", "edges-stored", "edges-committed")


class CrashError(BaseException):
    """The worker is gone: nothing catches this."""


def crash() -> None:
    raise CrashError


def snapshot(world: World) -> Callable[[], None]:
    """What Redis holds now; calling it brings that back, as a fallen-over replica would."""
    kept = {key: world.client.dump(key) or b"" for key in world.client.scan_iter(count=1_000)}

    def bring_back() -> None:
        world.client.flushall()
        for key, value in kept.items():
            world.client.restore(key, 0, value)

    return bring_back


@pytest.mark.parametrize("step", [pytest.param(s, marks=() if s in EVERY else pytest.mark.slow) for s in STEPS])
def test_a_worker_that_dies_anywhere_is_followed_by_one_that_loses_and_doubles_nothing(
    either_world: World, step: str
) -> None:
    either_world.pour(seed=2, count=400)
    for number in range(20):
        either_world.send_raw(
            json.dumps({"item_id": f"i{number}", "title": "T"}).encode(), f"i{number}".encode(), "items"
        )
    for occurrence in (1, 1 if step in ONCE else 2):
        with pytest.raises(CrashError):
            either_world.pump(either_world.processor(dying(step, occurrence, crash)), batch=60)
        either_world.pour(seed=occurrence + 2, count=100)
    either_world.pump()
    either_world.assert_exact()
    letters = {
        (dict(each.headers)["kindred-partition"], dict(each.headers)["kindred-offset"])
        for each in either_world.records(DEAD_LETTERS)
        if dict(each.headers)["kindred-topic"] == b"events"
    }
    taken = {(row.partition, row.offset) for row in either_world.logged()}
    rekeyed = {record.value for record in either_world.records("events.rekey")}
    refused = {(r.partition, r.offset) for r in either_world.records("events") if r.value not in rekeyed} - taken
    assert letters == {(b"%d" % partition, b"%d" % offset) for partition, offset in refused}
    assert len(either_world.client.hgetall("{items}:all")) >= 20


def test_a_worker_that_dies_with_half_of_its_buckets_committed_is_followed_exactly(
    either_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    either_world.pour(seed=3, count=600)

    def half(store: StateStore, commits: list[BucketCommit]) -> list[BucketCommit]:
        whole(store, commits[: len(commits) // 2])
        raise CrashError

    whole = StateStore.commit
    with monkeypatch.context() as patch:
        patch.setattr(StateStore, "commit", half)
        with pytest.raises(CrashError):
            either_world.pump()
    stands = either_world.store().positions()
    assert {0} < {stands[bucket] for bucket in range(0, 64, 16)}
    either_world.pump()
    either_world.assert_exact()


def test_what_was_logged_and_not_committed_is_folded_from_the_log_and_not_read_again(world: World) -> None:
    world.send(viewed("u1"))
    with pytest.raises(CrashError):
        world.pump(world.processor(dying("stubbed", 1, crash)))
    assert states(world.client) == {}
    starts = world.processor().assign([("events", partition_of(b"u1", 16))])
    assert list(starts.values()) == [1]
    assert views(world.client, "u:u1") == 1


def test_a_worker_whose_buckets_another_has_claimed_is_fenced_and_writes_nothing(either_world: World) -> None:
    zombie, owner = either_world.pump(), either_world.pump()
    either_world.send(viewed("u1"))
    records = either_world.records("events")
    with pytest.raises(Fenced):
        zombie.process(records)
    assert states(either_world.client) == {}
    assert tiles(either_world.client, 64) == {}
    owner.process(records)
    either_world.assert_exact()


def test_a_zombie_that_wakes_up_long_after_does_not_write_to_the_log_that_all_was_counted_before(
    either_world: World,
) -> None:
    either_world.pour(seed=4, count=200)
    zombie = either_world.processor()
    starts = zombie.assign([("events", partition) for partition in range(16)])
    records = either_world.records("events", {partition: start for (_, partition), start in starts.items()})
    either_world.pump()
    with pytest.raises(Fenced):
        zombie.process(records)
    either_world.pump()  # what the zombie sent on came twice
    either_world.assert_exact()


def test_a_redis_that_fell_back_refuses_the_next_batch_and_the_next_worker_catches_up(either_world: World) -> None:
    either_world.pour(seed=3, count=300)
    either_world.pump()
    bring_back = snapshot(either_world)
    either_world.pour(seed=4, count=300)
    processor = either_world.pump()
    bring_back()
    either_world.pour(seed=5, count=100)
    starts = dict(processor.sources["events"].logged)
    with pytest.raises((Rewound, Fenced)):
        processor.process(either_world.records("events", starts))
    either_world.pump()
    either_world.assert_exact()


def test_a_redis_that_fell_back_is_noticed_where_no_event_comes_too(world: World) -> None:
    processor = world.pump()
    bring_back = snapshot(world)
    world.send(viewed("u1"))
    world.send_raw(b'{"item_id":"i1","title":"Spade"}', b"i1", "items")
    starts = dict(processor.sources["events"].logged)
    processor.process(world.records("items"))
    bring_back()
    with pytest.raises(Rewound, match="items"):
        processor.check()
    processor = world.pump()
    processor.check()
    bring_back()
    with pytest.raises(Fenced):
        processor.check()
    processor = world.processor()
    processor.assign([("events", partition) for partition in range(16)])
    world.client.hset(meta_key(3, GENERATION), f"next:{world.name('events')}", 77)
    with pytest.raises(Rewound, match="bucket 3"):
        processor.check()
    assert starts == dict.fromkeys(range(16), 0)


def test_one_slot_that_fell_back_alone_is_read_again_alone(world: World) -> None:
    world.pour(seed=3, count=300)
    world.pump()
    kept = {key: world.client.dump(key) or b"" for key in world.client.scan_iter(match="{b:3}:*", count=1_000)}
    world.pour(seed=4, count=300)
    world.pump()
    for key in world.client.scan_iter(match="{b:3}:*", count=1_000):
        world.client.delete(key)
    for key, value in kept.items():
        world.client.restore(key, 0, value)
    world.pump()
    world.assert_exact()


def test_a_catalogue_that_fell_back_refuses_a_batch_that_would_leave_a_gap(world: World) -> None:
    world.send_raw(b'{"item_id":"i1"}', b"i1", "items")
    processor = world.pump()
    world.client.flushall()
    world.send_raw(b'{"item_id":"i1","title":"Spade"}', b"i1", "items")
    partition = partition_of(b"i1", 4)
    with pytest.raises(Rewound):
        processor.process(world.records("items", {p: int(p == partition) for p in range(4)}))
    assert CatalogueStore(world.client).position(world.name("items"), partition) == 0


def test_an_empty_redis_is_filled_from_the_log_and_kafka_is_not_read_again(world: World) -> None:
    world.pour(seed=6, count=500)
    world.send_raw(b'{"item_id":"i1","title":"Spade"}', b"i1", "items")
    world.pump()
    before = states(world.client), world.client.hgetall("{items}:all"), tiles(world.client, 64)
    world.client.flushall()
    restore(world.client, EventLog(world.settings.data), ItemLog(world.settings.data), world.settings.buckets)
    assert (states(world.client), world.client.hgetall("{items}:all"), tiles(world.client, 64)) == before
    starts = world.processor().assign([("events", partition) for partition in range(16)])
    assert {partition: start for (_, partition), start in starts.items()} == world.ends("events")


def test_an_idle_bucket_moves_on_with_its_partition_and_never_back(world: World) -> None:
    world.send(viewed("u1"), viewed("u1", "i2"))
    processor = world.pump()
    mine = [bucket for bucket in range(64) if bucket % 16 == partition_of(b"u1", 16)]
    folder = processor.sources["events"].folder
    assert {bucket: folder.positions[bucket] for bucket in mine} == dict.fromkeys(mine, 2)
    processor.process(world.records("events")[:1])
    assert {b: p for b, p in folder.store.positions().items() if p} == dict.fromkeys(mine, 2)


def test_a_refused_commit_advances_no_position(world: World) -> None:
    processor = world.pump()
    folder = processor.sources["events"].folder
    none = np.empty(0, np.int64)
    batch = Batch(empty(), none, none, {0: 5})
    commits, _ = folder.fold(batch)
    world.store().claim([0])
    with pytest.raises(Fenced):
        folder.commit(batch, commits)
    assert folder.positions[0] == 0
    assert folder.store.positions()[0] == 0


def test_two_sources_that_write_the_same_customers_at_once_lose_nothing(world: World) -> None:
    """The importer's log is folded by one thread while live events are by another."""
    imported = EventLog(world.settings.data).source(source_name("import", "history", 1))
    rng = random.Random(7)
    raws = [json.dumps(event(rng, f"old-{n}", f"c{n % 40}")).encode() for n in range(600)]
    rows = [LoggedEvent(0, n, ARRIVED, decode(raw, ARRIVED), False, raw) for n, raw in enumerate(raws)]
    for at in range(0, 600, 20):
        append_events(imported, 0, at, at + 20, rows[at : at + 20])
    world.pour(seed=8, count=600)
    logs = EventLog(world.settings.data), ItemLog(world.settings.data)
    thread = threading.Thread(target=restore, args=(world.client, *logs, 64))
    thread.start()
    world.pump(batch=30)
    thread.join()
    assert folder_of(world.client, imported.name, 64).store.positions() == dict.fromkeys(range(64), 600)
    placed = [each for topic in TOPICS for each in rightly_placed(world.records(topic), 16)]
    assert_same(states(world.client), expected(placed, before=[row.event for row in rows]), "states")


def test_edges_of_an_import_are_beside_their_ids_once_they_are_restored_and_not_read_again(world: World) -> None:
    raw = json.dumps(viewed("u1", message_id="m", type="identify", anonymousId="a1")).encode()
    imported = EventLog(world.settings.data).source(source_name("import", "history", 1))
    append_events(imported, 0, 0, 1, [LoggedEvent(0, 0, BASE, decode(raw, BASE), False, raw)])
    for _ in range(2):
        restore_identity(world.client, EventLog(world.settings.data), 64)
        assert len(keyed(world.client, "*:e:*")) == 2
    for key in keyed(world.client, "*:e:*"):
        world.client.delete(key)
    restore_identity(world.client, EventLog(world.settings.data), 64)
    assert keyed(world.client, "*:e:*") == {}
