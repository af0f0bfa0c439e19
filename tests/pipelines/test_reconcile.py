"""Reconciliation finds every kind of difference, repairs it, and leaves alone what is right."""

import json
from pathlib import Path
from typing import Any

import pytest

from features.definitions import FEATURES
from features.events import decode, iso
from features.offline import EventLog, LoggedEvent, append_events
from features.online import Client, connect
from features.online.state import bucket_of_customer, meta_key, state_key
from features.profiles import Profile
from pipelines.backfill import restore_source
from pipelines.reconcile import Report, keep_report, reconcile

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
    before = {name: client.dump(name) for name in client.keys(f"*{FEATURES.generation}*")}
    found = compare(client, log)
    assert (found.customers, found.wrong, found.repaired) == (5, 0, 0)
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
    assert client.info("commandstats")["cmdstat_scan"]["calls"] == 1  # of 5,000 keys at a time
