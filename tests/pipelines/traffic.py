"""A shop's events for tests of the stream: views, orders, refunds, logins, with all that goes wrong on the way."""

import json
import random
import time
from collections.abc import Iterator
from typing import Any

BASE = 1_767_225_600_000  # 2026-01-01
ARRIVED = BASE + 86_400_000
NAMES = ["Product Viewed"] * 6 + ["Product Added", "Order Completed", "Order Refunded", "Unheard Of"]


def traffic(seed: int, count: int, customers: int = 40, hot: float = 0.0) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of a shop's events: late ones, duplicates, orders, refunds, logins, a few malformed or misplaced.

    Args:    hot: the share of the events that are one customer's.
    """
    rng = random.Random(seed)
    sent: list[tuple[bytes, bytes]] = []
    for number in range(count):
        chance = rng.random()
        if sent and chance < 0.05:
            yield rng.choice(sent)
            continue
        customer = "c0" if rng.random() < hot else f"c{rng.randrange(customers)}"
        if chance < 0.07:
            yield customer.encode(), b'{"type":"track","userId":"' + customer.encode() + b'","event":7}'
            continue
        key = b"somebody-else" if chance < 0.09 else customer.encode()
        make = identified if chance < 0.12 else event
        sent.append((key, json.dumps(make(rng, f"m{seed}-{number}", customer)).encode()))
        yield sent[-1]


def event(rng: random.Random, message_id: str, customer: str) -> dict[str, Any]:
    """One event of a shop of 30 items, somewhen in 20 hours."""
    name = rng.choice(NAMES)
    line = {"product_id": f"i{rng.randrange(30)}", "price": rng.randrange(1, 9_999) / 100, "category": "garden"}
    order = {"order_id": message_id, "currency": "GBP", "products": [line | {"quantity": rng.randrange(1, 4)}]}
    return {
        "type": "track",
        "messageId": message_id,
        "userId": customer,
        "event": name,
        "timestamp": iso(BASE + rng.randrange(20 * 3_600_000)),
        "receivedAt": iso(BASE + 20 * 3_600_000 + rng.randrange(3_600_000)),
        "properties": order if name.startswith("Order") else line,
    }


def identified(rng: random.Random, message_id: str, customer: str) -> dict[str, Any]:
    """A login from one of 60 browsers."""
    message = event(rng, message_id, customer) | {"type": "identify", "anonymousId": f"b{rng.randrange(60)}"}
    return {name: value for name, value in message.items() if name not in {"event", "properties"}}


def iso(ms: int) -> str:
    """A time as it stands on the wire."""
    seconds, rest = divmod(ms, 1_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:03d}Z"


def viewed(customer: str, item: str = "i1", message_id: str | None = None, **fields: object) -> dict[str, Any]:
    """A view of an item at the start of 2026."""
    message: dict[str, Any] = {
        "type": "track",
        "event": "Product Viewed",
        "userId": customer,
        "properties": {"product_id": item},
    }
    return message | {"messageId": message_id or f"{customer}-{item}", "timestamp": iso(BASE)} | fields
