"""Reconciliation finds every kind of difference, repairs it, and leaves alone what is right."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from features.definitions import FEATURES
from features.events import decode, iso
from features.offline import EventLog, LoggedEvent, append_events
from features.online import Client, Merger, connect, item_features
from features.online.state import bucket_of_customer, meta_key, state_key
from features.online.tiles import item_key
from features.profiles import Profile
from features.tiles import place_of
from pipelines.backfill import restore_source
from pipelines.reconcile import Report, keep_report, reconcile
from tests.pipelines.stream_world import World
from tests.pipelines.traffic import ARRIVED

T = 1_767_225_600_000
BUCKETS = 8


def row(offset: int, customer: str) -> LoggedEvent:
    sent = {"type": "track", "userId": customer, "event": "Product Viewed", "messageId": f"m{offset}"}
    raw = json.dumps(sent | {"timestamp": iso(T + offset), "properties": {"product_id": f"i{offset % 3}"}}).encode()
    return LoggedEvent(0, offset, T + offset, decode(raw, T + offset), False, raw)


@pytest.fixture
def client(redis_server: str) -> Client:
    return connect(redis_server)


@pytest.fixture
def log(tmp_path: Path, client: Client) -> EventLog:
    """Forty events of five customers, folded."""
    log = EventLog(tmp_path)
    source = log.source("import.a.p1")
    append_events(source, 0, 0, 40, [row(n, f"u{n % 5}") for n in range(40)])
    restore_source(client, source, BUCKETS)
    return log


def compare(client: Client, log: EventLog, **options: Any) -> Report:
    return reconcile(client, log, BUCKETS, FEATURES, T + 60_000, **options)


def key(customer: str) -> str:
    return state_key(bucket_of_customer(customer, BUCKETS), FEATURES.generation, customer)


def test_a_state_that_is_right_is_left_alone(client: Client, log: EventLog) -> None:
    Merger(client, BUCKETS, FEATURES).merge()
    before = {name: client.dump(name) for name in client.keys(f"*{FEATURES.generation}*")}
    found = compare(client, log)
    assert (found.customers, found.wrong, found.repaired, found.items) == (5, 0, 0, 0)
    assert {name: client.dump(name) for name in client.keys(f"*{FEATURES.generation}*")} == before


def test_what_is_missing_is_found_and_put_back(client: Client, log: EventLog) -> None:
    right = client.get(key("u:u1"))
    client.delete(key("u:u1"))
    found = compare(client, log)
    assert (found.missing, found.unexpected, found.different, found.repaired) == (1, 0, 0, 1)
    assert found.features["views_1h"] == 1
    assert client.get(key("u:u1")) == right


def test_what_says_something_else_is_found_by_feature_and_put_right(client: Client, log: EventLog) -> None:
    right = client.get(key("u:u1"))
    client.set(key("u:u1"), client.get(key("u:u2")) or b"")
    found = compare(client, log)
    assert (found.different, found.repaired) == (1, 1)
    assert found.features["last_seen"] == 1
    assert found.features["views_30d"] == 0
    assert client.get(key("u:u1")) == right


def test_somebody_whom_the_log_does_not_know_is_taken_away(client: Client, log: EventLog) -> None:
    client.set(key("u:nobody"), client.get(key("u:u2")) or b"")
    found = compare(client, log)
    assert (found.unexpected, found.repaired) == (1, 1)
    assert not client.exists(key("u:nobody"))


def test_without_repair_it_only_counts(client: Client, log: EventLog) -> None:
    client.delete(key("u:u1"))
    found = compare(client, log, repair=False)
    assert (found.wrong, found.repaired) == (1, 0)
    assert not client.exists(key("u:u1"))


def tile(client: Client) -> tuple[str, bytes]:
    """Where a bucket keeps a tile of items, and a field of it."""
    key = sorted(client.scan_iter(match=f"{{b:*}}:{FEATURES.generation}:t:*"))[0].decode()
    return key, sorted(field for field in client.hkeys(key) if field.endswith(b":i1"))[0]


def item_views(client: Client) -> int:
    found: int = item_features(client, FEATURES, ["i1"], ["item_views_1h"], T + 60_000)["i1"]["item_views_1h"]
    return found


@pytest.mark.parametrize("harm", ["too much", "too little", "a field gone", "a tile gone", "a field too many"])
def test_an_item_whose_sums_are_not_what_the_log_says_is_found_and_put_right(
    client: Client, log: EventLog, harm: str
) -> None:
    Merger(client, BUCKETS, FEATURES).merge()
    where, name = tile(client)
    copies = {key: client.get(key) for key in client.scan_iter(match=f"i:{FEATURES.generation}:*")}
    right = client.hgetall(where)
    if harm == "too much":
        client.hincrby(where, name, 5)
    elif harm == "too little":
        client.hincrby(where, name, -1)
    elif harm == "a field gone":
        client.hdel(where, name)
    elif harm == "a tile gone":
        client.delete(where)
    else:
        client.hset(where, name.replace(b":i1", b":i9"), 3)
    found = compare(client, log, repair=False)
    about = {place_of(FEATURES, field.decode()).item for field in right}
    assert (found.wrong, found.items) == (0, len(about) if harm == "a tile gone" else 1)
    assert compare(client, log).items == found.items
    assert compare(client, log).items == 0
    assert {field: value for field, value in client.hgetall(where).items() if value != b"0"} == right
    assert {key: client.get(key) for key in copies} == copies


def test_a_read_copy_of_an_item_that_was_spoilt_is_summed_anew(client: Client, log: EventLog) -> None:
    Merger(client, BUCKETS, FEATURES).merge()
    assert item_views(client) == 13  # of 40 events on three items
    client.set(item_key(FEATURES.generation, "i1"), client.get(item_key(FEATURES.generation, "i0")) or b"")
    assert item_views(client) == 14
    compare(client, log)
    assert item_views(client) == 13


def test_an_event_that_came_by_two_sources_is_counted_once_for_its_item(client: Client, log: EventLog) -> None:
    again = log.source("events.b.p1")
    append_events(again, 0, 0, 40, [row(n, f"u{n % 5}") for n in range(40)])
    restore_source(client, again, BUCKETS)
    assert compare(client, log).items == 0


def test_a_bucket_goes_on_after_its_tiles_were_repaired(client: Client, log: EventLog) -> None:
    client.hincrby(*tile(client), 5)
    compare(client, log)
    source = log.source("import.a.p1")
    append_events(source, 0, 40, 41, [row(40, "u1")])
    assert restore_source(client, source, BUCKETS) == 1
    found = compare(client, log)
    assert (found.wrong, found.items) == (0, 0)
    assert item_views(client) == 14


def test_in_the_midst_of_traffic_nothing_is_wrong(world: World) -> None:
    found: list[Report] = []
    over = threading.Event()

    def look() -> None:
        client, log = connect(world.settings.redis), EventLog(world.settings.data)
        while not over.is_set():
            found.append(reconcile(client, log, world.settings.buckets, FEATURES, ARRIVED, repair=False))

    world.pour(seed=90, count=600)
    thread = threading.Thread(target=look)
    thread.start()
    world.pump(batch=30)
    until = time.monotonic() + 120
    while not (found and found[-1].customers) and time.monotonic() < until:
        time.sleep(0.05)
    over.set()
    thread.join()
    assert found[-1].customers > 20
    assert {(report.wrong, report.items) for report in found} == {(0, 0)}


def test_events_that_the_state_is_not_to_reflect_yet_are_no_difference(client: Client, log: EventLog) -> None:
    append_events(log.source("import.a.p1"), 0, 40, 50, [row(n, "u1") for n in range(40, 50)])
    assert compare(client, log).wrong == 0


def test_a_repair_lets_the_stream_go_on_where_it_was(client: Client, log: EventLog) -> None:
    bucket = bucket_of_customer("u:u1", BUCKETS)
    meta = meta_key(bucket, FEATURES.generation)
    before = client.hget(meta, "next:import.a.p1")
    client.delete(key("u:u1"))
    compare(client, log)
    assert client.hget(meta, "next:import.a.p1") == before
    source = log.source("import.a.p1")
    append_events(source, 0, 40, 41, [row(40, "u1")])
    assert restore_source(client, source, BUCKETS) == 1
    profile = Profile([client.get(key("u:u1"))])  # type: ignore[list-item]
    assert profile.features(T + 60_000, ["views_1h"]) == {"views_1h": 9}


def test_states_without_an_event_since_are_taken_away_and_come_back_with_the_next_event(
    client: Client, log: EventLog
) -> None:
    append_events(log.source("import.a.p1"), 0, 40, 41, [row(40, "u1")])
    restore_source(client, log.source("import.a.p1"), BUCKETS)
    found = compare(client, log, expire_before=T + 40)
    assert (found.wrong, found.expired) == (0, 4)
    assert [bool(client.exists(key(f"u:u{n}"))) for n in range(5)] == [False, True, False, False, False]
    assert compare(client, log, expire_before=T + 40).customers == 1
    append_events(log.source("import.a.p1"), 0, 41, 42, [row(41, "u2")])
    restore_source(client, log.source("import.a.p1"), BUCKETS)
    assert compare(client, log, expire_before=T + 40).different == 1
    profile = Profile([client.get(key("u:u2"))])  # type: ignore[list-item]
    assert profile.features(T + 60_000, ["views_1h"]) == {"views_1h": 9}


def test_the_report_is_kept_without_the_ids_of_customers(client: Client, log: EventLog, tmp_path: Path) -> None:
    client.delete(key("u:u1"))
    keep_report(tmp_path, compare(client, log), T)
    kept = (tmp_path / "reconcile.json").read_text()
    assert json.loads(kept)["missing"] == 1
    assert "u1" not in kept


def test_the_keys_of_redis_are_looked_through_once_for_all_buckets(client: Client, log: EventLog) -> None:
    client.config_resetstat()
    assert compare(client, log).wrong == 0
    assert client.info("commandstats")["cmdstat_scan"]["calls"] == 2  # customers, then items, 5,000 keys at a time
