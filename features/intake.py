"""Messages straight to columns: what is as most messages are is decoded in one step, all else event by event.

Both ways take the same and say the same of it; the fast one is only ever stricter about what it takes.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta, Raw, Struct

from features.columns import Events, Numbers, empty
from features.context import NOWHERE, Context
from features.decoded import SHAPES, Decoded, Gathering, code_of
from features.errors import MalformedEvent
from features.events import MAX_AHEAD_MS, MAX_EVENT_BYTES, Event, canonical, customer_of, decode, text_of
from features.properties import MAX_LINES, Amount, AnyId, AnyProperties, Id, Line, ProductProperties
from features.wire import NULL, TRUE, Kind

Zoned = Annotated[datetime, Meta(tz=True)]


class Wide(Line, frozen=True, kw_only=True, gc=False):
    """Properties of an event about a product, an order or a list, whichever it is."""

    order_id: AnyId | None = None
    currency: str | None = None
    total: Amount | None = None
    revenue: Amount | None = None
    discount: Amount | None = None
    shipping: Amount | None = None
    tax: Amount | None = None
    coupon: str | None = None
    products: Annotated[tuple[Line, ...], Meta(max_length=MAX_LINES)] | None = None
    request_id: str | None = None


class Message(Struct, rename="camel", frozen=True, kw_only=True, gc=False):
    """A whole message with the times that the service stamps: what `wire.Envelope` reads in three steps."""

    type: Kind
    message_id: Id
    received_at: Zoned
    timestamp: Zoned
    original_timestamp: datetime | None = None
    sent_at: datetime | None = None
    user_id: AnyId | Literal[""] | None = None
    anonymous_id: AnyId | Literal[""] | None = None
    event: Annotated[str, Meta(max_length=255)] | None = None
    previous_id: AnyId | None = None
    properties: Wide | None = None
    traits: AnyProperties | None = None
    context: Context | None = None
    key_id: Raw = NULL
    trusted: Raw = NULL


class Taken(NamedTuple):
    """The events of a batch of messages: `rows` are the places of those that were accepted."""

    events: Events
    rows: list[int]
    names: list[str]
    message_ids: list[str]
    refused: list[tuple[int, MalformedEvent]]


_decode = msgspec.json.Decoder(Message).decode
AT_ONCE = 500
_NOTHING = Wide()
_ORDERS = {"Order Completed", "Order Refunded"}
_Row = tuple[int, str, str, Message]  # index into NAMES, name, customer, and the rest


def take_in(raw: Sequence[bytes], arrived: Sequence[int]) -> Taken:
    """Decode messages.

    Args:    arrived: ms UTC, when Kafka took each; 0 or less is unknown.
    """
    gathering = Gathering()
    taken = Taken(empty(), [], [], [], [])
    for begin in range(0, len(raw), AT_ONCE):  # so few that what was decoded is still in the processor's cache
        end = min(begin + AT_ONCE, len(raw))
        _take(raw[begin:end], arrived[begin:end], begin, gathering, taken)
    return taken._replace(events=gathering.events())


def _take(raw: Sequence[bytes], arrived: Sequence[int], begin: int, gathering: Gathering, taken: Taken) -> None:
    fast = _fast if _are_plain(raw) else _careful
    rows = [fast(each) if at > 0 else None for each, at in zip(raw, arrived, strict=True)]
    received, time = _times(rows, np.array(arrived, np.int64))
    available = list(arrived)
    told: list[Any] = list(rows)
    dropped = set()
    for at in [at for at, moment in enumerate(received) if moment < 0]:
        try:
            event = _slow(raw[at], arrived[at])
        except MalformedEvent as error:
            taken.refused.append((begin + at, error))
            dropped.add(at)
            continue
        told[at] = code_of(event.type, event.name), event.name, event.customer, event
        received[at], time[at] = event.received_at, event.event_time
        available[at] = arrived[at] if arrived[at] > 0 else event.received_at
    kept = list(range(len(raw)))
    if dropped:
        kept = [at for at in kept if at not in dropped]
        told, time, received, available = ([c[at] for at in kept] for c in (told, time, received, available))
    message_ids = [row[3].message_id for row in told]
    gathering.add(
        Decoded(
            names=[row[0] for row in told],
            customers=[row[2] for row in told],
            times=time,
            received=received,
            available=available,
            message_ids=message_ids,
            trusted=[_is_trusted(row[3]) for row in told],
            properties=[row[3].properties or _NOTHING for row in told],
            contexts=[row[3].context or NOWHERE for row in told],
        )
    )
    taken.rows.extend([begin + at for at in kept])
    taken.names.extend([row[1] for row in told])
    taken.message_ids.extend(message_ids)


def _are_plain(raw: Sequence[bytes]) -> bool:
    """Whether none of them needs `_careful`."""
    whole = b"".join(raw)
    return whole.isascii() and b"\\u0000" not in whole and max(map(len, raw)) <= MAX_EVENT_BYTES


def _careful(raw: bytes) -> _Row | None:
    """As `_fast`, of any message: its size and its letters are looked at first."""
    if len(raw) > MAX_EVENT_BYTES or b"\\u0000" in raw:
        return None
    try:
        raw.decode()
    except UnicodeDecodeError:
        return None
    return _fast(raw)


def _fast(raw: bytes) -> _Row | None:
    """What a message says; None where it has to be looked at more closely."""
    try:
        message = _decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return None
    customer = customer_of(text_of(message.user_id), text_of(message.anonymous_id))
    name = canonical(message.event or "") if message.type == "track" else message.type
    if not customer or not name:
        return None
    code = code_of(message.type, name)
    properties = message.properties or _NOTHING
    if SHAPES[code] is ProductProperties and properties.product_id is None and properties.sku is None:
        return None
    if name in _ORDERS and properties.order_id is None:
        return None
    return code, name, customer, message


def _times(rows: list[_Row | None], arrived: Numbers) -> tuple[list[int], list[int]]:
    """When each was received and when it happened; -1 where that has to be looked at more closely."""
    messages = [row[3] if row else None for row in rows]
    received = _milliseconds([each.received_at.timestamp() if each else -1.0 for each in messages])
    time = _milliseconds([each.timestamp.timestamp() if each else -1.0 for each in messages])
    wrong = (received < 0) | (time < 0) | (arrived < received - MAX_AHEAD_MS) | (time > received + MAX_AHEAD_MS)
    return np.where(wrong, -1, received).tolist(), np.where(wrong, -1, np.minimum(time, arrived)).tolist()


def _milliseconds(seconds: list[float]) -> Numbers:
    return np.floor(np.array(seconds) * 1_000 + 0.5).astype(np.int64)


def _slow(raw: bytes, arrived: int) -> Event:
    event = decode(raw, arrived)
    return event if arrived > 0 else decode(raw, event.received_at)  # nobody can say better when it became known


def _is_trusted(told: Message | Event) -> bool:
    if isinstance(told, Event):
        return told.trusted
    return told.key_id == NULL or told.trusted == TRUE
