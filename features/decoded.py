"""Decoded events as columns: what is the same of many of them, a context or a line, is looked at once."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from features.columns import MISSING, NAMES, Events, Hashes, Numbers, Text, message_hashes
from features.context import Context, country_of, device_of, region_of
from features.events import EVENTS, Event
from features.money import currency_code, exponent
from features.properties import AnyProperties, OrderProperties, ProductProperties

_TRACKED = {name: at for at, name in enumerate(NAMES) if name in EVENTS}
_KINDS = {name: at for at, name in enumerate(NAMES) if name not in EVENTS}
SHAPES = (*(EVENTS.get(name, AnyProperties) for name in NAMES), AnyProperties)  # of properties by name; [-1]: unknown
_KIND = np.array([(AnyProperties, ProductProperties, OrderProperties).index(shape) for shape in SHAPES])
_PRODUCT, _ORDER = 1, 2
_NONE = np.empty(0, np.int64)

Codes = npt.NDArray[np.int32]
T = TypeVar("T")
# product_id, sku, category, brand, variant, name, price, quantity
_Line = tuple[
    str | int | None, str | int | None, str | None, str | None, str | None, str | None, float | None, float | None
]


class Decoded(NamedTuple):
    """n decoded events, list by list; `properties` are read only where the name says of which kind they are."""

    names: list[int]  # index into NAMES; -1 is an unknown name
    customers: list[str]
    times: Sequence[int]
    received: Sequence[int]
    available: Sequence[int]
    message_ids: list[str]
    trusted: list[bool]
    properties: list[Any]
    contexts: list[Context]


def from_events(events: Sequence[Event], available: Sequence[int]) -> Events:
    """Decoded events as columns.

    Args:    available: ms UTC by event, when a reader could know it.
    """
    gathering = Gathering()
    gathering.add(
        Decoded(
            names=[code_of(event.type, event.name) for event in events],
            customers=[event.customer for event in events],
            times=[event.event_time for event in events],
            received=[event.received_at for event in events],
            available=available,
            message_ids=[event.message_id for event in events],
            trusted=[event.trusted for event in events],
            properties=[event.properties for event in events],
            contexts=[event.context for event in events],
        )
    )
    return gathering.events()


def code_of(kind: str, name: str) -> int:
    """Index into NAMES of an event of a type; -1 for a track event that is unknown, or calls itself `page`."""
    return _TRACKED.get(name, -1) if kind == "track" else _KINDS[name]


class Index(Generic[T]):
    """Different values by their first rows, and which of them each row has."""

    def __init__(self) -> None:
        self.values: dict[T, int] = defaultdict(count().__next__)
        self.codes: list[int] = []

    def add(self, rows: Iterable[T]) -> None:
        """More rows."""
        self.codes += map(self.values.__getitem__, rows)

    def text(self, of: Callable[[T], str | None]) -> Text:
        """A text of each row."""
        return Text.of([of(each) or "" for each in self.values]).take(self.rows)

    @property
    def rows(self) -> Codes:
        """(n,) which of the values each row has."""
        return np.array(self.codes, np.int32)


class Gathering:
    """Events that come in pieces: what is read of one is read while it is at hand, and it isn't held after that."""

    def __init__(self) -> None:
        self.parts: list[tuple[Numbers, ...]] = []
        self.hashes: list[Hashes] = []
        self.customers, self.currencies = Index[str](), Index[str]()
        self.contexts, self.lines = Index[Context](), Index[_Line]()
        self.line_of: list[Numbers] = []
        self.order_rows: list[Numbers] = []
        self.orders: list[Any] = []
        self.n = 0

    def add(self, decoded: Decoded) -> None:
        """More events."""
        names = np.array(decoded.names, np.int16)
        kinds = _KIND[names]
        told = (names, decoded.times, decoded.received, decoded.available, decoded.trusted)
        self.parts.append(tuple(np.array(column, np.int64) for column in told))
        self.hashes.append(message_hashes(decoded.message_ids))
        self.customers.add(decoded.customers)
        self.contexts.add(decoded.contexts)
        kept = zip(decoded.properties, kinds.tolist(), strict=True)
        self.currencies.add([each.currency or "" if kind else "" for each, kind in kept])
        rows = np.flatnonzero(kinds == _ORDER)
        orders = [decoded.properties[at] for at in rows.tolist()]
        lines, line_of = _lines(decoded.properties, kinds, rows, orders)
        self.lines.add(lines)
        self.line_of.append(line_of + self.n)
        self.order_rows.append(rows + self.n)
        self.orders += orders
        self.n += len(names)

    def events(self) -> Events:
        """All of them, in their order."""
        names, times, received, available, trusted = _columns(self.parts)
        currency = self.currencies.text(str).map(currency_code)
        scale = np.array([10 ** exponent(code) for code in currency.values], np.int64)[currency.codes]
        line_of, rows = np.concatenate([_NONE, *self.line_of]), np.concatenate([_NONE, *self.order_rows])
        coupons = Text.of(["", *(each.coupon or "" for each in self.orders)])
        coupon = np.zeros(self.n, np.int32)
        coupon[rows] = coupons.codes[1:]
        context = self.contexts
        device = context.text(lambda each: (each.device.type if each.device else None) or each.user_agent)
        country = context.text(lambda each: each.location.country if each.location else None).map(country_of)
        locale = context.text(lambda each: each.locale)
        return Events(
            customer=self.customers.text(str),
            name=names.astype(np.int16),
            time=times,
            received=received,
            available=available,
            message=np.concatenate([np.empty(0, np.uint64), *self.hashes]),
            trusted=trusted.astype(np.bool_),
            numbers=_numbers(rows, self.orders, scale),
            texts={
                "currency": currency,
                "coupon": Text(coupon, coupons.values),
                "device": device.map(device_of),
                "country": _either(country, locale.map(region_of)),
                "locale": locale,
                "source": context.text(lambda each: each.campaign.source if each.campaign else None),
                "medium": context.text(lambda each: each.campaign.medium if each.campaign else None),
            },
            line_of=line_of.astype(np.int32),
            line_numbers=_line_numbers(self.lines, scale[line_of]),
            line_texts={
                "item": self.lines.text(lambda line: str(line[1] if line[0] is None else line[0])),
                "category": self.lines.text(lambda line: line[2]),
                "brand": self.lines.text(lambda line: line[3]),
                "variant": self.lines.text(lambda line: line[4]),
                "name": self.lines.text(lambda line: line[5]),
            },
        )


