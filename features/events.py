"""What an event is: the Segment HTTP Tracking API message, with the names and properties of E-commerce v2."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from features.context import NOWHERE, Context, context_of
from features.errors import MalformedEvent
from features.money import currency_code
from features.properties import (
    MAX_LINES,
    AnyProperties,
    Line,
    OrderProperties,
    ProductProperties,
    Properties,
)
from features.wire import MAX_EVENT_BYTES, Envelope, Kind, Times, malformed, ms_of, read_envelope

__all__ = [
    "ALIASES", "EVENTS", "FILE_ALIASES", "MAX_AHEAD_MS", "MAX_EVENT_BYTES", "MAX_LINES", "Event", "Line",
    "OrderProperties", "ProductProperties", "canonical", "customer_of", "decode", "iso", "message_hash",
    "partition_key", "stamp",
]  # fmt: skip

MAX_AHEAD_MS = 24 * 3_600_000
_OURS = {"integrations", "writeKey", "keyId", "trusted"}  # no caller sets these
_EPOCH, _MS = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)

# Every track event with a meaning of its own. To add one: a line here; it is then checked, logged, replayable.
_SPECIFIED: dict[str, type[Properties]] = {
    "Product Viewed": ProductProperties,
    "Product Clicked": ProductProperties,
    "Product Added": ProductProperties,
    "Product Removed": ProductProperties,
    "Product Added to Wishlist": ProductProperties,
    "Product Removed from Wishlist": ProductProperties,
    "Product Shared": ProductProperties,
    "Product Reviewed": ProductProperties,
    "Product List Viewed": OrderProperties,
    "Product List Filtered": OrderProperties,
    "Cart Viewed": OrderProperties,
    "Checkout Started": OrderProperties,
    "Order Completed": OrderProperties,
    "Order Updated": OrderProperties,
    "Order Refunded": OrderProperties,
    "Order Cancelled": OrderProperties,
}
EVENTS: dict[str, type[Properties]] = _SPECIFIED | dict.fromkeys(
    (
        "Products Searched", "Promotion Viewed", "Promotion Clicked", "Checkout Step Viewed", "Checkout Step Completed",
        "Payment Info Entered", "Coupon Entered", "Coupon Applied", "Coupon Denied", "Coupon Removed",
        "Experiment Viewed", "Email Delivered", "Email Opened", "Email Link Clicked", "Email Bounced", "Unsubscribed",
    ),
    AnyProperties,
)  # fmt: skip

# E-commerce v1 names and what interaction files call the same things.
ALIASES: dict[str, str] = {
    "Viewed Product": "Product Viewed",
    "Clicked Product": "Product Clicked",
    "Added Product": "Product Added",
    "Removed Product": "Product Removed",
    "Completed Order": "Order Completed",
    "Refunded Order": "Order Refunded",
    "Viewed Product Category": "Product List Viewed",
    "Started Checkout": "Checkout Started",
    "Searched Products": "Products Searched",
}

# What files of interactions call them; only an import reads these, since a site may have an event called `click`.
FILE_ALIASES: dict[str, str] = ALIASES | {
    "view": "Product Viewed",
    "click": "Product Clicked",
    "cart": "Product Added",
    "addtocart": "Product Added",
    "add_to_cart": "Product Added",
    "buy": "Order Completed",
    "purchase": "Order Completed",
    "transaction": "Order Completed",
    "refund": "Order Refunded",
}


class Event(Struct, frozen=True, kw_only=True, gc=False):
    """One event as the folds read it.

    `customer` is the raw id that the state is kept under: `u:<userId>` where there is one, else `a:<anonymousId>`.
    `name` is the canonical track name, else the type. Times are int ms UTC. `trusted`: a server sent it, not a browser.
    """

    message_id: str
    type: Kind
    name: str
    customer: str
    user_id: str | None
    anonymous_id: str | None
    event_time: int
    received_at: int
    properties: Properties
    context: Context = NOWHERE
    trusted: bool = True

    @property
    def lines(self) -> tuple[Line, ...]:
        """The products that it is about; empty where it is about none."""
        if isinstance(self.properties, OrderProperties):
            return tuple(line for line in self.properties.products or () if line.item_id)
        if isinstance(self.properties, ProductProperties):
            return (self.properties,) if self.properties.item_id else ()
        return ()

    @property
    def currency(self) -> str:
        """ISO code of its money in capitals; empty where it names none that could be one."""
        return currency_code(getattr(self.properties, "currency", None))


# Many shops send numbers as strings.
_decoders = {kind: msgspec.json.Decoder(kind | None, strict=False) for kind in {AnyProperties, *EVENTS.values()}}


def decode(raw: bytes, arrived_at: int) -> Event:
    """An event from its bytes in Kafka or in the event log.

    Args:    raw: JSON; arrived_at: ms UTC, which the event can't have happened after; 0 or less is unknown.
    Raises:  MalformedEvent: with the field, when the bytes are no acceptable event.
    """
    return _event(read_envelope(raw), raw, arrived_at)


def stamp(
    message: Mapping[str, Any],
    kind: str | None,
    received_at: int,
    sent_at: str | None,
    source: str,
    trusted: bool = False,
) -> tuple[bytes, Event]:
    """A message that came over HTTP as the bytes to put into Kafka, with corrected time and `receivedAt`, and decoded.

    Args:    message: as decoded from the body; kind: the type where the path gives it; received_at: ms UTC;
             sent_at: the batch's own, where the message has none; source: the id of the key it came by; trusted: by a
             secret key. What the message says of either itself is dropped.
    Raises:  MalformedEvent: with the field.
    """
    full = {key: value for key, value in message.items() if key not in _OURS}
    if kind is not None:
        full["type"] = kind
    if sent_at is not None and not full.get("sentAt"):
        full["sentAt"] = sent_at
    full["receivedAt"] = iso(received_at)
    try:
        wire = msgspec.convert(full, Times)
    except msgspec.MsgspecError as error:
        raise malformed(error) from error
    if not full.get("messageId"):
        # What a retry doesn't change names the event, so it counts once; one without a time of its own can't be told.
        timed = wire.original_timestamp is not None or wire.timestamp is not None
        same = {key: value for key, value in full.items() if not timed or key not in {"receivedAt", "sentAt"}}
        full["messageId"] = hashlib.sha256(_encoded(same)).hexdigest()[:32]
    full["timestamp"] = iso(_happened(wire, received_at))
    full["keyId"] = source
    if trusted:
        full["trusted"] = True
    raw = _encoded(full)
    return raw, decode(raw, received_at)


def partition_key(event: Event) -> bytes:
    """Key of the event's message in Kafka: userId, else anonymousId."""
    return event.customer[2:].encode()


