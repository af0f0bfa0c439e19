"""Segment messages: the structs of the wire, and the bytes in the order of arrival."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from pipelines.simulation.customers import customer_id
from pipelines.simulation.shop import DAY_MS, Ints
from pipelines.simulation.steps import (
    ADD,
    CHECKOUT,
    CLICK,
    IDENTIFY,
    LIST,
    ORDER,
    PAGE,
    REFUND,
    REMOVE,
    SEARCH,
    VIEW,
    WISH,
)
from pipelines.simulation.visits import World

LATEST_MS = 6 * 3_600_000

NAMES: dict[int, str] = {
    SEARCH: "Products Searched",
    LIST: "Product List Viewed",
    CLICK: "Product Clicked",
    VIEW: "Product Viewed",
    ADD: "Product Added",
    WISH: "Product Added to Wishlist",
    REMOVE: "Product Removed",
    CHECKOUT: "Checkout Started",
    ORDER: "Order Completed",
    REFUND: "Order Refunded",
}


class Product(Struct, frozen=True, omit_defaults=True):
    """One product as it stands in events; `price` in pounds."""

    product_id: str
    name: str
    category: str
    brand: str
    price: float
    currency: str
    quantity: int | None = None
    position: int | None = None
    list_id: str | None = None


class Listing(Struct, frozen=True):
    """A list of products that was shown."""

    list_id: str
    category: str
    currency: str
    products: list[Product]


class Basket(Struct, frozen=True, omit_defaults=True):
    """A cart or an order; amounts in pounds, `revenue` without shipping."""

    currency: str
    total: float
    products: list[Product]
    order_id: str | None = None
    revenue: float | None = None
    shipping: float | None = None


class Message(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """The envelope of a Segment message."""

    type: str
    message_id: str
    anonymous_id: str | None = None
    user_id: str | None = None
    event: str | None = None
    name: str | None = None
    timestamp: str
    received_at: str
    context: Any
    properties: Any = None
    traits: Any = None


class Draft(NamedTuple):
    """A message before it has its number; `anonymous` and `named` say which of the person's ids it carries."""

    time: int
    kind: int
    person: int
    anonymous: bool
    named: bool
    properties: Any


def write(world: World, drafts: list[Draft], first: int, rng: np.random.Generator) -> Iterator[bytes]:
    """The messages of a day in order of arrival, numbered from `first`."""
    shop = world.shop
    happened = np.array([draft.time for draft in drafts], dtype=np.int64)
    lag = rng.integers(20, 400, len(drafts))
    arrived = happened + np.where(rng.random(len(drafts)) < shop.late, rng.integers(0, LATEST_MS, len(drafts)), 0)
    arrived = np.minimum(arrived, np.maximum(happened, shop.starts(world.day) + DAY_MS - 1))
    twice = rng.random(len(drafts)) < shop.duplicates
    encoder, key = msgspec.json.Encoder(), shop.key
    timestamps, received = _iso(happened), _iso(arrived + lag)
    for number, place in enumerate(np.argsort(arrived, kind="stable").tolist(), first):
        message = _message(world, drafts[place], f"{key}-{number:08d}", timestamps[place], received[place])
        raw = encoder.encode(message)
        yield raw
        if twice[place]:
            yield raw


def anonymous_id(row: int) -> str:
    """The id of a person's browser."""
    return f"v{row:06d}"


def _message(world: World, draft: Draft, message_id: str, timestamp: str, received_at: str) -> Message:
    kind, person = draft.kind, draft.person
    return Message(
        type="identify" if kind == IDENTIFY else "page" if kind == PAGE else "track",
        message_id=message_id,
        anonymous_id=anonymous_id(person) if draft.anonymous else None,
        user_id=customer_id(person) if draft.named else None,
        event=NAMES.get(kind),
        name="Home" if kind == PAGE else None,
        timestamp=timestamp,
        received_at=received_at,
        context=_CONTEXTS[int(world.people.mobile[person])] if draft.anonymous else _SERVER,
        properties=None if kind == IDENTIFY else draft.properties,
        traits=draft.properties if kind == IDENTIFY else None,
    )


def _iso(times: Ints) -> list[str]:
    texts: list[str] = np.datetime_as_string(times.astype("datetime64[ms]"), unit="ms", timezone="UTC").tolist()
    return texts


_SERVER = {"library": {"name": "shop-server"}}
_CONTEXTS = tuple(
    {"device": {"type": kind}, "locale": "en-GB", "timezone": "Europe/London"} for kind in ("desktop", "mobile")
)
