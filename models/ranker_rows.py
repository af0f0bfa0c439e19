"""The rows that a ranker reads: one for each candidate of one request, made the same way in training and in serving.

Whoever asks brings what is known at the moment: live features of the customer and of the items, and the catalogue. In
training they are read point in time from the event log, in serving from the live state; what becomes of them is here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.arrays import Float32

CUSTOMER = (
    "since_event", "since_order", "orders_365d", "views_24h", "views_30d", "adds_24h", "session_events",
    "session_views", "cart_rate_30d", "median_price_viewed_90d",
)  # fmt: skip
ITEM = (
    "item_views_24h", "item_views_7d", "item_views_30d", "item_adds_30d", "item_orders_24h", "item_orders_30d",
    "item_popularity_7d", "item_popularity_90d", "item_conversion_30d", "item_trend_7d",
)  # fmt: skip
KINDS = {"viewed": ("Product Viewed", "Product Clicked"), "added": ("Product Added",), "ordered": ("Order Completed",)}
AFFINITY, RECENT = "category_affinity", "recent_items"
OF_CUSTOMER = (*CUSTOMER, AFFINITY, RECENT)  # the live features that a request brings, ITEM those of its candidates
CROSS = ("price", "in_stock", "price_to_usual", AFFINITY, "category_as_last",
         *(f"{what}_{kind}" for kind in KINDS for what in ("times", "since")))  # fmt: skip
NAMES = ("base_rank", *CUSTOMER, *ITEM, *CROSS)
_OF_CUSTOMER = slice(1, 1 + len(CUSTOMER))
_OF_ITEM = slice(_OF_CUSTOMER.stop, _OF_CUSTOMER.stop + len(ITEM))

_KIND_OF = {event: kind for kind, events in KINDS.items() for event in events}

Float64 = NDArray[np.float64]


class Customer(NamedTuple):
    """Who asks, at `now` (ms UTC): the values of OF_CUSTOMER by name, None where there is none, and the category of the
    item met last.
    """

    now: int
    features: Mapping[str, Any]
    last_category: str = ""


class Things(NamedTuple):
    """n candidates, best first: ids, `live` (n, len(ITEM)) float64 with NaN for none, and what the catalogue says:
    `price` and `in_stock` (n,) float64, NaN where it says nothing, `category`, empty where it says nothing.
    """

    ids: Sequence[str]
    live: Float64
    price: Float64
    in_stock: Float64
    category: Sequence[str]


def table_of(customer: Customer, things: Things) -> Float32:
    """(n, len(NAMES)) float32, NaN where nothing is known."""
    found = customer.features
    columns: dict[str, Any] = _taste(found, things, customer.last_category)
    columns |= _met(found.get(RECENT) or (), things.ids, customer.now)
    table = np.empty((len(things.ids), len(NAMES)), dtype=np.float32)
    table[:, 0] = np.arange(1, len(table) + 1)
    table[:, _OF_CUSTOMER] = [_number(found.get(name)) for name in CUSTOMER]
    table[:, _OF_ITEM] = things.live
    for at, name in enumerate(CROSS, _OF_ITEM.stop):
        table[:, at] = columns[name]
    return table


def _number(value: Any) -> float:
    return np.nan if value is None else float(value)


def _taste(found: Mapping[str, Any], things: Things, last_category: str) -> dict[str, Any]:
    """How a candidate's category and price fit what the customer likes."""
    liked = found.get(AFFINITY) or {}
    total = sum(liked.values())
    usual = _number(found.get("median_price_viewed_90d")) / 100  # minor units
    return {
        "price": things.price,
        "in_stock": things.in_stock,
        "price_to_usual": things.price / usual if usual > 0 else np.nan,
        AFFINITY: [liked.get(each, 0.0) / total if each and total > 0 else np.nan for each in things.category],
        "category_as_last": [float(each == last_category) if each else np.nan for each in things.category],
    }


def _met(recent: Sequence[tuple[int, str, str]], ids: Sequence[str], now: int) -> dict[str, Any]:
    """How often, and how many ms ago, the customer viewed, put into the cart, ordered each candidate lately."""
    place = {item_id: at for at, item_id in enumerate(ids)}
    found: dict[str, Any] = {}
    for kind in KINDS:
        found |= {f"times_{kind}": [0.0] * len(ids), f"since_{kind}": [np.nan] * len(ids)}
    for at, item_id, event in recent:
        row, which = place.get(item_id), _KIND_OF.get(event)
        if row is not None and which is not None:
            found[f"times_{which}"][row] += 1.0
            since = found[f"since_{which}"]
            if not since[row] <= now - at:  # which NaN isn't either
                since[row] = float(now - at)
    return found
