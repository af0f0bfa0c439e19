"""The list of the features: what each means, who has it, how its values lie."""

import json
from pathlib import Path

import pytest

from features.definitions import FEATURES
from features.events import decode, iso
from features.offline import EventLog, LoggedEvent, append_events
from features.online import Client, connect, some_items
from features.online.tiles import item_key
from pipelines.backfill import restore_all
from pipelines.inventory import Row, definitions, distributions

T = 1_767_225_600_000
BUCKETS = 8


def viewed(offset: int, customer: str, item: str) -> LoggedEvent:
    sent = {"type": "track", "userId": customer, "event": "Product Viewed", "messageId": f"m{offset}"}
    raw = json.dumps(sent | {"timestamp": iso(T + offset), "properties": {"product_id": item}}).encode()
    return LoggedEvent(0, offset, T + offset, decode(raw, T + offset), False, raw)


@pytest.fixture
def client(redis_server: str, tmp_path: Path) -> Client:
    """Of four customers two have viewed: one thrice, one once; of two items."""
    names = ["u1", "u1", "u1", "u2", "u3", "u4"]
    rows = [viewed(at, name, f"i{at % 2}") for at, name in enumerate(names[:4])]
    rows += [
        LoggedEvent(0, at, T + at, decode(raw, T + at), False, raw)
        for at, name in enumerate(names[4:], 4)
        for raw in [json.dumps({"type": "page", "userId": name, "messageId": f"p{at}"}).encode()]
    ]
    append_events(EventLog(tmp_path).source("import.a.p1"), 0, 0, len(rows), rows)
    client = connect(redis_server)
    restore_all(client, tmp_path, BUCKETS)
    return client


def listed(client: Client, sample: int = 10, now: int = T + 60_000) -> dict[str, Row]:
    rows = distributions(client, BUCKETS, FEATURES, definitions(FEATURES), sample, now)
    return {row["name"]: row for row in rows}


def lies(row: Row) -> tuple[str, str]:
    return row["coverage"], row["distribution"]


def test_every_feature_has_a_definition_a_fingerprint_a_coverage_and_a_distribution(client: Client) -> None:
    found = listed(client)
    assert list(found) == list(FEATURES.features)
    assert all(row["definition"] and len(row["fingerprint"]) == 8 and row["coverage"] for row in found.values())
    assert all(bool(row["distribution"]) == (row["coverage"] != "0.0%") for row in found.values())


def test_coverage_is_the_share_of_customers_who_have_it(client: Client) -> None:
    found = listed(client)
    assert lies(found["views_7d"]) == ("50.0%", "1.1 .. 2 .. 2.9")  # of 1 and 3
    assert lies(found["since_event"])[0] == "100.0%"
    assert lies(found["category_affinity"]) == ("0.0%", "")


def test_features_of_items_are_looked_at_in_items_and_those_of_all_in_their_one_state(client: Client) -> None:
    found = listed(client)
    assert lies(found["item_views_7d"]) == ("100.0%", "2 .. 2 .. 2")  # both of those that were ever viewed
    assert lies(found["all_views_1h"]) == ("100.0%", "4 .. 4 .. 4")
    assert lies(listed(client, now=T + 86_400_000 * 8)["item_views_7d"]) == ("0.0%", "")


def test_a_sample_of_items_is_taken_evenly_and_is_no_larger_than_asked(client: Client) -> None:
    for item in ("i2", "i3"):
        client.set(item_key(FEATURES.generation, item), client.get(item_key(FEATURES.generation, "i0")) or b"")
    assert some_items(client, FEATURES, 10) == ["i0", "i1", "i2", "i3"]
    assert some_items(client, FEATURES, 2) == ["i0", "i2"]


@pytest.mark.parametrize(
    ("name", "definition"),
    [
        ("coupons_365d", "sum where coupon != '' of Order Completed 365d"),
        ("median_price_viewed_90d", "quantile of price at 0.5 of Product Viewed 90d"),
        ("last_viewed", "recent at most 10 of Product Viewed ever"),
        ("cart_rate_30d", "adds_30d / views_30d"),
        ("event_counts", "sum by event of all events ever"),
    ],
)
def test_a_definition_says_all_that_its_line_does(name: str, definition: str) -> None:
    assert {row["name"]: row["definition"] for row in definitions(FEATURES)}[name] == definition


def test_of_nobody_nothing_is_told(redis_server: str) -> None:
    found = listed(connect(redis_server))
    assert {row["coverage"] for row in found.values() if row["entity"] != "global"} == {""}
