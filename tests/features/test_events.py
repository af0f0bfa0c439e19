"""Events: what is taken, what is refused with its field, and when it is said to have happened."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.decoded import from_events
from features.errors import MalformedEvent
from features.events import (
    ALIASES,
    EVENTS,
    FILE_ALIASES,
    MAX_LINES,
    canonical,
    customer_of,
    decode,
    partition_key,
    stamp,
)

NOW = 1_767_225_600_000  # 2026-01-01T00:00:00Z
DAY = 86_400_000


def track(name: str = "Product Viewed", **fields: Any) -> dict[str, Any]:
    return {"type": "track", "userId": "u1", "event": name, "properties": {"product_id": "i1"}} | fields


def order(*lines: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return track("Order Completed", properties={"order_id": "o1", "currency": "GBP", "products": lines} | properties)


def raw(message: object) -> bytes:
    return json.dumps(message).encode()


def nested(depth: int) -> bytes:
    return b'{"type":"track","userId":"u1","event":"x","properties":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (b"", "event"),
        (b"nonsense", "event"),
        (b"[]", "event"),
        (b"null", "event"),
        (b'{"type":"track","userId":"u1","event":"x","properties":{"a":"\xff"}}', "event"),
        (b'{"type":"track","userId":"\\ud800","event":"x"}', "event"),
        (b'{"type":"track","userId":"u1","event":"x","properties":{"a":"\\udfff"}}', "event"),
        (nested(50_000), "event"),
        (raw(track(context={"a": "x" * 300_000})), "event"),
        (raw({"userId": "u1"}), "type"),
        (raw(track(type="purchase")), "type"),
        (raw(track(type=None)), "type"),
        (raw(track(userId=None)), "userId"),
        (raw(track(userId="")), "userId"),
        (raw(track(userId="x" * 256)), "userId"),
        (raw(track(userId=1.5)), "userId"),
        (raw(track(userId=10**30)), "userId"),
        (raw(track(anonymousId=[])), "anonymousId"),
        (raw(track(messageId="")), "messageId"),
        (raw(track(messageId=7)), "messageId"),
        (raw(track(event=None)), "event"),
        (raw(track(event="")), "event"),
        (raw(track(event="x" * 256)), "event"),
        (raw(track(timestamp="yesterday")), "timestamp"),
        (raw(track(timestamp=NOW)), "timestamp"),
        (raw(track(timestamp="1969-12-31T23:59:59Z")), "timestamp"),
        (raw(track(timestamp="0001-01-01T00:00:00+23:59")), "timestamp"),
        (raw(track(timestamp="9999-12-31T23:59:59-23:59")), "timestamp"),
        (raw(track(timestamp="2026-01-02T00:00:00.001Z")), "timestamp"),
        (raw(track(receivedAt="9999-01-01T00:00:00Z")), "receivedAt"),
        (raw(track(receivedAt="1960-01-01T00:00:00Z")), "receivedAt"),
        (raw(track(properties=[])), "properties"),
        (raw(track(properties={})), "properties.product_id"),
        (raw(track(properties={"product_id": ""})), "properties.product_id"),
        (raw(track(properties={"product_id": 1.5})), "properties.product_id"),
        (raw(track(properties={"product_id": "i", "price": -0.01})), "properties.price"),
        (raw(track(properties={"product_id": "i", "price": "cheap"})), "properties.price"),
        (raw(track(properties={"product_id": "i", "price": "nan"})), "properties.price"),
        (raw(track(properties={"product_id": "i", "price": "1e400"})), "properties.price"),
        (raw(track(properties={"product_id": "i", "quantity": 0})), "properties.quantity"),
        (raw(track(properties={"product_id": "i", "quantity": "nan"})), "properties.quantity"),
        (raw(track(properties={"product_id": "i", "currency": 7})), "properties.currency"),
        (raw(order({"product_id": "i"}, {"product_id": "i", "quantity": -1})), "properties.products[1].quantity"),
        (raw(order({"product_id": "i", "price": 2e9})), "properties.products[0].price"),
        (raw(order(total="much")), "properties.total"),
        (raw(order(revenue="nan")), "properties.revenue"),
        (raw(order(discount=[])), "properties.discount"),
        (raw(order(shipping=2e12)), "properties.shipping"),
        (raw(order(tax={})), "properties.tax"),
        (raw(order(coupon=7)), "properties.coupon"),
        (raw(order({"product_id": "i", "brand": 7})), "properties.products[0].brand"),
        (raw(track(properties={"product_id": "i", "variant": []})), "properties.variant"),
        (raw(track(traits=[])), "traits"),
        (raw(order(order_id=None)), "properties.order_id"),
        (raw(track("Order Refunded", properties={})), "properties.order_id"),
        (raw(order(products={"product_id": "i"})), "properties.products"),
        (raw(order(*[{"product_id": "i"}] * (MAX_LINES + 1))), "properties.products"),
    ],
)
def test_a_malformed_event_is_refused_with_the_field_that_is_wrong(message: bytes, field: str) -> None:
    with pytest.raises(MalformedEvent) as refused:
        decode(message, NOW)
    assert refused.value.field == field
    assert len(str(refused.value)) > 10


def assert_named(error: MalformedEvent) -> None:
    assert error.field


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_malformed_event(data: bytes) -> None:
    try:
        decode(data, NOW)
    except MalformedEvent as error:
        assert_named(error)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["nan", "1"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
lines = st.dictionaries(
    st.sampled_from(["product_id", "sku", "name", "category", "price", "quantity"]), values, max_size=6
)
messages = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "identify", "page"]) | values, "userId": st.just("u1") | values},
    optional={
        "event": st.sampled_from(sorted(EVENTS)) | values,
        "anonymousId": values,
        "messageId": values,
        "timestamp": values | st.datetimes().map(str),
        "originalTimestamp": st.datetimes().map(str),
        "sentAt": values | st.datetimes().map(str),
        "properties": values
        | lines
        | st.fixed_dictionaries({"products": st.lists(lines, max_size=3)}, optional={"order_id": values}),
        "context": values,
    },
)


@given(messages)
def test_a_message_is_malformed_or_has_columns(message: dict[str, Any]) -> None:
    try:
        event = decode(json.dumps(message).encode(), NOW)
    except MalformedEvent as error:
        assert_named(error)
        return
    assert from_events([event], [NOW]).customer.texts() == [event.customer]


@given(messages, st.none() | st.text(max_size=30) | st.datetimes().map(str))
def test_stamping_raises_nothing_but_a_malformed_event(message: dict[str, Any], sent_at: str | None) -> None:
    try:
        written, event = stamp(message, None, NOW, sent_at, "key1")
    except MalformedEvent as error:
        assert_named(error)
        return
    assert decode(written, NOW) == event
    assert 0 <= event.event_time <= event.received_at == NOW


def test_an_unknown_name_and_unknown_properties_are_kept() -> None:
    message = track("Carried Home", properties={"mood": {"now": ["good"]}}, colour="red")
    event = decode(raw(message), NOW)
    assert (event.name, event.lines) == ("Carried Home", ())
    written, _ = stamp(message, None, NOW, None, "key1")
    assert msgspec.json.decode(written).items() >= message.items()


def test_names_of_version_1_mean_what_they_mean_today() -> None:
    assert decode(raw(track("Viewed Product")), NOW).name == "Product Viewed"
    assert decode(raw(order() | {"event": "Completed Order"}), NOW).name == "Order Completed"
    assert {*ALIASES.values(), *FILE_ALIASES.values()} <= EVENTS.keys()
    assert canonical("click") == "click"  # a site's own event may be called so


def test_other_types_are_named_by_their_type() -> None:
    event = decode(raw({"type": "identify", "anonymousId": "a1", "userId": None, "traits": None}), NOW)
    assert (event.name, event.customer, event.user_id, event.anonymous_id) == ("identify", "a:a1", None, "a1")


def test_explicit_nulls_are_as_if_nothing_were_there() -> None:
    names = ["messageId", "anonymousId", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "context", "traits"]
    fields: dict[str, Any] = dict.fromkeys(names)
    with_nulls = decode(raw(track() | fields), NOW)
    without = decode(raw(track()), NOW)
    assert (with_nulls.customer, with_nulls.event_time) == (without.customer, without.event_time)
    assert with_nulls.context == without.context
    empty = dict.fromkeys(
        ["price", "quantity", "category", "brand", "variant", "name", "sku", "currency", "url", "image_url"]
    )
    assert decode(raw(track(properties={"product_id": "i1"} | empty)), NOW).properties == without.properties
    assert decode(raw(order(products=None)), NOW).lines == ()
    assert decode(raw(track("Unheard Of", properties=None)), NOW).lines == ()


def test_the_user_id_comes_before_the_anonymous_id() -> None:
    event = decode(raw(track(anonymousId="a1")), NOW)
    assert event.customer == customer_of("u1", "a1") == "u:u1"
    assert partition_key(event) == b"u1"
    assert customer_of("", "a1") == "a:a1"
    assert customer_of(None, None) == ""


def test_numeric_ids_become_strings_and_strings_stay_as_they_are() -> None:
    event = decode(raw(track(userId=12, properties={"product_id": 7})), NOW)
    assert (event.customer, [line.item_id for line in event.lines]) == ("u:12", ["7"])
    event = decode(raw(track(userId="007", properties={"product_id": "007"})), NOW)
    assert (event.customer, [line.item_id for line in event.lines]) == ("u:007", ["007"])


def test_an_item_is_known_by_its_product_id_and_else_by_its_sku() -> None:
    event = decode(raw(order({"product_id": "i1", "sku": "s1"}, {"sku": 2}, {"name": "postage"})), NOW)
    assert [line.item_id for line in event.lines] == ["i1", "2"]


@pytest.mark.parametrize(
    ("price", "quantity", "cents", "pieces"),
    [
        (0.29, None, 29, 1),
        ("19.99", "3", 5_997, 3),
        (1.005, 1, 100, 1),  # the nearest float lies below 1.005
        (None, 5, 0, 5),
        (2.0, 2.5, 500, 2),
        (2.0, 0.4, 80, 1),
        (1e9, 1e6, 10**17, 1_000_000),
    ],
)
def test_money_is_counted_in_whole_cents(price: object, quantity: object, cents: int, pieces: int) -> None:
    (line,) = decode(raw(order({"product_id": "i", "price": price, "quantity": quantity})), NOW).lines
    assert (line.cents("GBP"), line.pieces) == (cents, pieces)


@pytest.mark.parametrize(
    ("sent", "read"), [("gbp", "GBP"), ("EUR", "EUR"), ("", ""), (None, ""), ("€", ""), ("££££", "")]
)
def test_a_currency_is_three_capitals_or_none(sent: object, read: str) -> None:
    assert decode(raw(order(currency=sent)), NOW).currency == read
