"""The running service over HTTP: who may call, and what becomes of events and catalogue upserts."""

import gzip
import json
from functools import partial
from typing import Any

import httpx
import pytest
from segment.analytics.client import Client as Segment  # type: ignore[import-untyped]

from tests.serving.world import Json, Topic, World, bearer, error, eventually, ids, now, ok

FOREIGN = {"Origin": "https://shop.example"}


def view(customer: str, **more: object) -> Json:
    """A view of an item as the wire has it."""
    return {"userId": customer, "event": "Product Viewed", "properties": {"product_id": "sku-00001"}, **more}


def of(customer: str) -> Any:
    """Whether an event is this customer's."""
    return lambda event: customer in (event.get("userId"), event.get("anonymousId"))


def profile(shop: World, customer: str) -> Json:
    """The live profile as the demo's page shows it."""
    return ok(shop.client.get("/demo/profile", params={"user_id": customer}, headers=bearer(shop.secret)))


def test_an_event_is_in_kafka_once_acknowledged_and_soon_in_the_profile(
    shop: World, events: Topic, customer: str
) -> None:
    message_id = shop.view(customer, "sku-00001")
    event, record = events.find(of(customer))
    assert record.key == customer.encode()
    assert event["messageId"] == message_id
    assert {"type", "receivedAt", "timestamp", "keyId"} <= set(event)
    seen = eventually(lambda: profile(shop, customer), lambda found: found["events"])
    assert seen["counts"] == {"Product Viewed": 1}
    assert [entry["item_id"] for entry in seen["recent"]] == ["sku-00001"]


@pytest.mark.parametrize("kind", ["identify", "page", "screen", "group", "alias"])
def test_every_kind_of_message_is_taken(shop: World, events: Topic, customer: str, kind: str) -> None:
    assert ok(shop.post(f"/v1/{kind}", {"userId": customer, "previousId": "x"})) == {"success": True}
    assert events.find(of(customer))[0]["type"] == kind


def test_a_malformed_event_is_refused_with_its_field_and_kept_as_it_came(
    shop: World, dead_letters: Topic, customer: str
) -> None:
    sent = {"userId": customer, "event": "Product Added", "properties": {"price": 3, "odd": "kept"}}
    error(shop.post("/v1/track", sent), 400, "properties.product_id")
    kept, record = dead_letters.find(of(customer))
    assert kept == sent
    headers = dict(record.headers)
    assert b"needs a product_id" in (headers["kindred-reason"] or b"")
    assert headers["kindred-type"] == b"track"


def test_a_batch_with_one_bad_event_takes_the_rest_and_names_the_bad_one(
    shop: World, events: Topic, dead_letters: Topic, customer: str
) -> None:
    good = {"type": "track", **view(customer), "messageId": f"good-{customer}"}
    bad = {"type": "track", "userId": customer, "event": "Order Completed", "properties": {}}
    answer = ok(shop.post("/v1/batch", {"batch": [good, bad, "no event"]}))
    assert answer["success"] is True
    assert [(entry["index"], entry["field"]) for entry in answer["refused"]] == [
        (1, "properties.order_id"),
        (2, "event"),
    ]
    assert events.find(of(customer))[0]["messageId"] == good["messageId"]
    assert dead_letters.find(of(customer))[0] == bad


def test_a_batch_of_bad_events_only_is_refused(shop: World, dead_letters: Topic, customer: str) -> None:
    body = {"batch": [{"type": "track", "userId": customer}, {"type": "nonsense", "userId": customer}]}
    error(shop.post("/v1/batch", body), 400, "batch[0].event")
    assert dead_letters.find(lambda event: of(customer)(event) and event["type"] == "nonsense")


@pytest.mark.parametrize("batch", [None, [], {}, "x", [{"type": "track"}] * 2_501])
def test_what_is_no_batch_or_too_large_a_one_is_refused(shop: World, batch: object) -> None:
    error(shop.post("/v1/batch", {"batch": batch}), 400, "batch")


