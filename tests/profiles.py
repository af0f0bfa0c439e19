"""Profiles made as the stream processor makes them: by folding events."""

import json
from typing import Any

import numpy as np

from features.decoded import from_events
from features.definitions import FEATURES
from features.events import Event, decode, iso
from features.folds import fold
from features.packing import pack
from features.profiles import Profile
from features.states import no_states

START = 1_767_225_600_000  # 2026-01-01


def packed(*events: Event) -> bytes:
    """One customer's packed state after these events, in this order, each known when the server took it."""
    columns = from_events(events, [event.received_at for event in events])
    folded = fold(FEATURES, no_states(1), columns, np.zeros(len(events), np.int64))
    return pack(folded.states)[0]


def profile(*messages: dict[str, Any]) -> Profile:
    """The profile of somebody who sent these messages; missing ids and times are filled in."""
    events = [decode(json.dumps(message(number, **each)).encode(), 0) for number, each in enumerate(messages)]
    return Profile([packed(*events)])


def message(
    number: int = 0, event: str = "Product Viewed", item: str = "i", at: int = START, **more: Any
) -> dict[str, Any]:
    """A tracked event about one item."""
    line = {"product_id": item, "price": 1.0}
    properties: dict[str, Any] = line
    if event.startswith("Order"):
        properties = {"order_id": f"o{number}", "currency": "GBP", "products": [line]}
    sent = {"type": "track", "userId": "u", "event": event, "messageId": f"m{number}", "properties": properties}
    return sent | {"timestamp": iso(at), "receivedAt": iso(at)} | more
