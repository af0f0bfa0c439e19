"""Rebuilding the live state: from nothing, from a snapshot, and not at all where it is up to date."""

import json
from pathlib import Path
from typing import Any

import pytest

from features.definitions import FEATURES
from features.events import decode, iso
from features.offline import EventLog, ItemLog, LoggedEvent, LoggedItem, append_events, append_items
from features.online import CatalogueStore, Client, Merger, connect, generations, item_features
from features.online.state import meta_key
from features.profiles import Profile
from features.table import table
from pipelines.backfill import (
    catch_up,
    folder_of,
    partitions_of_source,
    restore,
    restore_all,
    restore_items,
    restore_source,
    source_name,
)
from tests.pipelines.stream_truth import GENERATION, expected, keyed, states, views

T = 1_767_225_600_000
BUCKETS = 8


def row(offset: int, customer: str = "u1", event: str = "Product Viewed", **properties: Any) -> LoggedEvent:
    message = {"type": "track", "userId": customer, "event": event, "messageId": f"m{offset}", "timestamp": iso(T)}
    raw = json.dumps(message | {"properties": {"product_id": "i1"} | properties}).encode()
    return LoggedEvent(0, offset, T + offset, decode(raw, T + offset), False, raw)


@pytest.fixture
def client(redis_server: str) -> Client:
    return connect(redis_server)


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path)


def run(client: Client, log: EventLog, **options: Any) -> int:
    return restore(client, log, ItemLog(log.folder.parent), BUCKETS, **options)


def positions(client: Client, source: str) -> set[int]:
    return {*folder_of(client, source, BUCKETS).store.positions().values()}


def test_the_name_of_a_source_holds_its_partitions_and_nothing_that_a_folder_cannot() -> None:
    name = source_name("events.rekey", "clus/ter:../id", 16)
    assert name == "events.rekey.clus-ter----id.p16"
    assert partitions_of_source(name) == 16


def test_an_empty_log_restores_nothing(client: Client, log: EventLog) -> None:
    assert run(client, log) == 0
    assert client.keys("*") == []


def test_an_empty_redis_gets_what_the_log_holds(client: Client, log: EventLog) -> None:
    rows = [row(n, f"u{n % 5}") for n in range(40)]
    append_events(log.source("import.a.p1"), 0, 0, 40, rows)
    told: list[int] = []
    assert run(client, log, progress=told.append) == 40
    assert told == [40]
    assert states(client) == expected([], before=[each.event for each in rows])
    assert positions(client, "import.a.p1") == {40}


def test_a_redis_that_is_up_to_date_is_not_touched(client: Client, log: EventLog) -> None:
    append_events(log.source("import.a.p1"), 0, 0, 2, [row(0), row(1)])
    run(client, log)
    before = {key: client.dump(key) for key in client.keys("*")}
    assert run(client, log) == 0
    assert {key: client.dump(key) for key in client.keys("*")} == before


