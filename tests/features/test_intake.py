"""Messages taken in one step say what they say event by event, and are refused for the same reasons."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from features.columns import Events
from features.decoded import from_events
from features.errors import MalformedEvent
from features.events import decode, iso
from features.intake import take_in
from tests.pipelines.traffic import ARRIVED, BASE, traffic

SENT: dict[str, Any] = {
    "type": "track",
    "event": "Product Viewed",
    "userId": "u",
    "messageId": "m",
    "timestamp": iso(BASE),
    "receivedAt": iso(BASE + 50),
    "properties": {"product_id": "i", "price": 1.5, "quantity": 2, "category": "garden", "currency": "gbp"},
}
ORDER = {"event": "Order Completed", "properties": {"order_id": 7, "total": 3, "coupon": "ten", "currency": "JPY"}}
ODD: tuple[dict[str, Any], ...] = (
    {}, {"userId": None, "anonymousId": "a"}, {"userId": "", "anonymousId": 5}, {"userId": 0}, {"userId": ""},
    {"userId": "x" * 256}, {"userId": True}, {"userId": "ü"}, {"messageId": None}, {"messageId": ""}, {"messageId": 5},
    {"type": "page", "event": None}, {"type": "page", "properties": {"price": "x"}}, {"type": "identify"},
    {"type": "dance"}, {"event": "page"}, {"event": "identify"}, {"event": ""}, {"event": None}, {"event": "e" * 256},
    {"event": "Viewed Product"}, {"event": "Unheard Of", "properties": {"products": 5}}, {"properties": None},
    {"properties": {}}, {"properties": {"sku": 5}}, {"properties": {"product_id": 0}},
    {"properties": {"product_id": ""}},
    {"properties": {"product_id": "i", "price": "1.5"}}, {"properties": {"product_id": "i", "price": -1}},
    {"properties": {"product_id": "i", "products": "none"}}, {"properties": {"product_id": "i\0"}},
    ORDER, ORDER | {"event": "Order Refunded"}, ORDER | {"properties": {"total": 3}},
    {"event": "Product List Viewed", "properties": {"products": [{"sku": "s"}, {}, {"product_id": 5, "price": 1}]}},
    {"event": "Order Completed", "properties": {"order_id": "o", "revenue": 5, "products": [{"product_id": "i"}] * 3}},
    {"event": "Order Completed", "properties": {"order_id": "o", "products": [{"product_id": "i"}] * 2_001}},
    {"timestamp": None}, {"timestamp": "2026-01-01T00:00:00"}, {"timestamp": "2026-01-01T00:00:00+02:00"},
    {"timestamp": "1969-12-31T00:00:00Z"}, {"timestamp": iso(BASE + 90_000_000)}, {"timestamp": iso(ARRIVED + 5)},
    {"receivedAt": None}, {"receivedAt": iso(ARRIVED + 90_000_000)}, {"receivedAt": "1960-01-01T00:00:00Z"},
    {"context": {"device": {"type": "Phone"}, "locale": "de-AT", "campaign": {"source": "mail"}}}, {"context": 5},
    {"context": {"device": 5}}, {"context": {"locale": "en_GB", "location": {"country": "fr"}}}, {"context": None},
    {"context": {"userAgent": "Mozilla (iPad)", "campaign": {"medium": "cpc"}}}, {"previousId": []}, {"traits": {}},
    {"keyId": "wk", "trusted": True}, {"keyId": "wk"}, {"keyId": None, "trusted": False}, {"traits": 5},
)  # fmt: skip


def assert_taken_alike(messages: Sequence[bytes], arrived: Sequence[int]) -> Events:
    events, available, rows, refused = [], [], [], []
    for at, (raw, moment) in enumerate(zip(messages, arrived, strict=True)):
        try:
            event = decode(raw, moment)
            events.append(event if moment > 0 else decode(raw, event.received_at))
            available.append(moment if moment > 0 else event.received_at)
            rows.append(at)
        except MalformedEvent as error:
            refused.append((at, str(error), error.field))
    taken = take_in(messages, arrived)
    assert taken.rows == rows
    assert [(at, str(error), error.field) for at, error in taken.refused] == refused
    assert taken.names == [event.name for event in events]
    assert taken.message_ids == [event.message_id for event in events]
    assert_equal(taken.events, from_events(events, available))
    return taken.events


def assert_equal(one: Any, other: Any) -> None:
    for name in one._fields:
        a, b = getattr(one, name), getattr(other, name)
        if isinstance(a, dict):
            assert a.keys() == b.keys()
            for key in a:
                assert_same(a[key], b[key])
        else:
            assert_same(a, b)


def assert_same(one: Any, other: Any) -> None:
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        assert one.tolist() == other.tolist()
    else:
        assert one.texts() == other.texts()


@pytest.mark.parametrize("arrived", [ARRIVED, BASE + 20, 0, -1])
def test_messages_of_every_kind_are_taken_alike(arrived: int) -> None:
    messages = [json.dumps(SENT | odd).encode() for odd in ODD]
    messages += [b"", b"null", b"[]", b"{", b"\xff", b"[" * 100_000, json.dumps(SENT | {"a": "x" * 300_000}).encode()]
    messages += [json.dumps(SENT, ensure_ascii=False).replace('"u"', '"é"').encode("latin-1")]
    assert_taken_alike(messages, [arrived] * len(messages))


def test_a_shops_traffic_is_taken_alike() -> None:
    messages = [value for _, value in traffic(5, 1_500)]
    events = assert_taken_alike(messages, [ARRIVED] * len(messages))
    assert events.n > 1_000


def test_no_messages_are_no_events() -> None:
    assert assert_taken_alike([], []).n == 0


def test_a_message_is_decoded_once_where_it_is_as_most_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("features.intake.decode", lambda *_: pytest.fail("decoded event by event"))
    messages = [json.dumps(SENT | odd).encode() for odd in ({}, ORDER, {"type": "page"}, {"keyId": "wk"})]
    assert take_in(messages, [ARRIVED] * 4).events.n == 4
