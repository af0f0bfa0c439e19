"""What an event is: the Segment HTTP Tracking API message, with the names and properties of E-commerce v2."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from features.errors import MalformedEvent
from features.properties import (
    MAX_LINES,
    AnyId,
    AnyProperties,
    Id,
    Line,
    OrderProperties,
    ProductProperties,
    Properties,
)

__all__ = [
    "ALIASES", "EVENTS", "FILE_ALIASES", "MAX_AHEAD_MS", "MAX_EVENT_BYTES", "MAX_LINES", "Event", "Line",
    "OrderProperties", "ProductProperties", "canonical", "customer_of", "decode", "iso", "partition_key", "stamp",
]  # fmt: skip

MAX_EVENT_BYTES = 256 * 1024
MAX_AHEAD_MS = 24 * 3_600_000
_EPOCH, _MS = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)

Kind = Literal["track", "identify", "page", "screen", "group", "alias"]

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


class _Wire(Struct, rename="camel", frozen=True, kw_only=True):
    """The envelope as it comes; whatever else it carries stays in the logged bytes."""

    type: Kind
    message_id: Id | None = None
    user_id: AnyId | Literal[""] | None = None
    anonymous_id: AnyId | Literal[""] | None = None
    event: Annotated[str, Meta(max_length=255)] | None = None
    previous_id: AnyId | None = None
    properties: dict[str, Any] | None = None
    traits: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    timestamp: datetime | None = None
    original_timestamp: datetime | None = None
    sent_at: datetime | None = None
    received_at: datetime | None = None


class Event(Struct, frozen=True, kw_only=True):
    """One event as the folds read it.

    `customer` is the raw id that the state is kept under: `u:<userId>` where there is one, else `a:<anonymousId>`.
    `name` is the canonical track name, else the type. Times are int ms UTC.
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
        code = (getattr(self.properties, "currency", None) or "").upper()
        return code if len(code) == 3 and code.isascii() and code.isalpha() else ""


_decoder = msgspec.json.Decoder(_Wire)


def decode(raw: bytes, arrived_at: int) -> Event:
    """An event from its bytes in Kafka or in the event log.

    Args:    raw: JSON; arrived_at: ms UTC, used where the event carries no time of its own.
    Raises:  MalformedEvent: with the field, when the bytes are no acceptable event.
    """
    if len(raw) > MAX_EVENT_BYTES:
        raise MalformedEvent(f"the event has {len(raw)} bytes, at most {MAX_EVENT_BYTES} are taken", "event")
    try:
        wire = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _malformed(error) from error
    except RecursionError as error:
        raise MalformedEvent("the event is nested too deeply", "event") from error
    return _event(wire, raw, arrived_at)


def stamp(
    message: Mapping[str, Any], kind: str | None, received_at: int, sent_at: str | None, source: str
) -> tuple[bytes, Event]:
    """A message that came over HTTP as the bytes to put into Kafka, with corrected time and `receivedAt`, and decoded.

    Args:    message: as decoded from the body; kind: the type where the path gives it; received_at: ms UTC;
             sent_at: the batch's own, where the message has none; source: the id of the key it came by.
    Raises:  MalformedEvent: with the field.
    """
    full = {key: value for key, value in message.items() if key not in {"integrations", "writeKey"}}
    if kind is not None:
        full["type"] = kind
    if sent_at is not None and not full.get("sentAt"):
        full["sentAt"] = sent_at
    full["receivedAt"] = iso(received_at)
    try:
        wire = msgspec.convert(full, _Wire)
    except msgspec.MsgspecError as error:
        raise _malformed(error) from error
    if not full.get("messageId"):
        # What a retry doesn't change names the event, so it counts once; one without a time of its own can't be told.
        timed = wire.original_timestamp is not None or wire.timestamp is not None
        same = {key: value for key, value in full.items() if not timed or key not in {"receivedAt", "sentAt"}}
        full["messageId"] = hashlib.sha256(_encoded(same)).hexdigest()[:32]
    full["timestamp"] = iso(_happened(wire, received_at))
    full["keyId"] = source
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


