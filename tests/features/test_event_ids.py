"""What names an event that came without a messageId, and what an item may be called."""

import json
from typing import Any

import pytest

from features.errors import BadInput, MalformedEvent
from features.events import decode, stamp
from features.items import decode_item

NOW = 1_790_000_000_000


def named(message: dict[str, Any], received_at: int) -> str:
    return stamp(message, "track", received_at, None, "k")[1].message_id


def test_a_retry_of_an_event_with_a_time_and_no_id_is_the_same_event() -> None:
    message = {
        "event": "Searched",
        "userId": "u",
        "timestamp": "2026-03-01T12:00:00Z",
        "sentAt": "2026-03-01T12:00:01Z",
    }
    retried = {**message, "sentAt": "2026-03-01T12:00:09Z"}
    assert named(message, NOW) == named(retried, NOW + 8_000)
    assert named({**message, "userId": "v"}, NOW) != named(message, NOW)


def test_two_events_without_time_and_id_are_two_events() -> None:
    message = {"event": "Searched", "userId": "u"}
    assert named(message, NOW) != named(message, NOW + 50)


@pytest.mark.parametrize(
    ("name", "properties", "field"),
    [
        ("Product Viewed", {"product_id": "a\0b"}, "properties.product_id"),
        ("Product Added", {"product_id": "a", "sku": "\0"}, "properties.sku"),
        (
            "Order Completed",
            {"order_id": "o", "products": [{"product_id": "a"}, {"sku": "b\0"}]},
            "properties.products[1].sku",
        ),
    ],
)
def test_a_zero_character_in_the_id_of_an_item_is_refused_by_its_field(
    name: str, properties: dict[str, Any], field: str
) -> None:
    """A tile's fields put one between an item and what it was bought together with."""
    raw = json.dumps({"type": "track", "event": name, "userId": "u", "properties": properties}).encode()
    with pytest.raises(MalformedEvent) as refused:
        decode(raw, NOW)
    assert refused.value.field == field


def test_a_zero_character_elsewhere_is_taken() -> None:
    sent = {"type": "track", "event": "Product Viewed", "userId": "u", "properties": {"product_id": "a", "name": "\0"}}
    assert [line.name for line in decode(json.dumps(sent).encode(), NOW).lines] == ["\0"]


def test_the_catalogue_takes_no_zero_character_in_an_id_either() -> None:
    with pytest.raises(BadInput, match="zero character"):
        decode_item(b'{"item_id": "a\\u0000b"}')
