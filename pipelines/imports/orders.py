"""Lines of one invoice become one order, with a bounded look-ahead.

An order stays open until LOOK_AHEAD rows have passed without a line of it. At most MAX_OPEN orders and MAX_HELD bytes
of their lines are held; beyond, the order that has waited longest for a line is closed. A line that comes later than
that makes a second event of the same order id.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from features.errors import MalformedEvent
from features.events import MAX_EVENT_BYTES, MAX_LINES, Event, decode
from pipelines.imports.lines import MAX_SHOWN, Refused

LOOK_AHEAD = 5_000  # rows
MAX_OPEN = 5_000  # orders
MAX_HELD = 32 << 20  # bytes
KEY_ID = "import"  # stands where an event of the HTTP service names the key it came by

Key = tuple[str, str, str, str]


class Accepted(Struct, frozen=True, gc=False):
    """An event as it goes to the log and to Kafka, and as the folds read it."""

    raw: bytes
    event: Event


class Part(Struct, frozen=True, gc=False, kw_only=True):
    """One row of an order.

    `line` is the JSON of its product, or of a charge where `is_charge`; empty for an order without lines. `cents` is
    the money of the line, `extras` are properties of the order (the first row's count), `source` the row itself.
    """

    number: int
    event: str
    order_id: str
    user_id: str
    anonymous_id: str
    time: int
    currency: str
    line: bytes
    is_charge: bool
    cents: int
    extras: dict[str, Any]
    message_id: str
    source: bytes

    @property
    def key(self) -> Key:
        return (self.order_id, self.event, self.user_id, self.anonymous_id)


@dataclass(slots=True)
class _Order:
    """An open order: its first row, the lines so far and the hash of all their source rows."""

    first: Part
    last: int = 0
    rows: int = 0
    size: int = 0
    cents: int = 0
    products: list[msgspec.Raw] = field(default_factory=list)
    charges: list[msgspec.Raw] = field(default_factory=list)
    sources: list[bytes] = field(default_factory=list)
    refusal: str = ""

    def take(self, part: Part) -> None:
        self.last, self.rows = part.number, self.rows + 1
        if self.refusal:
            return
        self.cents += part.cents
        self.sources.append(digest(part.source))
        if part.line:
            (self.charges if part.is_charge else self.products).append(msgspec.Raw(part.line))
            self.size += len(part.line)
        if len(self.products) + len(self.charges) > MAX_LINES:
            self._give_up(f"more than {MAX_LINES} lines")
        elif self.size > MAX_EVENT_BYTES:
            self._give_up(f"more than {MAX_EVENT_BYTES} bytes of lines")

    def _give_up(self, why: str) -> None:
        """A part of an order would be a false order: its lines are let go, and all its rows are refused together."""
        self.refusal = f"order {self.first.order_id} has {why}"
        self.products, self.charges, self.sources, self.size = [], [], [], 0

    def closed(self, now: int) -> Accepted | Refused:
        first = self.first
        if self.refusal:
            return Refused(first.number, self.refusal, shown(first.source), self.rows)
        message_id = first.message_id if not first.order_id and first.message_id else self._message_id()
        properties: dict[str, Any] = {"order_id": first.order_id or message_id}
        if first.currency:
            properties["currency"] = first.currency
        properties |= {"total": self.cents / 100, "products": self.products}
        if self.charges:
            properties["charges"] = self.charges
        raw = track(first.event, message_id, first.user_id, first.anonymous_id, first.time, properties | first.extras)
        try:
            return accepted(raw, now)
        except MalformedEvent as error:
            return Refused(first.number, str(error), shown(first.source), self.rows)

    def _message_id(self) -> str:
        """Two equal lines of an order are two lines: the hash goes over all rows in their order, not over a set."""
        return message_id_of("\0".join(self.first.key), b"".join(self.sources))


class Orders:
    """The open orders of an import.

    Args:  now: ms UTC; an order that lies more than a day after it is refused.
    """

    def __init__(self, now: int) -> None:
        self._now = now
        self._open: OrderedDict[Key, _Order] = OrderedDict()
        self._held = 0

    @property
    def held(self) -> tuple[int, int]:
        """Orders that are open, and the bytes of their lines."""
        return len(self._open), self._held

    def add(self, part: Part) -> Iterator[Accepted | Refused]:
        """Takes a row in, gives the orders complete by then; without an order id a row is an order by itself."""
        if not part.order_id:
            alone = _Order(part)
            alone.take(part)
            yield alone.closed(self._now)
            return
        order = self._open.get(part.key)
        if order is None:
            order = self._open[part.key] = _Order(part)
        elif part.currency != order.first.currency:
            reason = (
                f"order {part.order_id} is in {order.first.currency or 'no currency'}, this line in {part.currency}"
            )
            yield Refused(part.number, reason, shown(part.source))
            return
        else:
            self._open.move_to_end(part.key)
        before = order.size
        order.take(part)
        self._held += order.size - before
        yield from self._due(part.number)

    def rest(self) -> Iterator[Accepted | Refused]:
        """The orders that are still open at the end of the file."""
        while self._open:
            yield self._close()

    def _due(self, number: int) -> Iterator[Accepted | Refused]:
        while (
            len(self._open) > MAX_OPEN
            or self._held > MAX_HELD
            or next(iter(self._open.values())).last < number - LOOK_AHEAD
        ):
            yield self._close()

    def _close(self) -> Accepted | Refused:
        _, order = self._open.popitem(last=False)
        self._held -= order.size
        return order.closed(self._now)


def track(event: str, message_id: str, user_id: str, anonymous_id: str, time: int, properties: dict[str, Any]) -> bytes:
    """The bytes of a track event that is known since it happened: `receivedAt` is its own time."""
    message: dict[str, Any] = {"type": "track", "event": event, "messageId": message_id}
    if user_id:
        message["userId"] = user_id
    if anonymous_id:
        message["anonymousId"] = anonymous_id
    stamp = datetime.fromtimestamp(time / 1000, UTC)
    message |= {"timestamp": stamp, "receivedAt": stamp, "keyId": KEY_ID, "properties": properties}
    return msgspec.json.encode(message)


def accepted(raw: bytes, now: int) -> Accepted:
    """The event, decoded.

    Raises:  MalformedEvent: it isn't acceptable, or lies ahead of `now`.
    """
    try:
        return Accepted(raw, decode(raw, now))
    except MalformedEvent as error:
        if error.field == "receivedAt":  # which a row doesn't have: an import is known when it happened
            raise MalformedEvent("timestamp lies more than a day after now", "timestamp") from error
        raise


def message_id_of(what: str, source: bytes) -> str:
    """The id of an event that has none: the same source gives the same id, so that importing twice changes nothing."""
    return hashlib.blake2b(what.encode() + b"\0" + source, digest_size=16).hexdigest()


def digest(source: bytes) -> bytes:
    return hashlib.blake2b(source, digest_size=16).digest()


def shown(source: bytes) -> str:
    """A source row as it is kept in a report of refusals."""
    return source[: MAX_SHOWN * 4].decode(errors="replace")[:MAX_SHOWN]
