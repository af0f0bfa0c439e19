"""The features: what each is called, what it means, and how it is read from a customer's state.

WEIGHTS says which events tie a customer to an item, and how strongly; folds, training and serving all read it here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np

    from features.folds import Profile

FloatOrArray = TypeVar("FloatOrArray", float, "np.ndarray[Any, np.dtype[np.float64]]")

WEIGHTS: dict[str, int] = {
    "Product Viewed": 1,
    "Product Clicked": 1,
    "Product Added to Wishlist": 2,
    "Product Added": 3,
    "Order Completed": 5,
    "Order Refunded": -5,
}


# What a customer did last counts up to (1 + RECENT_BOOST) times as much, half of that a day before, and so on.
RECENT_BOOST = 4.0
RECENT_HALF_LIFE_MS = 86_400_000


def recency(age_ms: FloatOrArray) -> FloatOrArray:
    """How much an event counts when a model is asked, by its age before the customer's newest event (ms, 0 or more).

    Chosen on validation data: on the shops at hand it neither helps nor hurts ranking, and a slate reacts to one click.
    """
    counts: FloatOrArray = 1.0 + RECENT_BOOST * 0.5 ** (age_ms / RECENT_HALF_LIFE_MS)
    return counts


@dataclass(frozen=True)
class Feature:
    """One feature of a customer; `read` is a pure function of the state."""

    name: str
    dtype: str
    unit: str
    description: str
    read: Callable[["Profile"], Any]


def _kept(profile: "Profile") -> dict[str, int]:
    return {item_id: pieces for item_id, (pieces, _) in profile.bought.items() if pieces > 0}


FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature("event_counts", "map<string,int>", "events", "Events by name", lambda p: p.counts),
        Feature("recent_items", "list", "-", "Newest 100 (time, item, event)", lambda p: p.recent),
        Feature("bought_items", "map<string,int>", "pieces", "Pieces bought and kept, by item", _kept),
        Feature("category_affinity", "map<string,int>", "weight", "Weighted events by category", lambda p: p.affinity),
        Feature("spend", "map<string,int>", "minor units", "Orders less refunds, by currency", lambda p: p.spend),
        Feature("orders", "int", "orders", "Orders completed", lambda p: p.orders),
        Feature("first_seen", "int", "ms UTC", "Time of the earliest event; 0: none", lambda p: p.first_seen),
        Feature("last_seen", "int", "ms UTC", "Time of the latest event; 0: none", lambda p: p.last_seen),
    )
}


def history(profile: "Profile") -> list[tuple[str, float, str, int]]:
    """(item_id, confidence, strongest event, its time) per recent item, newest first: what models are asked with.

    A refund takes the order's weight back; an item with nothing left is not part of it.
    """
    weight: dict[str, float] = {}
    strongest: dict[str, tuple[int, int, str]] = {}
    newest = profile.recent[0][0] if profile.recent else 0
    for at, item_id, name in profile.recent:
        weight[item_id] = weight.get(item_id, 0.0) + WEIGHTS[name] * recency(newest - at)
        strongest[item_id] = max(strongest.get(item_id, (0, 0, "")), (WEIGHTS[name], at, name))
    return [
        (item_id, total, strongest[item_id][2], strongest[item_id][1]) for item_id, total in weight.items() if total > 0
    ]


def bought(profile: "Profile") -> set[str]:
    """Items of which the customer has bought more than given back."""
    return set(_kept(profile))
