"""Rows of a file become events on the wire.

One row is one track event; the rows of one order id are one order (see orders.py). The messageId is a hash of the
event's name and of the values of its source rows, so importing a file twice changes nothing, and two equal rows of a
file without order ids (same customer, item, event and time) are one event, counted once.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from features.errors import BadInput
from features.events import EVENTS, OrderProperties, ProductProperties, iso
from pipelines.imports.cells import categoriser, identifier, moment, number, text
from pipelines.imports.columns import EVENT_TARGETS, Mapping, bind, canonical_name
from pipelines.imports.lines import Refused, Row
from pipelines.imports.orders import KEY_ID, Accepted, Orders, Part, accepted, message_id_of, shown, track
from pipelines.imports.rows import Rows

ORDERS = frozenset({"Order Completed", "Order Refunded", "Order Updated", "Order Cancelled"})
SEGMENT_TYPES = frozenset({"track", "identify", "page", "screen", "group", "alias"})
LINE_TEXTS = {"title": "name", "brand": "brand", "variant": "variant", "url": "url", "image_url": "image_url"}
MAX_PRICE, MAX_QUANTITY = 1e9, 1e6

_source = msgspec.json.Encoder(order="sorted", enc_hook=str)


class SetAside(Struct, frozen=True):
    """A sound row that is no event: it has no customer, or is about something that isn't an item."""

    number: int
    reason: str
    raw: str


Made = Accepted | Refused | SetAside


def events_from(rows: Rows, mapping: Mapping, now: int) -> Iterator[Made]:
    """Events that features.events.decode has taken, with what was refused and what was set aside.

    JSON objects that are Segment messages (`type` is track, identify, ...) pass as they are, but for `receivedAt` and
    `messageId` where they lack them. Orders come when they are complete, everything else in file order.

    Args:    now: ms UTC; what lies more than a day after it is refused.
    Raises:  BadInput: at once, when the mapping doesn't fit the file's columns; while reading, as Rows does.
    """
    segment = rows.kind == "jsonl" and "type" in rows.columns
    needed = () if segment else ("user_id|anonymous_id", "timestamp")
    columns = bind(mapping.columns, rows.columns, EVENT_TARGETS, needed)
    return _made(rows, Mapper(mapping, columns, now))


def _made(rows: Rows, mapper: "Mapper") -> Iterator[Made]:
    for row in rows:
        if isinstance(row, Refused):
            yield row
            continue
        try:
            yield from mapper.events(row)
        except BadInput as error:
            yield Refused(row.number, str(error), shown(_source.encode(row.values)))
    yield from mapper.orders.rest()


class Line(Struct, frozen=True, gc=False):
    """What a row says about an item or a charge; `quantity` is positive or None."""

    event: str
    item_id: str
    is_item: bool
    price: float | None
    quantity: float | None

    @property
    def cents(self) -> int:
        return round((self.price or 0.0) * 100 * (1 if self.quantity is None else self.quantity))


