"""The running service over HTTP: slates and what is true of every one of them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.events import iso
from tests.serving.world import Json, World, any_item, bearer, error, eventually, ids, now, ok, promoted, train

BUILT_IN = {"/livez", "/healthz", "/docs.json", "/schema.json"}


def hold(shop: World, asked: Json, slate: Json) -> None:
    """What is true of every slate."""
    assert set(slate) == {"request_id", "items", "model", "experiment", "as_of", "degraded"}
    found, scores = ids(slate), [entry["score"] for entry in slate["items"]]
    assert len(found) == len(set(found)) <= asked.get("n", 10)
    assert [entry["rank"] for entry in slate["items"]] == list(range(1, len(found) + 1))
    order = [(-score, item_id) for score, item_id in zip(scores, found, strict=True)]
    assert order == sorted(order)
    assert not set(found) & set(asked.get("exclude", ()))
    limits = asked.get("filter", {})
    for item_id in found:
        item = shop.items[item_id]
        assert item.get("in_stock", True)
        assert not limits.get("category") or item.get("category") in limits["category"]
        assert limits.get("max_price") is None or item["price"] <= limits["max_price"]
    if len(found) < asked.get("n", 10):
        assert set(found) >= {item_id for item_id in shop.items if permits(asked, shop.items[item_id])}
    assert all(entry["reasons"] and entry["source"] for entry in slate["items"])
    assert slate["degraded"] == []


def permits(asked: Json, item: Json) -> bool:
    """Whether a slate for somebody who has bought nothing may show the item."""
    limits = asked.get("filter", {})
    cheap = limits.get("max_price") is None or item.get("price", 1e12) <= limits["max_price"]
    wanted = not limits.get("category") or item.get("category") in limits["category"]
    return cheap and wanted and item.get("in_stock", True) and item["item_id"] not in asked.get("exclude", ())


def test_a_slate_has_the_shape_of_the_contract(shop: World) -> None:
    slate = shop.recommend(user_id="somebody", n=7)
    hold(shop, {"n": 7}, slate)
    assert len(slate["items"]) == 7
    assert slate["model"] == {"name": "als", "version": slate["model"]["version"]}
    assert slate["experiment"] is None
    assert set(slate["items"][0]) == {"item_id", "score", "rank", "reasons", "source"}


def test_an_unknown_customer_gets_the_trending_list(shop: World, customer: str) -> None:
    slate = shop.recommend(user_id=customer)
    assert len(slate["items"]) == 10
    assert {entry["source"] for entry in slate["items"]} == {"trending"}
    assert slate["items"][0]["reasons"] == [{"kind": "trending"}]
    assert slate["as_of"] is None


def test_a_history_alone_serves_a_stateless_client_and_is_named_as_the_reason(shop: World) -> None:
    seen = any_item(shop)["item_id"]
    slate = shop.recommend(history=[{"item_id": seen, "timestamp": "2026-01-02T03:04:05Z"}], n=5)
    assert slate["items"][0]["reasons"] == [{"kind": "because_you_viewed", "item_id": seen}]
    assert slate["items"][0]["source"] == "als"
    assert slate["as_of"] == "2026-01-02T03:04:05.000Z"
    assert seen not in ids(slate)


def test_an_empty_history_is_a_new_visitor(shop: World) -> None:
    assert {entry["source"] for entry in shop.recommend(history=[])["items"]} == {"trending"}


def test_a_hundred_items_are_given_and_no_more(shop: World) -> None:
    slate = shop.recommend(history=[], n=100)
    hold(shop, {"n": 100}, slate)
    assert len(slate["items"]) == 100


def test_nothing_excluded_or_outside_of_the_filter_is_shown(shop: World) -> None:
    category = any_item(shop)["category"]
    first = ids(shop.recommend(history=[], n=3, filter={"category": [category]}))
    asked = {"history": [], "n": 100, "exclude": first, "filter": {"category": [category], "max_price": 60}}
    slate = shop.recommend(**asked)
    hold(shop, asked, slate)
    assert slate["items"]


def test_a_category_that_nothing_is_in_gives_an_empty_slate(shop: World) -> None:
    assert shop.recommend(history=[], filter={"category": ["none such"]})["items"] == []


def test_a_category_of_the_whole_shop_has_all_of_its_items_in_the_slate(shop: World) -> None:
    asked = {"history": [], "n": 100, "filter": {"category": [any_item(shop)["category"]]}}
    assert set(ids(shop.recommend(**asked))) == {key for key, item in shop.items.items() if permits(asked, item)}


def test_a_live_event_changes_the_slate_once_after_names_it(shop: World, customer: str) -> None:
    seen = any_item(shop)["item_id"]
    shop.view(customer, seen)
    eventually(lambda: shop.recommend(user_id=customer), lambda slate: slate["as_of"] is not None)
    before = now()
    last = shop.view(customer, seen, "Product Added")
    slate = eventually(lambda: shop.recommend(user_id=customer, after=last), lambda slate: not slate["degraded"])
    assert slate["items"][0]["reasons"] == [{"kind": "because_you_added", "item_id": seen}]
    assert slate["as_of"] >= iso(before)


def test_after_an_event_that_never_comes_says_so(shop: World, customer: str) -> None:
    assert shop.recommend(user_id=customer, after="never-sent")["degraded"] == ["after"]
    assert shop.recommend(history=[], after="never-sent")["degraded"] == ["after"]


def test_what_was_bought_is_not_shown_again(shop: World, customer: str) -> None:
    item = any_item(shop)
    asked = {"n": 100, "filter": {"category": [item["category"]]}}
    assert item["item_id"] in ids(shop.recommend(user_id=customer, **asked))
    order = {
        "order_id": "o1",
        "currency": "GBP",
        "products": [{"product_id": item["item_id"], "price": 5, "quantity": 1}],
    }
    last = shop.track(userId=customer, event="Order Completed", properties=order)
    eventually(lambda: shop.recommend(user_id=customer, after=last), lambda slate: not slate["degraded"])
    assert item["item_id"] not in ids(shop.recommend(user_id=customer, **asked))


def test_an_item_that_goes_out_of_stock_leaves_slates_and_one_that_comes_back_returns(shop: World) -> None:
    item = {"item_id": "fresh-1", "title": "Kite", "category": "kites", "price": 12.5, "currency": "GBP"}
    shop.upsert(**item)
    assert ids(shop.recommend(history=[], filter={"category": ["kites"], "max_price": 12.5})) == ["fresh-1"]
    assert ids(shop.recommend(history=[], filter={"category": ["kites"], "max_price": 12.49})) == []
    shop.upsert(**item, in_stock=False)
    shop.upsert(**item, in_stock=True)
    shop.upsert(**item, in_stock=False)


def test_similar_items_name_the_item_they_are_like(shop: World) -> None:
    item = ids(shop.recommend(history=[{"item_id": any_item(shop)["item_id"]}], n=1))[0]
    slate = ok(shop.post("/similar", {"item_id": item, "n": 5, "exclude": [any_item(shop)["item_id"]]}))
    hold(shop, {"n": 5, "exclude": [item, any_item(shop)["item_id"]]}, slate)
    assert slate["items"][0]["reasons"] == [{"kind": "similar_to", "item_id": item}]
    assert len(slate["items"]) == 5


def test_an_item_that_no_model_knows_still_gets_a_full_slate_of_similar_ones(shop: World) -> None:
    slate = ok(shop.post("/similar", {"item_id": "none such", "n": 100}))
    hold(shop, {"n": 100}, slate)
    assert len(slate["items"]) == 100


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"user_id": "u", "n": 0}, "n"),
        ({"user_id": "u", "n": 10_000}, "n"),
        ({"user_id": "u", "n": "ten"}, "n"),
        ({"user_id": "u", "color": "red"}, "color"),
        ({"n": 3}, "user_id"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": "u", "exclude": ["x"] * 1_001}, "exclude"),
        ({"history": [{"item_id": "x"}] * 201}, "history"),
        ({"history": [{"item": "x"}]}, "history[0].item"),
        ({"history": [{"item_id": "x", "timestamp": "yesterday"}]}, "history[0].timestamp"),
        ({"user_id": "u", "filter": {"max_price": -1}}, "filter.max_price"),
        ({"user_id": "u", "filter": {"colour": "red"}}, "filter.colour"),
        ([], "body"),
    ],
)
def test_a_bad_request_names_the_field(shop: World, body: object, field: str) -> None:
    assert error(shop.post("/recommend", body), 400, field)


NO_JSON = [b"", b"no json", b'{"item_id": ', b"\xff\xfe", b'{"item_id": "\\ud800"}', b'{"item_id": "\xff"}']


@pytest.mark.parametrize("body", [*NO_JSON, b"[" * 5_000])
def test_a_body_that_is_no_json_is_a_bad_request(shop: World, body: bytes) -> None:
    for path in ("/recommend", "/similar", "/v1/track", "/v1/batch", "/v1/items"):
        error(shop.client.post(path, content=body, headers=bearer(shop.secret)), 400, "body")


def test_a_body_of_300_kilobytes_is_refused(shop: World) -> None:
    body = json.dumps({"user_id": "u", "placement": "x" * 300_000}).encode()
    message = error(shop.client.post("/recommend", content=body, headers=bearer(shop.secret)), 400, "body")
    assert "262144" in message


ITEM_ID = st.sampled_from([f"sku-{number:05d}" for number in range(30)] + ["none such"])
EVENT = st.sampled_from(["Product Viewed", "Product Added", "Order Completed", "Order Refunded", "Something Else"])
REQUESTS = st.fixed_dictionaries(
    {"history": st.lists(st.fixed_dictionaries({"item_id": ITEM_ID}, optional={"event": EVENT}), max_size=20)},
    optional={
        "n": st.integers(1, 100),
        "user_id": st.sampled_from(["somebody", "ü" * 200, "a b/c\n*"]),
        "item_id": ITEM_ID,
        "placement": st.text(max_size=50),
        "context": st.dictionaries(st.text(max_size=5), st.one_of(st.none(), st.booleans(), st.text(max_size=5))),
        "exclude": st.lists(ITEM_ID, max_size=20),
        "filter": st.fixed_dictionaries(
            {}, optional={"category": st.just(["garden"]), "max_price": st.floats(0, 1e9), "in_stock": st.booleans()}
        ),
    },
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = ["user_id", "n", "history", "item_id", "filter", "exclude", "after", "context", "batch", "items", "event"]
NAMES += ["userId", "anonymousId", "properties", "type", "timestamp", "sentAt", "messageId", "writeKey", "products"]


@settings(max_examples=60, deadline=None)
@given(asked=REQUESTS)
def test_whatever_is_asked_the_invariants_hold(shop: World, asked: Json) -> None:
    hold(shop, asked, shop.recommend(**asked))


@settings(max_examples=60, deadline=None)
@given(body=st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=5))
def test_no_body_breaks_the_service(shop: World, body: Json) -> None:
    for path in ("/recommend", "/similar", "/v1/track", "/v1/identify", "/v1/batch", "/v1/items"):
        response = shop.post(path, {"after": None, **body} if path == "/recommend" else body)
        assert response.status_code in {200, 400}, (path, response.text)


def test_a_promoted_version_is_followed_without_a_restart(shop: World) -> None:
    before = shop.recommend(history=[])["model"]["version"]
    second = train(shop.settings)
    assert promoted(shop.settings, second).promoted
    eventually(lambda: shop.recommend(history=[])["model"]["version"], lambda version: version == second)
    assert second != before


def test_a_get_answers_as_a_post_does(shop: World, customer: str) -> None:
    path, key = f"/recommend?user_id={customer}", bearer(shop.secret)
    slate = ok(shop.client.get(f"{path}&n=3&max_price=60&exclude=sku-00001", headers=key))
    hold(shop, {"n": 3, "filter": {"max_price": 60}, "exclude": ["sku-00001"]}, slate)
    error(shop.client.get(f"{path}&size=3", headers=key), 400, "size")


def test_given_items_are_ordered_for_a_customer(shop: World, customer: str) -> None:
    last = shop.view(customer, some := any_item(shop)["item_id"])
    asked = {"user_id": customer, "item_ids": ["none such", *sorted(shop.items)[:20], some], "after": last}
    found = ids(ok(shop.post("/rank", asked)))
    assert sorted(found) == sorted(set(asked["item_ids"]))
    assert found[-1] == "none such"


def test_a_key_of_the_scope_debug_sees_the_whole_way(shop: World, customer: str) -> None:
    _, token = shop.keys.issue("secret", ("recommend", "debug"), "why", now())
    slate = ok(shop.post("/recommend", {"user_id": customer, "debug": True}, token))
    assert [each["name"] for each in slate["debug"]["models"]] == ["als"]
    assert {"candidates", "actions"} <= set(slate["debug"]["stages"])
