"""What the demo's page asks for beside the public API; these routes exist in the demo only."""

import time
from collections.abc import Mapping
from typing import Any

from features.events import customer_of, iso
from features.items import Item
from features.money import exponent
from features.online import answers
from features.profiles import Profile
from serving.decide.state import State
from serving.engine import Engine

RECENT = 12
OF_CUSTOMERS = ("customer", "session", "customer x category")
CUSTOMERS = 100


async def customers(engine: Engine, query: str, limit: int) -> dict[str, Any]:
    """Known customers, newest activity first."""
    with answers(engine.settings.redis):
        names = [name for name, _ in await engine.profiles.customers(min(max(limit, 1), CUSTOMERS), query)]
        found = zip(names, [await engine.profiles.profile(name) for name in names], strict=True)
    return {
        "customers": [
            {"user_id": name[2:], "events": sum(_counts(profile).values()), "last_seen": iso(profile.last_seen)}
            for name, profile in found
        ]
    }


async def profile(engine: Engine, user_id: str | None, anonymous_id: str | None) -> dict[str, Any]:
    """One customer's live profile; zeros for a customer nobody has seen."""
    customer = customer_of(user_id, anonymous_id)
    with answers(engine.settings.redis):
        state = await engine.profiles.profile(customer) if customer else Profile()
    table = state.table.features
    features = state.features(time.time_ns() // 1_000_000, [f.name for f in table.values() if f.entity in OF_CUSTOMERS])
    liked = [(name, weight) for name, weight in features["category_affinity"].items() if weight > 0]
    total = sum(weight for _, weight in liked)
    spend = {code: cents - features["refunded"].get(code, 0) for code, cents in features["spend"].items()}
    affinity = sorted(liked, key=lambda entry: (-entry[1], entry[0]))
    return {
        "customer": customer[2:],
        "events": sum(features["event_counts"].values()),
        "features": features,
        "counts": features["event_counts"],
        "recent": _recent(state, engine.follower.state),
        "affinity": [{"category": name, "share": weight / total} for name, weight in affinity[:8]],
        "spend": [{"currency": code, "amount": _amount(cents, code)} for code, cents in spend.items()],
        "orders": features["orders"],
        "first_seen": iso(features["first_seen"]) if features["first_seen"] else None,
        "last_seen": iso(state.last_seen) if state.last_seen else None,
    }


def items(state: State, ids: list[str]) -> dict[str, Any]:
    """What the catalogue says of some items; those that it doesn't know are left out."""
    known: Mapping[str, Item] = state.catalogue or {}
    return {"items": [_item(known[item_id]) for item_id in ids if item_id in known]}


def _amount(minor: int, currency: str) -> str:
    """Minor units as people write them."""
    decimals = exponent(currency)
    return f"{minor / 10**decimals:.{decimals}f}"


def _counts(profile: Profile) -> dict[str, int]:
    counts: dict[str, int] = profile.features(profile.last_seen, ["event_counts"])["event_counts"]
    return counts


def _recent(state: Profile, shop: State) -> list[dict[str, Any]]:
    known: Mapping[str, Item] = shop.catalogue or {}
    rows = []
    for item_id, _, event, at in state.history()[:RECENT]:
        item = known.get(item_id, Item(item_id=item_id))
        rows.append(
            {
                "item_id": item_id,
                "title": item.title,
                "category": item.category,
                "event": event,
                "timestamp": iso(at),
            }
        )
    return rows


def _item(item: Item) -> dict[str, Any]:
    names = ("item_id", "title", "category", "price", "currency", "in_stock", "url", "incomplete")
    return {name: getattr(item, name) for name in names}