def _happened(wire: _Wire, received_at: int) -> int:
    """When it happened by the server's clock: what passed between happening and sending is the same by every clock."""
    original = wire.original_timestamp or wire.timestamp
    if original is None:
        return received_at
    happened = _ms(original, "timestamp")
    if wire.sent_at is not None:
        happened = received_at - (_ms(wire.sent_at, "sentAt") - happened)
    if happened < 0:
        raise MalformedEvent("sentAt lies so long after timestamp that the event would be older than 1970", "sentAt")
    return min(happened, received_at)


def _encoded(message: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(message)
    except (UnicodeEncodeError, RecursionError) as error:
        raise MalformedEvent(f"the event can't be written as JSON: {error}", "event") from error


def _event(wire: _Wire, raw: bytes, arrived_at: int) -> Event:
    user_id, anonymous_id = _text(wire.user_id), _text(wire.anonymous_id)
    customer = customer_of(user_id, anonymous_id)
    if not customer:
        raise MalformedEvent("at least one of userId and anonymousId is needed", "userId")
    name = canonical(wire.event or "") if wire.type == "track" else wire.type
    if not name:
        raise MalformedEvent("a track event needs its name in `event`", "event")
    received_at = arrived_at if wire.received_at is None else _ms(wire.received_at, "receivedAt")
    if received_at < 0:
        raise MalformedEvent("neither the event nor Kafka says when it arrived", "receivedAt")
    if 0 < arrived_at < received_at - MAX_AHEAD_MS:
        raise MalformedEvent("receivedAt lies more than a day after the event's arrival", "receivedAt")
    event_time = received_at if wire.timestamp is None else _ms(wire.timestamp, "timestamp")
    if event_time > received_at + MAX_AHEAD_MS:
        raise MalformedEvent("timestamp lies more than a day after the event's arrival", "timestamp")
    return Event(
        message_id=wire.message_id or hashlib.sha256(raw).hexdigest()[:32],
        type=wire.type,
        name=name,
        customer=customer,
        user_id=user_id,
        anonymous_id=anonymous_id,
        event_time=event_time,
        received_at=received_at,
        properties=_properties(name, wire),
    )


def canonical(name: str) -> str:
    """The E-commerce v2 name of a track event; an unknown name stays as it is."""
    return ALIASES.get(name, name)


def _properties(name: str, wire: _Wire) -> Properties:
    kind = EVENTS.get(name, AnyProperties) if wire.type == "track" else AnyProperties
    try:
        properties = msgspec.convert(wire.properties or {}, kind, strict=False)
    except msgspec.MsgspecError as error:
        raise _malformed(error, "properties") from error
    if isinstance(properties, ProductProperties) and not properties.item_id:
        raise MalformedEvent(f"{name} needs a product_id", "properties.product_id")
    if name in {"Order Completed", "Order Refunded"}:
        _check_order(name, properties)
    return properties


def _check_order(name: str, properties: Properties) -> None:
    """A whole order may be refunded without naming its lines, but never without naming the order."""
    if isinstance(properties, OrderProperties) and properties.order_id is None:
        raise MalformedEvent(f"{name} needs an order_id", "properties.order_id")


def _malformed(error: Exception, prefix: str = "") -> MalformedEvent:
    """Msgspec ends its messages with ``- at `$.a.b` ``: that path is the field."""
    message, _, path = str(error).partition(" - at `$")
    field = prefix + path.rstrip("`") if path else prefix
    if not field and (missing := message.partition("missing required field `")[2]):
        field = missing.rstrip("`")
    return MalformedEvent(f"{field.strip('.') or 'event'}: {message}", field.strip(".") or "event")


def _ms(moment: datetime, field: str) -> int:
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    ms = (moment - _EPOCH + _MS / 2) // _MS
    if ms < 0:
        raise MalformedEvent(f"{field}: {moment} lies before 1970", field)
    return ms


def _text(value: str | int | None) -> str | None:
    return None if value is None or value == "" else str(value)