def test_the_time_of_a_batch_corrects_the_clock_of_its_sender(shop: World, events: Topic, customer: str) -> None:
    event = {"type": "track", **view(customer), "timestamp": "2031-01-01T00:00:00Z"}
    ok(shop.post("/v1/batch", {"batch": [event], "sentAt": "2031-01-01T00:00:10Z"}))
    found, _ = events.find(of(customer))
    assert found["timestamp"] < found["receivedAt"] < "2031"


@pytest.mark.parametrize("named", [True, False])
def test_a_gzip_body_is_unpacked_with_and_without_its_header(
    shop: World, events: Topic, customer: str, named: bool
) -> None:
    headers = bearer(shop.secret) | ({"Content-Encoding": "gzip"} if named else {})
    ok(shop.client.post("/v1/track", content=gzip.compress(json.dumps(view(customer)).encode()), headers=headers))
    assert events.find(of(customer))


def test_a_gzip_bomb_and_a_torn_gzip_are_refused(shop: World) -> None:
    whole = gzip.compress(json.dumps(view("x")).encode())
    for body in (gzip.compress(b" " * 100_000_000), whole[:-6], whole[:12] + b"broken" + whole[18:]):
        error(shop.client.post("/v1/track", content=body, headers=bearer(shop.secret)), 400, "body")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream"])
def test_json_is_taken_whatever_its_content_type_says(shop: World, customer: str, events: Topic, kind: str) -> None:
    body, headers = json.dumps(view(customer)).encode(), {"Content-Type": kind} | bearer(shop.secret)
    ok(shop.client.post("/v1/track", content=body, headers=headers))
    assert events.find(of(customer))


def test_a_write_key_comes_as_basic_user_in_the_body_or_in_the_query(shop: World, events: Topic, customer: str) -> None:
    """From another site, so that the demo's keyless calls don't count."""
    calls: list[dict[str, Any]] = [
        {"url": "/v1/track", "json": view(customer, messageId="a"), "auth": (shop.write, "")},
        {"url": "/v1/track", "json": view(customer, messageId="b", writeKey=shop.write)},
        {"url": f"/v1/track?writeKey={shop.write}", "json": view(customer, messageId="c")},
    ]
    for call in calls:
        ok(shop.client.post(**call, headers=FOREIGN))
    eventually(
        lambda: sorted(event["messageId"] for event in events.all(of(customer))), lambda found: found == [*"abc"]
    )
    assert not any("writeKey" in event for event in events.all(of(customer)))


def test_a_write_key_may_send_32_kilobytes_and_a_secret_key_more(shop: World, customer: str) -> None:
    large = view(customer, context={"note": "x" * 33_000})
    assert "32768" in error(shop.post("/v1/track", large, shop.write), 400, "event")
    assert ok(shop.post("/v1/track", large)) == {"success": True}
    error(shop.post("/v1/track", view(customer, context={"note": "x" * 300_000})), 400, "event")


def test_an_unchanged_segment_sdk_delivers(shop: World, events: Topic, customer: str) -> None:
    failed: list[object] = []
    host = str(shop.client.base_url).rstrip("/")
    sdk = Segment(shop.write, host=host, on_error=lambda error, _batch: failed.append(error), gzip=True)
    sdk.track(customer, "Product Viewed", {"product_id": "sku-00001"})
    sdk.identify(customer, {"plan": "gold"})
    sdk.flush()
    sdk.join()
    assert failed == []
    identified, _ = events.find(lambda event: of(customer)(event) and event["type"] == "identify")
    assert identified["traits"] == {"plan": "gold"}
    eventually(lambda: profile(shop, customer), lambda found: found["counts"] == {"Product Viewed": 1, "identify": 1})


