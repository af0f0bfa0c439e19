"""The stream processor: each event exactly once, whatever it is; what goes where on the way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from features.components import Component
from features.identity import edge_from_json
from features.kafka.broker import EmbeddedBroker
from features.kafka.consumer import Record
from features.kafka.topics import TOPICS, partition_of
from features.offline import EventLog, ItemLog, interactions, read_edges, read_items
from features.online.identity import component, edges_key, unpack
from features.settings import Settings
from pipelines.backfill import restore
from pipelines.stream import DEAD_LETTERS
from pipelines.stream.tidying import tidy
from tests.pipelines.stream_truth import states, views
from tests.pipelines.stream_world import World
from tests.pipelines.traffic import BASE, viewed


def test_traffic_folds_to_what_a_clean_pass_gives(world: World) -> None:
    world.pour(seed=1, count=1_500)
    world.pump()
    world.assert_exact()
    assert len(states(world.client)) == 40


def test_a_mis_keyed_event_goes_through_rekey_and_is_counted_once(world: World) -> None:
    world.send(viewed("u1"), key=b"a wrong key")
    world.send(viewed("u1"), key=b"another wrong key")
    assert partition_of(b"a wrong key", 16) != partition_of(b"u1", 16)
    world.pump()
    assert [record.key for record in world.records("events.rekey")] == [b"u1", b"u1"]
    assert views(world.client, "u:u1") == 1
    assert world.logged("events") == []
    assert [row.duplicate for row in world.logged("events.rekey")] == [False, True]


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


def test_an_order_names_items_that_the_catalogue_does_not_know_and_a_view_does_not(world: World) -> None:
    line = {"product_id": "i1", "name": "Spade", "price": 9.5}
    order = {"order_id": "o1", "currency": "GBP", "products": [line]}
    world.send(viewed("u1", "i2"), viewed("u1", event="Order Completed", properties=order, message_id="m2"))
    world.pump()
    made = b'{"item_id":"i1","title":"Spade","price":9.5,"currency":"GBP","incomplete":true}'
    assert world.client.hgetall("{items}:all") == {b"i1": made}


def test_a_new_embedded_broker_is_read_from_its_beginning_on_top_of_what_is_there(world: World) -> None:
    world.send(viewed("u1", "i1"), viewed("u1", "i2"), viewed("u2", "i1"))
    world.pump()
    with EmbeddedBroker() as broker:
        second = World(Settings(data=world.settings.data, kafka=broker.bootstrap, redis=world.settings.redis))
        second.send(viewed("u1", "i3"))
        second.pump()
        assert views(second.client, "u:u1") == 3
        assert views(second.client, "u:u2") == 1
        assert len(interactions(EventLog(world.settings.data))) == 4
        assert second.name("events") != world.name("events")
        second.close()


def test_more_partitions_are_another_log_on_top_of_the_same_buckets(world: World) -> None:
    """The way to grow that docs/operating.md describes: the topics anew, with more partitions."""
    customers = [f"u{n}" for n in range(40)]
    world.send(*(viewed(who, "i1") for who in customers))
    world.pump()
    more = {name: topic.partitions for name, topic in TOPICS.items()} | {"events": 32, "events.rekey": 32}
    with EmbeddedBroker(more) as broker:
        grown = World(Settings(data=world.settings.data, kafka=broker.bootstrap, redis=world.settings.redis))
        grown.send(*(viewed(who, "i2") for who in customers))
        grown.pump()
        assert {who: views(grown.client, f"u:{who}") for who in customers} == dict.fromkeys(customers, 2)
        assert len(interactions(EventLog(world.settings.data))) == 80
        grown.client.flushall()
        restore(grown.client, EventLog(world.settings.data), ItemLog(world.settings.data), 64)
        assert {who: views(grown.client, f"u:{who}") for who in customers} == dict.fromkeys(customers, 2)
        grown.close()


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


def test_an_edge_reaches_both_of_its_ids_and_one_of_a_duplicate_is_not_sent(world: World) -> None:
    login = viewed("u1", message_id="m", type="identify", anonymousId="a1")
    world.send(login, login, viewed("u2", message_id="n", type="alias", previousId="u1"))
    world.pump()
    edges = world.records("identity")
    assert sorted(edge.key or b"" for edge in edges) == [b"a1", b"u1", b"u1", b"u1", b"u2", b"u2"]
    known = {raw_id: unpack(world.client.get(edges_key(raw_id, 64))) for raw_id in ("a:a1", "u:u1", "u:u2")}  # type: ignore[arg-type]
    assert component("a:a1", known) == Component("u:u1", ("a:a1", "a:u1", "u:u1", "u:u2"), False)
    assert read_edges(EventLog(world.settings.data)) == sorted({edge_from_json(each.value or b"") for each in edges})
    world.assert_exact()


def test_an_event_is_available_when_kafka_has_it_and_never_happened_later(world: World) -> None:
    world.send(viewed("u1", timestamp="2026-01-01T00:00:00.000Z", receivedAt="2026-01-01T00:00:00.000Z"))
    (record,) = world.records("events")
    world.processor().process([])
    processor = world.pump()
    processor.process([record_at(record, 1, -1)])
    rows = world.logged()
    assert [(row.event.event_time, row.available_at) for row in rows] == [(BASE, record.timestamp_ms), (BASE, BASE)]


def record_at(record: Record, offset: int, timestamp_ms: int) -> Record:
    return Record(record.topic, record.partition, offset, record.key, record.value, timestamp_ms, record.headers)


POISON = (
    b"", b"null", b"[]", b"{", b'"a"', b"\xff\xfe", b"1e999", b'{"type":"track"}',
    b'{"type":"track","event":"Product Viewed","userId":{"a":1}}',
    b'{"type":"track","event":"Product Viewed","userId":"p","properties":{"product_id":["x"]}}',
    b'{"type":"track","event":"Order Completed","userId":"p","properties":{"order_id":"o","total":"1e400"}}',
    b'{"type":"track","event":"Product Viewed","userId":"p","timestamp":"9999-12-31T23:59:59Z"}',
    b'{"type":"track","event":"Product Viewed","userId":"p","timestamp":"yesterday"}',
    b'{"type":"track","event":"Product Viewed","userId":"p","properties":{"product_id":"i\\u0000"}}',
    b"[" * 100_000,
)  # fmt: skip
ODD: tuple[dict[str, Any], ...] = (
    {"userId": "\u0000", "properties": {"product_id": " \n", "price": 0}},
    {"userId": "ü" * 250, "properties": {"product_id": "i" * 255, "category": "c" * 200}},
    {"userId": "big", "event": "Order Completed", "properties": {"order_id": "o", "total": 1e12, "currency": "JPY"}},
    {"userId": "many", "event": "Order Completed", "properties": {
        "order_id": "o", "products": [{"product_id": f"i{n}", "price": 1e9, "quantity": 1e6} for n in range(500)]}},
    {"userId": "old", "timestamp": "1970-01-01T00:00:00.001Z", "receivedAt": "1970-01-01T00:00:00.002Z"},
    {"userId": "odd", "event": "Ünheard \ud83d\ude00 of", "properties": {"a": [[[1]]]}},
)  # fmt: skip


def test_poison_of_every_kind_stops_nothing_and_what_can_be_taken_is(either_world: World) -> None:
    for number, odd in enumerate(ODD):
        either_world.send(viewed("x", message_id=str(number)) | odd)
        for raw in POISON:
            either_world.send_raw(raw, b"p")
    either_world.send(viewed("last"))
    either_world.pump(batch=7)
    assert {letter.value or b"" for letter in either_world.records(DEAD_LETTERS)} == {*POISON}
    assert {*states(either_world.client)} == {"u:last", *(f"u:{odd['userId']}" for odd in ODD)}
    either_world.assert_exact()


def test_a_customer_of_more_events_than_all_others_is_counted_like_them(world: World) -> None:
    world.send(*(viewed("hot", f"i{n % 50}", message_id=f"m{n}") for n in range(2_500)))
    world.send(*(viewed(f"c{n}") for n in range(100)))
    world.pump(batch=900)
    assert views(world.client, "u:hot") == 2_500
    world.assert_exact()


def test_small_files_of_live_traffic_are_merged_into_one(world: World) -> None:
    for number in range(4):
        world.pour(seed=80 + number, count=120)
        processor = world.pump()
    files = {*processor.sources["events"].log.folder.glob("*/*.parquet")}
    for _ in range(2):
        tidy(processor.places(), BASE)
    planned = processor.sources["events"].log.plan()
    assert len(planned) == 16
    assert len({segment.path for segment in planned}) == 1 < len(files)
    assert {segment.path for segment in planned} & files == set()
    world.assert_exact()


def test_a_worker_without_partitions_has_nothing_to_compact_or_to_check(world: World) -> None:
    processor = world.processor()
    processor.assign([])
    assert tidy(processor.places(), BASE) == 0
    processor.check()
    assert states(world.client) == {}
