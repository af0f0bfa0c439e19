"""What `kindred demo --once` prints: a customer's slate, an event, and what it changed; all of it through HTTP."""

import time
import uuid
from typing import Any

import httpx

from features.events import iso
from features.items import Item
from pipelines import console

N = 8
TIMEOUT_S = 10.0

Answer = dict[str, Any]


def a_customer(url: str) -> str:
    """A recently active customer with a short history, on which one event shows; a new one where there is none."""
    found = _get(url, "/demo/customers", limit="50")["customers"]
    short = [customer for customer in found if customer["events"] > 2] or found
    return str(min(short, key=lambda customer: customer["events"])["user_id"]) if short else "somebody-new"


def slate_of(url: str, customer: str, after: str | None = None, n: int = N) -> Answer:
    """The customer's slate now, or once it reflects the event `after`."""
    body: Answer = {"user_id": customer, "n": n, "placement": "demo"}
    if after is not None:
        body["after"] = after
    answer: Answer = httpx.post(f"{url}/recommend", json=body, timeout=TIMEOUT_S).raise_for_status().json()
    return answer


def show_change(url: str, customer: str, before: Answer) -> None:
    """Let the customer view something of another kind, and print the slate before and after."""
    _show(url, f"slate of {customer}", before)
    item = _something_else(url, customer, before)
    message_id = uuid.uuid4().hex
    event = {
        "userId": customer,
        "event": "Product Viewed",
        "messageId": message_id,
        "timestamp": iso(time.time_ns() // 1_000_000),
        "properties": {"product_id": item.item_id, "name": item.title, "category": item.category},
    }
    sent = time.perf_counter()
    httpx.post(f"{url}/v1/track", json=event, timeout=TIMEOUT_S).raise_for_status()
    after = slate_of(url, customer, message_id)
    took = (time.perf_counter() - sent) * 1000
    console.say(f"\n{customer} views {item.item_id} {item.title} ({item.category})\n")
    _show(url, f"slate {took:.0f} ms after the event was sent", after)
    old = {entry["item_id"] for entry in before["items"]}
    fresh = sum(entry["item_id"] not in old for entry in after["items"])
    console.say(f"{fresh} of {len(after['items'])} items are new, {took:.0f} ms from event to changed slate")
    if after["degraded"]:
        console.say(f"degraded: {', '.join(after['degraded'])}")


def _something_else(url: str, customer: str, before: Answer) -> Item:
    """A popular item of a category that the slate doesn't hold; its last item where it holds them all."""
    shown = _items(url, before)
    kinds = {item.category for item in shown.values()}
    popular = _items(url, slate_of(url, f"{customer}-nobody", n=100))
    others = [item for item in popular.values() if item.category not in kinds and item.item_id not in shown]
    return (others or list(shown.values())[-1:] or [Item(item_id="unknown")])[0]


def _items(url: str, slate: Answer) -> dict[str, Item]:
    """What the catalogue says of the slate's items, in the slate's order."""
    ids = [entry["item_id"] for entry in slate["items"]]
    rows = {row["item_id"]: row for row in _get(url, "/demo/items", ids=",".join(ids))["items"]}
    known = [rows.get(item_id, {"title": "", "category": ""}) for item_id in ids]
    return {
        item_id: Item(item_id=item_id, title=row["title"], category=row["category"])
        for item_id, row in zip(ids, known, strict=True)
    }


def _show(url: str, title: str, slate: Answer) -> None:
    items = _items(url, slate)
    rows = []
    for entry in slate["items"]:
        item = items[entry["item_id"]]
        why = ", ".join(" ".join(filter(None, (r["kind"], r.get("item_id")))) for r in entry["reasons"])
        rows.append((entry["rank"], entry["item_id"], item.title, item.category, f"{entry['score']:.3f}", why))
    model = slate["model"]
    named = f"{model['name']} version {model['version']}" if model else "no model"
    console.table(f"{title} ({named}, as of {slate['as_of']})", ("", "item", "title", "category", "score", "why"), rows)


def _get(url: str, path: str, **query: str) -> Answer:
    answer: Answer = httpx.get(f"{url}{path}", params=query, timeout=TIMEOUT_S).raise_for_status().json()
    return answer
