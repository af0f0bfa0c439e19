"""The stream processor: each event exactly once, whatever happens to workers, Redis and brokers."""

import json
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.errors import Fenced, MalformedEvent, Rewound, Unavailable
from features.events import decode
from features.folds import unpack
from features.kafka.broker import EmbeddedBroker
from features.kafka.consumer import Record
from features.kafka.producer import Producer
from features.kafka.topics import partition_of
from features.offline import EventLog, ItemLog, append_events, interactions, read_items
from features.offline.log import LoggedEvent
from features.online import CatalogueStore, StateStore
from features.settings import Settings
from pipelines.backfill import restore, source_name
from pipelines.folding import Batch
from pipelines.stream import DEAD_LETTERS, Processor
from tests.pipelines.crashing_worker import POINTS, crashing
from tests.pipelines.stream_world import BASE, World, event, send, viewed

ARRIVED = BASE + 86_400_000


class CrashError(BaseException):
    """The worker is gone: nothing catches this."""


def snapshot(world: World) -> Callable[[], None]:
    """What Redis holds now; calling it brings that back, as a fallen-over replica would."""
    kept = {key: world.client.dump(key) or b"" for key in world.client.scan_iter(count=1_000)}

    def bring_back() -> None:
        world.client.flushall()
        for key, value in kept.items():
            world.client.restore(key, 0, value)

    return bring_back


def headers(record: Record) -> dict[str, bytes | None]:
    return dict(record.headers)


def test_traffic_folds_to_what_a_clean_pass_gives(world: World) -> None:
    send(world, seed=1, count=1_500)
    world.pump()
    world.assert_exact()
    assert len(world.states()) == 40


def test_a_malformed_event_goes_to_the_dead_letters_with_its_reason_its_place_and_its_bytes(world: World) -> None:
    raw = (
        b'{"type": "track", "userId": "u1", "event": "Product Viewed", "properties": {"product_id": "i1", "price": -1}}'
    )
    world.send(viewed("u0"))
    world.send_raw(raw, b"u1")
    world.pump()
    (letter,) = world.records(DEAD_LETTERS)
    assert (letter.key, letter.value) == (b"u1", raw)
    assert headers(letter)["kindred-topic"] == b"events"
    assert headers(letter)["kindred-partition"] == str(partition_of(b"u1", 16)).encode()
    assert headers(letter)["kindred-offset"] == b"0"
    assert b"properties.price" in (headers(letter)["kindred-reason"] or b"")
    assert list(world.states()) == ["u:u0"]
    assert [row.event.customer for row in world.logged()] == ["u:u0"]


def test_a_record_without_a_value_is_a_dead_letter_too(world: World) -> None:
    world.send_raw(None, b"u1")
    world.pump()
    (letter,) = world.records(DEAD_LETTERS)
    assert (letter.key, letter.value) == (b"u1", None)


def test_a_mis_keyed_event_goes_through_rekey_and_is_counted_once(world: World) -> None:
    world.send(viewed("u1"), key=b"a wrong key")
    world.send(viewed("u1"), key=b"another wrong key")
    assert partition_of(b"a wrong key", 16) != partition_of(b"u1", 16)
    world.pump()
    assert [record.key for record in world.records("events.rekey")] == [b"u1", b"u1"]
    assert unpack(world.states()["u:u1"]).counts == {"Product Viewed": 1}
    assert world.logged("events") == []
    assert [row.duplicate for row in world.logged("events.rekey")] == [False, True]


def test_an_event_that_is_misplaced_even_in_rekey_becomes_a_dead_letter(world: World) -> None:
    raw = json.dumps(viewed("u1")).encode()
    world.send_raw(raw, b"a wrong key", "events.rekey")
    world.pump()
    (letter,) = world.records(DEAD_LETTERS)
    assert letter.value == raw
    assert headers(letter)["kindred-topic"] == b"events.rekey"
    assert world.states() == {}


def test_a_duplicate_flags_its_own_row_and_no_row_of_another_partition(world: World) -> None:
    one, two = (
        "u0",
        next(f"u{n}" for n in range(1, 99) if partition_of(f"u{n}".encode(), 16) != partition_of(b"u0", 16)),
    )
    world.send(viewed(one, message_id="m"), viewed(one, message_id="m"))
    world.send(viewed(two, message_id="m"), viewed(two, message_id="n"))
    world.pump()
    flags = {(row.event.customer, row.offset): row.duplicate for row in world.logged()}
    assert flags == {(f"u:{one}", 0): False, (f"u:{one}", 1): True, (f"u:{two}", 0): False, (f"u:{two}", 1): False}
    assert len(interactions(EventLog(world.settings.data))) == 3


