"""Exposures and the events that answer them, for tests."""

import json
from datetime import UTC, datetime
from typing import Any

from features.events import decode, iso
from features.exposures import Exposure, Shown
from features.offline import LoggedEvent, LoggedExposure

AT = 1_767_225_600_000  # 2026-01-01


def exposure(request_id: str, *items: str, at: int = AT, user_id: str | None = "u1", **more: Any) -> Exposure:
    """A slate of these items, drawn with propensity 1/position."""
    user_id = None if more.get("anonymous_id") else user_id
    slate = tuple(
        Shown(item_id=item, position=place, score=1 / place, propensity=1 / place, source="als")
        for place, item in enumerate(items, 1)
    )
    timestamp = datetime.fromtimestamp(at / 1000, UTC)
    return Exposure(request_id=request_id, timestamp=timestamp, user_id=user_id, slate=slate, **more)


def logged(offset: int, shown: Exposure, partition: int = 0) -> LoggedExposure:
    """The exposure as it stands in a log."""
    return LoggedExposure(partition, offset, round(shown.timestamp.timestamp() * 1000), shown)


def answer(offset: int, event: str, request_id: str | None, *items: str, at: int = AT + 1, **more: Any) -> LoggedEvent:
    """What a customer did with a slate, as the event log has it."""
    products = [{"product_id": item, "quantity": 1, "price": 1} for item in items]
    properties: dict[str, Any] = {"products": products, "order_id": f"o{offset}"}
    if event in {"Product Clicked", "Product Viewed"}:
        properties = {"product_id": items[0]}
    message = {"type": "track", "userId": "u1", "event": event, "timestamp": iso(at), "messageId": f"m{offset}"}
    raw = json.dumps(message | {"properties": properties | {"request_id": request_id}} | more).encode()
    return LoggedEvent(0, offset, at, decode(raw, at), False, raw)