def test_only_what_is_new_is_folded_and_only_its_buckets_are_claimed(client: Client, log: EventLog) -> None:
    source = log.source("events.a.p2")
    append_events(source, 0, 0, 2, [row(0, "u1"), row(1, "u1")])
    run(client, log)
    append_events(source, 0, 2, 3, [row(2, "u1")])
    assert run(client, log) == 1
    assert views(client, "u:u1") == 3
    epochs = [client.hget(meta_key(bucket, GENERATION), "epoch:events.a.p2") for bucket in range(BUCKETS)]
    assert epochs == [b"2", None] * (BUCKETS // 2)


def test_rows_flagged_as_duplicates_and_offsets_without_events_are_passed_over(client: Client, log: EventLog) -> None:
    source = log.source("import.a.p1")
    append_events(source, 0, 0, 9, [row(0), row(4)._replace(duplicate=True)])
    append_events(source, 0, 9, 12, [])
    assert run(client, log) == 2
    assert views(client, "u:u1") == 1
    assert positions(client, "import.a.p1") == {12}
    assert run(client, log) == 0


def test_what_a_zombie_writes_beyond_the_end_that_was_seen_is_left_to_kafka(client: Client, log: EventLog) -> None:
    source = log.source("events.a.p1")
    append_events(source, 0, 0, 3, [row(0), row(1), row(2)])
    folder = folder_of(client, source.name, BUCKETS)
    folder.positions = folder.store.claim(list(range(BUCKETS)))
    assert catch_up(folder, CatalogueStore(client), source, {0: 2}) == 2
    assert {*folder.positions.values()} == {2}
    assert views(client, "u:u1") == 2


def test_buckets_that_stand_at_different_places_all_end_at_the_same(client: Client, log: EventLog) -> None:
    rows = [row(n, f"u{n % 7}") for n in range(60)]
    source = log.source("import.a.p1")
    append_events(source, 0, 0, 60, rows)
    run(client, log)
    before = states(client)
    client.delete(*(key for key in client.keys("{b:3}:*")))
    assert restore_source(client, source, BUCKETS) == 60
    assert states(client) == before


def test_sources_that_somebody_else_takes_care_of_are_skipped(client: Client, log: EventLog) -> None:
    append_events(log.source("events.a.p1"), 0, 0, 1, [row(0)])
    append_events(log.source("import.a.p1"), 0, 0, 1, [row(0, "u2")])
    assert run(client, log, skip={"events.a.p1"}) == 1
    assert positions(client, "events.a.p1") == {0}


def test_the_same_event_in_two_sources_counts_once(client: Client, log: EventLog) -> None:
    append_events(log.source("events.a.p1"), 0, 0, 1, [row(0)])
    append_events(log.source("events.b.p1"), 0, 0, 1, [row(0)])
    run(client, log)
    assert views(client, "u:u1") == 1


def test_a_correction_from_a_file_counts_at_the_time_it_happened_beside_what_was_live(
    client: Client, log: EventLog
) -> None:
    append_events(log.source("events.a.p1"), 0, 0, 2, [row(0), row(1)])
    run(client, log)
    day = 86_400_000
    sent = {
        "type": "track",
        "userId": "u1",
        "event": "Order Completed",
        "messageId": "late",
        "timestamp": iso(T - 5 * day),
    }
    order = {"order_id": "o1", "currency": "GBP", "products": [{"product_id": "i1", "price": 3.5}]}
    raw = json.dumps(sent | {"properties": order}).encode()
    append_events(log.source("import.b.p1"), 0, 0, 1, [LoggedEvent(0, 0, T, decode(raw, T), False, raw)])
    run(client, log)
    profile = Profile([states(client)["u:u1"]])
    assert profile.features(T + 10, ["views_1h", "since_order", "spend"]) == {
        "views_1h": 2,
        "since_order": 5 * day + 10,
        "spend": {"GBP": 350},
    }
    assert profile.features(T + 10, ["orders_24h", "orders_30d"]) == {"orders_24h": 0, "orders_30d": 1}
    Merger(client, BUCKETS, FEATURES).merge()
    assert item_features(client, FEATURES, ["i1"], ["item_orders_30d"], T + 10)["i1"] == {"item_orders_30d": 1}


def test_a_file_names_items_in_any_event_and_kafka_only_in_orders(client: Client, log: EventLog) -> None:
    append_events(log.source("import.a.p1"), 0, 0, 1, [row(0, product_id="filed", name="F")])
    order: Any = {"order_id": "o", "products": [{"product_id": "ordered", "name": "O"}]}
    rows = [row(0, product_id="viewed", name="V"), row(1, event="Order Completed", **order)]
    append_events(log.source("events.a.p1"), 0, 0, 2, rows)
    run(client, log)
    assert {*client.hkeys("{items}:all")} == {b"filed", b"ordered"}


def test_items_of_all_sources_come_in_the_order_in_which_they_became_known(client: Client, tmp_path: Path) -> None:
    items = ItemLog(tmp_path)

    def take(source: str, offset: int, now: int, item_id: str, title: str | None) -> None:
        value = None if title is None else json.dumps({"item_id": item_id, "title": title}).encode()
        append_items(items.source(source), 0, offset, offset + 1, [LoggedItem(0, offset, item_id, value)], now)

    take("items.zzz.p1", 0, 1, "a", "oldest")
    take("import.items.p1", 0, 2, "a", "imported")
    take("items.aaa.p1", 0, 3, "a", "newest")
    take("items.zzz.p1", 1, 4, "b", "gone tomorrow")
    take("import.items.p1", 1, 5, "b", None)
    restore_items(client, items)
    assert client.hgetall("{items}:all") == {b"a": b'{"item_id": "a", "title": "newest"}', b"b": b""}
    store = CatalogueStore(client)
    assert [store.position(name, 0) for name in ("items.zzz.p1", "import.items.p1", "items.aaa.p1")] == [2, 2, 1]
    client.hset("{items}:all", "a", "as it is")
    restore_items(client, items)
    assert client.hget("{items}:all", "a") == b"as it is"


def test_item_offsets_that_held_nothing_are_behind_us_as_well(client: Client, tmp_path: Path) -> None:
    items = ItemLog(tmp_path)
    append_items(items.source("items.a.p1"), 0, 0, 7, [], T)
    restore_items(client, items)
    assert CatalogueStore(client).position("items.a.p1", 0) == 7


def test_a_first_backfill_is_what_readers_use_and_a_later_one_of_other_features_waits_to_be(
    client: Client, tmp_path: Path
) -> None:
    append_events(EventLog(tmp_path).source("import.a.p1"), 0, 0, 2, [row(0), row(1)])
    told: list[tuple[int, int]] = []
    assert restore_all(client, tmp_path, BUCKETS, lambda done, every: told.append((done, every))) == 2
    assert told == [(2, 2)]
    assert generations.live(client) == GENERATION
    fewer = table(list(FEATURES.features.values())[:3])
    assert restore_all(client, tmp_path, BUCKETS, table=fewer) == 2
    assert generations.live(client) == GENERATION != fewer.generation
    assert {*keyed(client, f"*:{fewer.generation}:u:*")} != set()
    assert views(client, "u:u1") == 2


def test_progress_goes_on_from_source_to_source(client: Client, log: EventLog) -> None:
    append_events(log.source("import.a.p1"), 0, 0, 2, [row(0), row(1)])
    append_events(log.source("import.b.p1"), 0, 0, 1, [row(0, "u2")])
    told: list[int] = []
    assert run(client, log, progress=told.append) == 3
    assert told == [2, 3]
