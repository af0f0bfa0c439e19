"""Parity looks at a sample of customers, and sees a state, a reader or a log that tells another story."""

import json
from pathlib import Path

import pytest

from features.definitions import FEATURES
from features.events import decode, iso
from features.offline import EventLog, LoggedEvent, append_events
from features.online import Client, connect
from features.online.state import bucket_of_customer, state_key
from features.profiles import Profile
from features.settings import Settings
from pipelines.backfill import restore_source
from pipelines.parity import parity

T = 1_767_225_600_000
NOW = T + 60_000
BUCKETS = 8
NAMES = ("Product Viewed", "Product Added", "Order Completed", "page")


def row(offset: int, customer: str) -> LoggedEvent:
    name = NAMES[offset % len(NAMES)]
    line = {"product_id": f"i{offset % 3}", "price": 1.1 * offset, "quantity": 2, "category": f"c{offset % 2}"}
    order = {"order_id": f"o{offset}", "currency": "GBP", "products": [line]}
    sent = {"type": "page"} if name == "page" else {"type": "track", "event": name}
    sent |= {"userId": customer, "messageId": f"m{offset}", "timestamp": iso(T + offset)}
    raw = json.dumps(sent | {"properties": order if name.startswith("Order") else line}).encode()
    return LoggedEvent(0, offset, T + offset, decode(raw, T + offset), False, raw)


@pytest.fixture
def client(redis_server: str) -> Client:
    return connect(redis_server)


@pytest.fixture
def shop(tmp_path: Path, redis_server: str, client: Client) -> Settings:
    """A hundred and twenty events of twenty customers, folded."""
    source = EventLog(tmp_path).source("import.a.p1")
    append_events(source, 0, 0, 120, [row(n, f"u{n % 20}") for n in range(120)])
    restore_source(client, source, BUCKETS)
    return Settings(tmp_path, redis=redis_server, buckets=BUCKETS)


def key(customer: str) -> str:
    return state_key(bucket_of_customer(customer, BUCKETS), FEATURES.generation, customer)


def test_customers_whose_live_state_is_what_the_log_says_do_not_differ(shop: Settings) -> None:
    found = parity(shop, 1_000, NOW)
    assert (found.customers, found.differing, found.states, found.share) == (20, 0, 0, 1.0)


def test_a_corrupted_state_is_seen_with_the_features_that_it_falsifies(shop: Settings, client: Client) -> None:
    client.set(key("u:u1"), client.get(key("u:u2")) or b"")
    found = parity(shop, 1_000, NOW)
    assert (found.customers, found.differing, found.states, found.share) == (20, 1, 1, 0.95)
    assert found.features["last_seen"] == 1


def test_a_state_that_is_missing_and_one_too_many_are_seen(shop: Settings, client: Client) -> None:
    client.set(key("u:nobody"), client.get(key("u:u2")) or b"")
    client.delete(key("u:u1"))
    found = parity(shop, 1_000, NOW)
    assert (found.customers, found.differing) == (21, 2)


def test_a_reader_that_tells_another_story_than_frames_is_seen_though_states_are_right(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Profile.features
    monkeypatch.setattr(Profile, "features", lambda *asked: right(*asked) | {"views_1h": 99})
    found = parity(shop, 1_000, NOW)
    assert (found.differing, found.states, found.features) == (20, 0, {"views_1h": 20})


def test_a_sample_is_no_larger_than_asked_for_and_the_same_for_the_same_moment(shop: Settings, client: Client) -> None:
    client.delete(key("u:u1"))
    some = [parity(shop, 5, now) for now in (NOW, NOW, NOW + 1, NOW + 2, NOW + 3, NOW + 4)]
    assert {found.customers for found in some} == {5}
    assert some[0] == some[1]
    assert {found.differing for found in some} == {0, 1}  # chance may leave the missing one out


def test_events_that_the_state_is_not_to_reflect_yet_are_no_difference(shop: Settings) -> None:
    append_events(EventLog(shop.data).source("import.a.p1"), 0, 120, 130, [row(n, "u1") for n in range(120, 130)])
    assert parity(shop, 1_000, NOW).differing == 0


def test_customers_that_reconciliation_has_let_go_of_are_not_looked_at(shop: Settings, client: Client) -> None:
    client.delete(key("u:u1"))
    assert parity(shop, 1_000, NOW, expire_before=T + 102).differing == 0  # u1 came last with event 101
    assert parity(shop, 1_000, NOW, expire_before=T + 101).differing == 1


def test_of_nobody_nothing_differs(redis_server: str, tmp_path: Path) -> None:
    found = parity(Settings(tmp_path, redis=redis_server, buckets=BUCKETS), 1_000, NOW)
    assert (found.customers, found.share) == (0, 1.0)