def test_only_the_pages_of_a_key_s_own_sites_may_use_it_and_read_the_answer(shop: World, customer: str) -> None:
    _, token = shop.keys.issue("write", ("track",), "one site", 0, (FOREIGN["Origin"],))
    told = shop.post("/v1/track", view(customer), token, **FOREIGN)
    assert ok(told) == {"success": True}
    assert told.headers["access-control-allow-origin"] == FOREIGN["Origin"]
    refused = shop.post("/v1/track", view(customer), token, Origin="https://evil.example")
    assert "--origin" in error(refused, 403)
    assert "access-control-allow-origin" not in refused.headers


def test_a_page_of_another_site_may_track_with_a_write_key(shop: World, customer: str) -> None:
    asked = {**FOREIGN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    preflight = shop.client.options("/v1/track", headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == FOREIGN["Origin"]
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in preflight.headers
    sent = shop.post("/v1/track", view(customer), shop.write, **FOREIGN)
    assert ok(sent)
    assert sent.headers["access-control-allow-origin"] == FOREIGN["Origin"]
    refused = shop.client.post("/v1/track", json=view(customer), headers=FOREIGN)
    assert error(refused, 401)
    assert refused.headers["access-control-allow-origin"] == FOREIGN["Origin"]


def test_a_page_of_another_site_may_ask_for_slates_by_either_method(shop: World) -> None:
    for path, methods in (("/recommend", "POST, GET"), ("/rank", "POST"), ("/similar", "POST")):
        preflight = shop.client.options(path, headers={**FOREIGN, "Access-Control-Request-Method": "GET"})
        assert (preflight.status_code, preflight.headers["access-control-allow-methods"]) == (204, methods)
    told = shop.client.get("/recommend?anonymous_id=a", headers={**FOREIGN, **bearer(shop.write)})
    assert ok(told)["items"]
    assert told.headers["access-control-allow-origin"] == FOREIGN["Origin"]


@pytest.mark.parametrize("path", ["/webhooks/mlflow", "/metrics", "/readyz", "/demo/items", "/nothing"])
def test_no_page_of_another_site_may_read_what_is_none_of_its_business(shop: World, path: str) -> None:
    assert shop.client.options(path, headers=FOREIGN).status_code in {404, 405}
    assert "access-control-allow-origin" not in shop.client.get(path, headers=FOREIGN).headers


def test_an_item_that_is_wrong_is_named_and_none_is_taken(shop: World) -> None:
    rows: list[Json] = [{"item_id": f"half-{number}", "category": "half", "price": 1} for number in range(4)]
    rows[3]["price"] = "cheap"
    error(shop.post("/v1/items", {"items": rows}), 400, "items[3].price")
    error(shop.post("/v1/items", {"items": [{"item_id": "x", "url": "javascript:alert(1)"}]}), 400, "items[0].url")
    error(shop.post("/v1/items", {"items": [{"title": "nameless"}]}), 400, "items[0].item_id")
    wrong: tuple[Json, ...] = ({}, {"items": []}, {"items": rows * 251}, {"items": "x"})
    for body in wrong:
        error(shop.post("/v1/items", body), 400, "items")
    shop.upsert(item_id="half-after", category="half", price=1)
    assert ids(shop.recommend(history=[], filter={"category": ["half"]})) == ["half-after"]


def test_fifteen_hundred_items_at_once_are_all_shown(shop: World) -> None:
    rows = [{"item_id": f"bulk-{number:04d}", "category": f"bulk-{number // 100}"} for number in range(1_500)]
    for at in range(0, len(rows), 1_000):
        ok(shop.post("/v1/items", {"items": rows[at : at + 1_000]}))
    for shelf in range(15):
        asked = {"history": [], "n": 100, "filter": {"category": [f"bulk-{shelf}"]}}
        eventually(partial(shop.recommend, **asked), lambda slate: len(slate["items"]) == 100)
    gone = [{**row, "in_stock": False} for row in rows]
    for at in range(0, len(rows), 1_000):
        ok(shop.post("/v1/items", {"items": gone[at : at + 1_000]}))
    asked = {"history": [], "filter": {"category": [f"bulk-{shelf}" for shelf in range(15)]}}
    eventually(lambda: ids(shop.recommend(**asked)), lambda found: not found)


def test_a_caller_from_elsewhere_needs_a_key(shop: World) -> None:
    for headers in (
        FOREIGN,
        {"X-Forwarded-For": "192.0.2.1"},
        {"Forwarded": "for=192.0.2.1"},
        {"Host": "evil.example"},
    ):
        error(shop.client.post("/recommend", json={"history": []}, headers=headers), 401)
        error(shop.client.post("/v1/track", json=view("x"), headers=headers), 401)
        error(shop.client.get("/demo/customers", headers=headers), 401)


def test_the_demo_takes_calls_of_this_machine_without_a_key(shop: World) -> None:
    url = str(shop.client.base_url).rstrip("/")
    assert ok(shop.client.post("/recommend", json={"history": []}, headers={"Origin": url}))
    assert ok(httpx.post(url.replace("127.0.0.1", "localhost") + "/recommend", json={"history": []}))


@pytest.mark.parametrize(
    "authorization", ["Bearer sk_wrong", "Basic !!!", "Basic d2tfbm9uZTo=", "Bearer wk_" + "x" * 5_000]
)
def test_an_unknown_key_is_refused_even_on_this_machine(shop: World, authorization: str) -> None:
    headers = {"Authorization": authorization}
    error(shop.client.post("/recommend", json={"history": []}, headers=headers), 401)


def test_a_revoked_key_stops_at_once(shop: World) -> None:
    key, token = shop.keys.issue("secret", ("recommend",), "short-lived", now())
    assert ok(shop.post("/recommend", {"history": []}, token))
    shop.keys.revoke(key.id)
    error(shop.post("/recommend", {"history": []}, token), 401)


def test_a_write_key_sees_no_known_customer(shop: World) -> None:
    error(shop.post("/recommend", {"user_id": "somebody"}, shop.write), 403, "user_id")
    error(shop.post("/rank", {"user_id": "somebody", "item_ids": ["x"]}, shop.write), 403, "user_id")
    error(shop.client.get("/recommend?user_id=somebody", headers=bearer(shop.write)), 403, "user_id")
    assert ok(shop.post("/recommend", {"anonymous_id": "me"}, shop.write))
    for path in ("/demo/profile?user_id=somebody", "/demo/customers"):
        error(shop.client.get(path, headers=bearer(shop.write)), 403, "user_id")


def test_a_key_does_only_what_its_scopes_say(shop: World) -> None:
    error(shop.post("/v1/items", {"items": [{"item_id": "x"}]}, shop.write), 403)
    _, tracker = shop.keys.issue("secret", ("track",), "tracks only", now())
    error(shop.post("/recommend", {"history": []}, tracker), 403)
    error(shop.post("/similar", {"item_id": "x"}, tracker), 403)
    error(shop.post("/rank", {"history": [], "item_ids": ["x"]}, tracker), 403)
    error(shop.client.get("/recommend?history=", headers=bearer(tracker)), 403)
    for path, body in (
        ("/recommend", {"history": []}),
        ("/rank", {"history": [], "item_ids": ["x"]}),
        ("/similar", {"item_id": "x"}),
    ):
        assert "debug" in error(shop.post(path, {**body, "debug": True}), 403)


def test_the_demos_own_routes_answer_and_refuse_nonsense(shop: World) -> None:
    found = ok(shop.client.get("/demo/customers", params={"limit": "3"}))["customers"]
    assert len(found) == 3
    assert ok(shop.client.get("/demo/customers", params={"q": found[1]["user_id"]}))["customers"] == [found[1]]
    for limit in ("", "-1", "²", "9" * 5_000, "ten"):
        error(shop.client.get("/demo/customers", params={"limit": limit}), 400, "limit")
    assert (
        ok(shop.client.get("/demo/items", params={"ids": "sku-00001,none such"}))["items"][0]["item_id"] == "sku-00001"
    )
    assert profile(shop, "nobody at all")["events"] == 0