def customer_of(user_id: str | None, anonymous_id: str | None) -> str:
    """The raw id that a state is kept under; empty where there is neither."""
    if user_id:
        return f"u:{user_id}"
    return f"a:{anonymous_id}" if anonymous_id else ""


def iso(ms: int) -> str:
    """A time as it stands on the wire, for example 2026-03-01T12:00:00.250Z."""
    return (_EPOCH + ms * _MS).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def message_hash(message_id: str) -> int:
    """64 bits that stand for a messageId."""
    return int.from_bytes(hashlib.blake2b(message_id.encode(), digest_size=8).digest(), "big")


def _happened(wire: Times, received_at: int) -> int:
    """When it happened by the server's clock: what passed between happening and sending is the same by every clock."""
    original = wire.original_timestamp or wire.timestamp
    if original is None:
        return received_at
    happened = ms_of(original, "timestamp")
    if wire.sent_at is not None:
        happened = received_at - (ms_of(wire.sent_at, "sentAt") - happened)
    if happened < 0:
        raise MalformedEvent("sentAt lies so long after timestamp that the event would be older than 1970", "sentAt")
    return min(happened, received_at)


def _encoded(message: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(message)
    except (UnicodeEncodeError, RecursionError) as error:
        raise MalformedEvent(f"the event can't be written as JSON: {error}", "event") from error


def _event(wire: Envelope, raw: bytes, arrived_at: int) -> Event:
    user_id, anonymous_id = text_of(wire.user_id), text_of(wire.anonymous_id)
    customer = customer_of(user_id, anonymous_id)
    if not customer:
        raise MalformedEvent("at least one of userId and anonymousId is needed", "userId")
    name = canonical(wire.event or "") if wire.type == "track" else wire.type
    if not name:
        raise MalformedEvent("a track event needs its name in `event`", "event")
    received_at = arrived_at if wire.received_at is None else ms_of(wire.received_at, "receivedAt")
    if received_at < 0:
        raise MalformedEvent("neither the event nor Kafka says when it arrived", "receivedAt")
    if 0 < arrived_at < received_at - MAX_AHEAD_MS:
        raise MalformedEvent("receivedAt lies more than a day after the event's arrival", "receivedAt")
    event_time = received_at if wire.timestamp is None else ms_of(wire.timestamp, "timestamp")
    if event_time > received_at + MAX_AHEAD_MS:
        raise MalformedEvent("timestamp lies more than a day after the event's arrival", "timestamp")
    if 0 < arrived_at < event_time:
        event_time = arrived_at
    return Event(
        message_id=wire.message_id or hashlib.sha256(raw).hexdigest()[:32],
        type=wire.type,
        name=name,
        customer=customer,
        user_id=user_id,
        anonymous_id=anonymous_id,
        event_time=event_time,
        received_at=received_at,
        properties=_properties(name, wire, raw),
        context=context_of(wire.context),
        trusted=wire.from_server,
    )


def canonical(name: str) -> str:
    """The E-commerce v2 name of a track event; an unknown name stays as it is."""
    return ALIASES.get(name, name)


def _properties(name: str, wire: Envelope, raw: bytes) -> Properties:
    kind = EVENTS.get(name, AnyProperties) if wire.type == "track" else AnyProperties
    try:
        properties: Properties = _decoders[kind].decode(wire.properties) or kind()
    except msgspec.MsgspecError as error:
        raise malformed(error, "properties") from error
    if kind is AnyProperties:
        return properties
    if b"\\u0000" in raw:
        _check_items(properties)
    if isinstance(properties, ProductProperties) and properties.product_id is None and properties.sku is None:
        raise MalformedEvent(f"{name} needs a product_id", "properties.product_id")
    if name in {"Order Completed", "Order Refunded"}:
        _check_order(name, properties)
    return properties


def _check_items(properties: Properties) -> None:
    """What is kept by item and key puts a zero character between the two."""
    if isinstance(properties, OrderProperties):
        named = [(f"properties.products[{at}]", line) for at, line in enumerate(properties.products or ())]
    else:
        named = [("properties", properties)] if isinstance(properties, ProductProperties) else []
    for path, line in named:
        for field in ("product_id", "sku"):
            if "\0" in str(getattr(line, field)):
                raise MalformedEvent(f"{path}.{field}: an item's id holds no zero character", f"{path}.{field}")


def _check_order(name: str, properties: Properties) -> None:
    """A whole order may be refunded without naming its lines, but never without naming the order."""
    if isinstance(properties, OrderProperties) and properties.order_id is None:
        raise MalformedEvent(f"{name} needs an order_id", "properties.order_id")


def text_of(value: str | int | None) -> str | None:
    """An id as a text; None where there is none."""
    return None if value is None or value == "" else str(value)