def test_items_go_to_redis_and_to_the_item_log_and_null_deletes(world: World) -> None:
    world.send_raw(b'{"item_id":"i1","title":"Spade"}', b"i1", "items")
    world.send_raw(b'{"item_id":"i2","title":"Rake"}', b"i2", "items")
    world.pump()
    world.send_raw(None, b"i1", "items")
    world.pump()
    assert world.client.hgetall("{items}:all") == {b"i1": b"", b"i2": b'{"item_id":"i2","title":"Rake"}'}
    rows = [row for rows in read_items(ItemLog(world.settings.data).source(world.name("items"))) for row in rows]
    assert [(row.item_id, row.value is None) for row in sorted(rows, key=lambda r: (r.item_id, r.offset))] == [
        ("i1", False),
        ("i1", True),
        ("i2", False),
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"i1", b'{"item_id":"i2"}'), (b"i1", b""), (b"i1", b'{"item_id":"i1","price":-1}'), (None, None), (b"i1", b"[")],
)
def test_an_item_that_cannot_be_taken_becomes_a_dead_letter(world: World, key: bytes | None, value: bytes) -> None:
    world.send_raw(value, key, "items")
    world.pump()
    (letter,) = world.records(DEAD_LETTERS)
    assert (letter.key, letter.value or b"") == (key, value or b"")
    assert headers(letter)["kindred-topic"] == b"items"
    assert world.client.hgetall("{items}:all") == {}


def test_an_order_names_items_that_the_catalogue_does_not_know_and_a_view_does_not(world: World) -> None:
    line = {"product_id": "i1", "name": "Spade", "price": 9.5}
    order = {"order_id": "o1", "currency": "GBP", "products": [line]}
    world.send(viewed("u1", "i2"), viewed("u1", event="Order Completed", properties=order, message_id="m2"))
    world.pump()
    made = b'{"item_id":"i1","title":"Spade","price":9.5,"currency":"GBP","incomplete":true}'
    assert world.client.hgetall("{items}:all") == {b"i1": made}


class Refusing(Producer):
    """Kafka takes nothing that is sent on, as a flush then finds out."""

    waiting: list[Any]

    def send(self, *args: Any, **_options: Any) -> None:
        self.waiting.append(args[-1])

    def flush(self, timeout_s: float = 10.0) -> None:
        super().flush(timeout_s)
        while self.waiting:
            self.waiting.pop()(Unavailable("no replicas"))


def test_a_batch_whose_dead_letter_kafka_did_not_take_is_not_taken_either(world: World) -> None:
    world.send(viewed("u1"))
    world.send_raw(b"nonsense", b"u1")
    refusing = Refusing(world.settings.kafka)
    refusing.waiting = []
    with pytest.raises(Unavailable, match="no replicas"):
        world.pump(Processor(world.settings, world.client, refusing, lambda: BASE))
    refusing.close(0.1)
    assert world.states() == {}
    assert world.logged() == []
    world.pump()
    assert [letter.value for letter in world.records(DEAD_LETTERS)] == [b"nonsense"]
    world.assert_exact()


def test_a_dead_letter_larger_than_kafka_takes_is_cut_and_says_so(world: World) -> None:
    processor = world.pump()
    processor.process([Record("events", 3, 0, b"k" * 5_000, b"x" * 3_000_000, BASE, ())])
    (letter,) = world.records(DEAD_LETTERS)
    assert headers(letter)["kindred-cut"] == b"1"
    assert letter.value == b"x" * 500_000
    assert headers(letter)["kindred-offset"] == b"0"


def test_more_dead_letters_than_the_queue_holds_all_arrive(world: World) -> None:
    small = Producer(world.settings.kafka, linger_ms=0, max_queued=10)
    for number in range(100):
        world.send_raw(b"nonsense %d" % number, b"u1")
    world.pump(Processor(world.settings, world.client, small, lambda: BASE))
    small.close()
    assert {letter.value for letter in world.records(DEAD_LETTERS)} == {b"nonsense %d" % n for n in range(100)}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "point",
    ["commit", "log", *(pytest.param(p, marks=pytest.mark.slow) for p in sorted({*POINTS} - {"commit", "log"}))],
)
def test_a_worker_that_dies_anywhere_is_followed_by_one_that_loses_and_doubles_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, point: str, when: str
) -> None:
    send(world, seed=2, count=400)
    for number in range(20):
        world.send_raw(json.dumps({"item_id": f"i{number}", "title": "T"}).encode(), f"i{number}".encode(), "items")

    def crash() -> None:
        raise CrashError

    for call in (1, 2):
        with monkeypatch.context() as patch:
            owner, name = POINTS[point]
            patch.setattr(owner, name, crashing(getattr(owner, name), when, call, crash))
            with pytest.raises(CrashError):
                world.pump(batch=150)
        send(world, seed=call + 2, count=50)
    world.pump()
    world.assert_exact()
    letters = {(headers(letter)["kindred-partition"], headers(letter)["kindred-offset"]) for letter in malformed(world)}
    assert letters == {(b"%d" % r.partition, b"%d" % r.offset) for r in world.records("events") if not accepted(r)}
    assert len(world.client.hgetall("{items}:all")) >= 20


def malformed(world: World) -> list[Record]:
    return [letter for letter in world.records(DEAD_LETTERS) if headers(letter)["kindred-topic"] == b"events"]