class Mapper:
    """One mapping bound to the columns of one file."""

    def __init__(self, mapping: Mapping, columns: dict[str, str], now: int) -> None:
        self.orders = Orders(now)
        self._mapping = mapping
        self._columns = columns
        self._now = now
        self._event = mapping.event or ("Order Completed" if "order_id" in columns else "Product Viewed")
        self._category = categoriser(mapping.categories)
        self._texts = [(columns[target], name) for target, name in LINE_TEXTS.items() if target in columns]
        self._extras = [(source, target) for target, source in columns.items() if target not in EVENT_TARGETS]

    def events(self, row: Row) -> Iterator[Made]:
        if row.values.get("type") in SEGMENT_TYPES and isinstance(row.values.get("type"), str):
            yield self._passed(row)
            return
        source = _source.encode(row.values)
        user_id, anonymous_id = self.identity(row, "user_id"), self.identity(row, "anonymous_id")
        if not (user_id or anonymous_id):
            yield SetAside(row.number, "no customer", shown(source))
            return
        line = self.line(row)
        time = moment(self.cell(row, "timestamp"), self._mapping.zone)
        if line.event in ORDERS:
            yield from self.orders.add(self._part(row, line, user_id, anonymous_id, time, source))
        elif line.item_id and not line.is_item:
            yield SetAside(row.number, "not an item by its id", shown(source))
        else:
            message_id = self.identity(row, "message_id") or message_id_of(line.event, source)
            raw = track(line.event, message_id, user_id, anonymous_id, time, self._properties(row, line))
            yield accepted(raw, self._now)

    def line(self, row: Row) -> Line:
        """What the row says about an item.

        Raises:  BadInput: a price or quantity that can't be, or no item where the event needs one.
        """
        event = canonical_name(text(self.cell(row, "event"))) or self._event
        price = number(self.cell(row, "price"), "price")
        if price is not None and not 0 <= price <= MAX_PRICE:
            raise BadInput(f"price {price:g} is not between 0 and {MAX_PRICE:g}", "price")
        quantity = number(self.cell(row, "quantity"), "quantity")
        if quantity is not None and not 0 < abs(quantity) <= MAX_QUANTITY:
            raise BadInput(f"quantity {quantity:g} is 0 or beyond {MAX_QUANTITY:g}", "quantity")
        if quantity is not None and quantity < 0:
            if event not in {"Order Completed", "Order Refunded"}:
                raise BadInput(f"quantity {quantity:g} is negative in {event}", "quantity")
            event, quantity = "Order Refunded", -quantity
        item_id = self.identity(row, "item_id")
        if not item_id and (EVENTS.get(event) is ProductProperties or ("item_id" in self._columns and event in ORDERS)):
            raise BadInput("no item_id", "item_id")
        pattern = self._mapping.item_pattern
        is_item = bool(item_id) and (pattern is None or pattern.fullmatch(item_id) is not None)
        return Line(event, item_id, is_item, price, quantity)

    def _part(self, row: Row, line: Line, user_id: str, anonymous_id: str, time: int, source: bytes) -> Part:
        extras = self._extra(row)
        total = number(self.cell(row, "total"), "total")
        if total is not None:
            extras["total"] = total
        return Part(
            number=row.number,
            event=line.event,
            order_id=self.identity(row, "order_id"),
            user_id=user_id,
            anonymous_id=anonymous_id,
            time=time,
            currency=self._currency(row),
            line=msgspec.json.encode(self._product(row, line)) if line.item_id else b"",
            is_charge=not line.is_item,
            cents=line.cents,
            extras=extras,
            message_id=self.identity(row, "message_id"),
            source=source,
        )

    def _properties(self, row: Row, line: Line) -> dict[str, Any]:
        """Properties of an event that is no order: the product itself, or a list of one."""
        product = self._product(row, line) if line.item_id else {}
        kind = EVENTS.get(line.event)
        properties: dict[str, Any] = {"products": [product] if product else []} if kind is OrderProperties else product
        if order_id := self.identity(row, "order_id"):
            properties["order_id"] = order_id
        if currency := self._currency(row):
            properties["currency"] = currency
        return properties | self._extra(row)

    def _product(self, row: Row, line: Line) -> dict[str, Any]:
        """The item of a row as it stands in `properties` or `products`, or the charge where it isn't one."""
        product: dict[str, Any] = {"product_id" if line.is_item else "code": line.item_id}
        for source, name in self._texts:
            if (shown := text(row.values.get(source))) and (line.is_item or name == "name"):
                product[name] = shown
        if line.price is not None:
            product["price"] = _plain(line.price)
        if line.quantity is not None:
            product["quantity"] = _plain(line.quantity)
        if line.is_item and (category := text(self.cell(row, "category")) or self._category(product.get("name", ""))):
            product["category"] = category
        if line.is_item and (position := number(self.cell(row, "position"), "position")) is not None:
            product["position"] = _plain(position)
        return product

    def _passed(self, row: Row) -> Accepted:
        """A Segment message as it is; what an importer adds is the arrival (its own time) and a missing messageId."""
        message = dict(row.values)
        time = message.get("timestamp") or message.get("originalTimestamp")
        if not time:
            raise BadInput("no timestamp", "timestamp")
        stamp = iso(moment(time, self._mapping.zone))
        message |= {"timestamp": stamp, "receivedAt": message.get("receivedAt") or stamp, "keyId": KEY_ID}
        if not message.get("messageId"):
            message["messageId"] = message_id_of("segment", _source.encode(row.values))
        return accepted(msgspec.json.encode(message), self._now)

    def cell(self, row: Row, target: str) -> Any:
        source = self._columns.get(target)
        return None if source is None else row.values.get(source)

    def identity(self, row: Row, target: str) -> str:
        source = self._columns.get(target)
        return "" if source is None else identifier(row.values.get(source), target)

    def _currency(self, row: Row) -> str:
        return text(self.cell(row, "currency")).upper() or self._mapping.currency

    def _extra(self, row: Row) -> dict[str, Any]:
        """Properties by columns that were mapped to a name of the user's own."""
        cells = ((target, row.values.get(source)) for source, target in self._extras)
        shown = ((target, text(value) if isinstance(value, str) else value) for target, value in cells)
        return {target: value for target, value in shown if value not in ("", None)}


def _plain(value: float) -> float | int:
    return int(value) if value.is_integer() else value
