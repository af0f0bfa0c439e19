"""Decoded events as columns: what is the same of many of them, a context or a line, is looked at once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from features.columns import MISSING, NAMES, Events, Numbers, Text, message_hashes
from features.context import Context, country_of, device_of, region_of
from features.events import EVENTS, Event
from features.money import currency_code, exponent
from features.properties import AnyProperties, OrderProperties, ProductProperties

_TRACKED = {name: at for at, name in enumerate(NAMES) if name in EVENTS}
_KINDS = {name: at for at, name in enumerate(NAMES) if name not in EVENTS}
SHAPES = (*(EVENTS.get(name, AnyProperties) for name in NAMES), AnyProperties)  # of properties by name; [-1]: unknown
_KIND = np.array([(AnyProperties, ProductProperties, OrderProperties).index(shape) for shape in SHAPES])
_PRODUCT, _ORDER = 1, 2
_NONE: tuple[tuple[Any, ...], ...] = ((),) * 8


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
    return from_decoded(
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


def code_of(kind: str, name: str) -> int:
    """Index into NAMES of an event of a type; -1 for a track event that is unknown, or calls itself `page`."""
    return _TRACKED.get(name, -1) if kind == "track" else _KINDS[name]


def from_decoded(decoded: Decoded) -> Events:
    """The same of lists."""
    names = np.array(decoded.names, np.int16)
    kinds = _KIND[names]
    currency = _currency(decoded.properties, kinds)
    scale = np.array([10 ** exponent(code) for code in currency.values], np.int64)[currency.codes]
    orders = np.flatnonzero(kinds == _ORDER)
    of_orders = [decoded.properties[at] for at in orders.tolist()]
    lines, line_of = _lines(decoded.properties, kinds, orders, of_orders)
    numbers, texts = _line_columns(lines, scale[line_of])
    return Events(
        customer=Text.of(decoded.customers),
        name=names,
        time=np.array(decoded.times, np.int64),
        received=np.array(decoded.received, np.int64),
        available=np.array(decoded.available, np.int64),
        message=message_hashes(decoded.message_ids),
        trusted=np.array(decoded.trusted, np.bool_),
        numbers=_numbers(orders, of_orders, scale),
        texts={"currency": currency, "coupon": _coupons(orders, of_orders, len(names)), **_contexts(decoded.contexts)},
        line_of=line_of.astype(np.int32),
        line_numbers=numbers,
        line_texts=texts,
    )


def _currency(properties: list[Any], kinds: Numbers) -> Text:
    kept = zip(properties, kinds.tolist(), strict=True)
    return Text.of([each.currency or "" if kind else "" for each, kind in kept]).map(currency_code)


def _lines(properties: list[Any], kinds: Numbers, orders: Numbers, of_orders: list[Any]) -> tuple[list[Any], Numbers]:
    """All lines that name an item, and which event each is of, ascending."""
    products = np.flatnonzero(kinds == _PRODUCT)
    lines = [properties[at] for at in products.tolist()]
    more = [[line for line in each.products or () if line.item_id] for each in of_orders]
    line_of = np.concatenate((products, np.repeat(orders, [len(each) for each in more])))
    lines += [line for each in more for line in each]
    named = [line.product_id is not None or line.sku is not None for line in lines]
    if not all(named):
        lines, line_of = [line for line, there in zip(lines, named, strict=True) if there], line_of[named]
    order = np.argsort(line_of, kind="stable")
    return [lines[at] for at in order.tolist()], line_of[order]


def _line_columns(lines: list[Any], scale: Numbers) -> tuple[dict[str, Numbers], dict[str, Text]]:
    index: dict[tuple[Any, ...], int] = {}
    told = [
        (line.product_id, line.sku, line.category, line.brand, line.variant, line.name, line.price, line.quantity)
        for line in lines
    ]
    codes = np.fromiter([index.setdefault(each, len(index)) for each in told], np.int32, len(told))
    products, skus, categories, brands, variants, names, prices, quantities = (
        zip(*index, strict=True) if index else _NONE
    )
    texts = {
        "item": Text.of(
            [str(sku if product is None else product) for product, sku in zip(products, skus, strict=True)]
        ),
        "category": Text.of([text or "" for text in categories]),
        "brand": Text.of([text or "" for text in brands]),
        "variant": Text.of([text or "" for text in variants]),
        "name": Text.of([text or "" for text in names]),
    }
    quantity = np.array([1.0 if each is None else each for each in quantities], np.float64)[codes]
    price = np.array(prices, np.float64)[codes]
    return _line_numbers(quantity, price, scale), {name: column.take(codes) for name, column in texts.items()}


def _line_numbers(
    quantity: npt.NDArray[np.float64], amount: npt.NDArray[np.float64], scale: Numbers
) -> dict[str, Numbers]:
    sent = _minor(amount, scale)
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


def _coupons(rows: Numbers, orders: list[Any], n: int) -> Text:
    coupons = Text.of(["", *(each.coupon or "" for each in orders)])
    codes = np.zeros(n, np.int32)
    codes[rows] = coupons.codes[1:]
    return Text(codes, coupons.values)


def _contexts(contexts: list[Context]) -> dict[str, Text]:
    index: dict[Context, int] = {}
    codes = np.fromiter([index.setdefault(each, len(index)) for each in contexts], np.int32, len(contexts))
    campaigns = [each.campaign for each in index]
    locale = Text.of([each.locale or "" for each in index])
    country = Text.of([(each.location.country if each.location else None) or "" for each in index]).map(country_of)
    devices = [(each.device.type if each.device else None) or each.user_agent or "" for each in index]
    found = {
        "device": Text.of(devices).map(device_of),
        "country": _either(country, locale.map(region_of)),
        "locale": locale,
        "source": Text.of([(campaign.source if campaign else None) or "" for campaign in campaigns]),
        "medium": Text.of([(campaign.medium if campaign else None) or "" for campaign in campaigns]),
    }
    return {name: column.take(codes) for name, column in found.items()}


def _either(first: Text, second: Text) -> Text:
    """The first's text, else the second's."""
    both = Text.of([*first.values, *second.values])
    shifted = second.codes + np.int32(len(first.values))
    return Text(both.codes[np.where(first.present(), first.codes, shifted)], both.values)


def _minor(amounts: npt.NDArray[np.float64], scale: Numbers) -> Numbers:
    """Amounts in the major unit, NaN where absent, as minor units; halves to even."""
    absent = np.isnan(amounts)
    return np.where(absent, MISSING, np.rint(np.where(absent, 0.0, amounts) * scale).astype(np.int64))