def _columns(parts: list[tuple[Numbers, ...]]) -> list[Numbers]:
    return [np.concatenate([_NONE, *(part[at] for part in parts)]) for at in range(5)]


def _lines(properties: list[Any], kinds: Numbers, orders: Numbers, of_orders: list[Any]) -> tuple[list[_Line], Numbers]:
    """All lines that name an item, and which event each is of, ascending."""
    products = np.flatnonzero(kinds == _PRODUCT)
    lines = [properties[at] for at in products.tolist()]
    more = [[line for line in each.products or () if line.item_id] for each in of_orders]
    line_of = np.concatenate((products, np.repeat(orders, [len(each) for each in more])))
    lines += [line for each in more for line in each]
    told = [
        (line.product_id, line.sku, line.category, line.brand, line.variant, line.name, line.price, line.quantity)
        for line in lines
    ]
    order = np.argsort(line_of, kind="stable").tolist()
    if all(line[0] is not None or line[1] is not None for line in told):
        return [told[at] for at in order], line_of[order]
    order = [at for at in order if told[at][0] is not None or told[at][1] is not None]
    return [told[at] for at in order], line_of[order]


def _line_numbers(lines: Index[_Line], scale: Numbers) -> dict[str, Numbers]:
    rows = lines.rows
    quantity = np.array([1.0 if line[7] is None else line[7] for line in lines.values], np.float64)[rows]
    sent = _minor(np.array([line[6] for line in lines.values], np.float64)[rows], scale)
    price = np.where(sent == MISSING, 0, sent)
    whole = quantity == np.floor(quantity)  # whole pieces are counted in integers: a float holds 53 bits
    cents = np.where(whole, price * quantity.astype(np.int64), np.rint(price * quantity).astype(np.int64))
    pieces = np.maximum(1, np.rint(quantity).astype(np.int64))
    return {"pieces": pieces, "cents": np.where(sent == MISSING, MISSING, cents), "price": sent}


def _numbers(rows: Numbers, orders: list[Any], scale: Numbers) -> dict[str, Numbers]:
    sent = {
        "total": [each.revenue if each.total is None else each.total for each in orders],
        "discount": [each.discount for each in orders],
        "shipping": [each.shipping for each in orders],
        "tax": [each.tax for each in orders],
    }
    numbers = {}
    for name, amounts in sent.items():
        numbers[name] = np.full(len(scale), MISSING, np.int64)
        numbers[name][rows] = _minor(np.array(amounts, np.float64), scale[rows])
    return numbers


def _either(first: Text, second: Text) -> Text:
    """The first's text, else the second's."""
    both = Text.of([*first.values, *second.values])
    shifted = second.codes + np.int32(len(first.values))
    return Text(both.codes[np.where(first.present(), first.codes, shifted)], both.values)


def _minor(amounts: npt.NDArray[np.float64], scale: Numbers) -> Numbers:
    """Amounts in the major unit, NaN where absent, as minor units; halves to even."""
    absent = np.isnan(amounts)
    return np.where(absent, MISSING, np.rint(np.where(absent, 0.0, amounts) * scale).astype(np.int64))