def accepted(record: Record) -> bool:
    try:
        decode(record.value or b"", record.timestamp_ms)
    except MalformedEvent:
        return False
    return True


def test_what_was_logged_and_not_committed_is_folded_from_the_log_and_not_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.send(viewed("u1"))

    def crash() -> None:
        raise CrashError

    with monkeypatch.context() as patch:
        patch.setattr(StateStore, "commit", crashing(StateStore.commit, "before", 1, crash))
        with pytest.raises(CrashError):
            world.pump()
    assert world.states() == {}
    starts = world.processor().assign([("events", partition_of(b"u1", 16))])
    assert list(starts.values()) == [1]
    assert unpack(world.states()["u:u1"]).counts == {"Product Viewed": 1}


def test_a_worker_whose_buckets_another_has_claimed_is_fenced_and_writes_nothing(world: World) -> None:
    zombie, owner = world.pump(), world.pump()
    world.send(viewed("u1"))
    records = world.records("events")
    with pytest.raises(Fenced):
        zombie.process(records)
    assert world.states() == {}
    owner.process(records)
    world.assert_exact()


def test_a_redis_that_fell_back_refuses_the_next_batch_and_the_next_worker_catches_up(world: World) -> None:
    send(world, seed=3, count=300)
    world.pump()
    bring_back = snapshot(world)
    send(world, seed=4, count=300)
    processor = world.pump()
    bring_back()
    send(world, seed=5, count=100)
    starts = dict(processor.sources["events"].logged)
    with pytest.raises((Rewound, Fenced)):
        processor.process(world.records("events", starts))
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
    send(world, seed=6, count=500)
    world.send_raw(b'{"item_id":"i1","title":"Spade"}', b"i1", "items")
    world.pump()
    states, catalogue = world.states(), world.client.hgetall("{items}:all")
    popularity = {key: world.client.hgetall(key) for key in world.client.scan_iter(match="*:pop:*")}
    world.client.flushall()
    restore(world.client, EventLog(world.settings.data), ItemLog(world.settings.data), world.settings.buckets)
    assert world.states() == states
    assert world.client.hgetall("{items}:all") == catalogue
    assert {key: world.client.hgetall(key) for key in world.client.scan_iter(match="*:pop:*")} == popularity
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
    StateStore(world.client, world.name("events"), 64).claim([0])
    batch = Batch(ends={0: 5})
    commits, _ = folder.fold(batch)
    with pytest.raises(Fenced):
        folder.commit(batch, commits)
    assert folder.positions[0] == 0
    assert folder.store.positions()[0] == 0


def test_a_new_embedded_broker_is_read_from_its_beginning_on_top_of_what_is_there(world: World) -> None:
    world.send(viewed("u1", "i1"), viewed("u1", "i2"), viewed("u2", "i1"))
    world.pump()
    with EmbeddedBroker() as broker:
        second = World(Settings(data=world.settings.data, kafka=broker.bootstrap, redis=world.settings.redis))
        second.send(viewed("u1", "i3"))
        second.pump()
        assert unpack(second.states()["u:u1"]).counts == {"Product Viewed": 3}
        assert unpack(second.states()["u:u2"]).counts == {"Product Viewed": 1}
        assert len(interactions(EventLog(world.settings.data))) == 4
        assert second.name("events") != world.name("events")
        second.close()


def test_two_sources_that_write_the_same_customers_at_once_lose_nothing(world: World) -> None:
    """The importer's log is folded by one thread while live events are by another."""
    imported = EventLog(world.settings.data).source(source_name("import", "history", 1))
    rng = random.Random(7)
    raws = [json.dumps(event(rng, f"old-{n}", f"c{n % 40}")).encode() for n in range(600)]
    rows = [LoggedEvent(0, n, BASE, decode(raw, ARRIVED), False, raw) for n, raw in enumerate(raws)]
    for at in range(0, 600, 20):
        append_events(imported, 0, at, at + 20, rows[at : at + 20])
    send(world, seed=8, count=600)
    logs = EventLog(world.settings.data), ItemLog(world.settings.data)
    thread = threading.Thread(target=restore, args=(world.client, *logs, 64))
    thread.start()
    world.pump(batch=30)
    thread.join()
    assert StateStore(world.client, imported.name, 64).positions() == dict.fromkeys(range(64), 600)
    assert world.states() == world.expected(before=[row.event for row in rows])


def test_a_topic_whose_oldest_records_are_gone_is_read_from_what_is_left(
    new_broker: Callable[[], EmbeddedBroker], redis_server: str, tmp_path: Path
) -> None:
    with new_broker() as broker:
        world = World(Settings(data=tmp_path, kafka=broker.bootstrap, redis=redis_server))
        world.send(*(viewed("u1", message_id=f"m{n}") for n in range(5)))
        (partition,) = [place for place, end in world.ends("events").items() if end]
        broker.truncate("events", partition, 3)
        starts = world.processor().assign([("events", p) for p in range(16)])
        assert starts["events", partition] == 3
        assert set(starts.values()) == {0, 3}
        world.close()
