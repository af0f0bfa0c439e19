"""What a decision is made for: one customer, visitor or history at one moment, and the bounds of the slate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from msgspec import Struct

from features.profiles import Profile
from features.weights import WEIGHTS
from serving.decide.limits import Limits

Context = Mapping[str, str | int | float | bool | None]

NOWHERE: Context = MappingProxyType({})
LISTED = "listed_items_3d"


class Touch(Struct, frozen=True, gc=False):
    """One item of a customer's history: how strongly it ties them, the strongest event, and when it was met last.

    `at` is ms UTC.
    """

    item_id: str
    confidence: float
    event: str
    at: int = 0


class Stated(NamedTuple):
    """One entry of a history that the caller keeps itself; `at` is ms UTC, None where only the order is known."""

    item_id: str
    event: str
    at: int | None = None


@dataclass(frozen=True)
class Asked:
    """Everything that one decision is made for; equal `Asked` and equal State give equal decisions.

    `customer` is the raw id, "u:..." or "a:...", empty for a stateless client; `touches` are oldest first; `item_id` is
    the item that is looked at. With `alike` the slate is of items like that one, with `item_ids` it is these in their
    best order; with neither it is for the customer. `listed` says how often lists showed each item lately, `features`
    holds the customer's live features that a ranker reads. `now` and `as_of` (the time of the newest event that is
    reflected, 0: none) are ms UTC. With `explain` the decision carries a trace.
    """

    now: int
    n: int
    customer: str = ""
    touches: tuple[Touch, ...] = ()
    bought: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)
    exclude: tuple[str, ...] = ()
    item_id: str | None = None
    alike: str | None = None
    item_ids: tuple[str, ...] | None = None
    placement: str = "default"
    context: Context = field(default_factory=dict)
    listed: Mapping[str, int] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)
    as_of: int = 0
    explain: bool = False


def asked_by(
    profile: Profile,
    stated: Sequence[Stated],
    now: int,
    customer: str = "",
    item_id: str | None = None,
    context: Context = NOWHERE,
    n: int = 1,
    **what: Any,
) -> Asked:
    """What is known of somebody at a moment, as the service and every job ask it; whoever asks adds what for.

    Args:    stated: the history that the caller keeps; customer: the raw id; item_id: the item that is looked at;
             context: what the caller says of the circumstances; what: further fields of Asked.
    """
    return Asked(
        now=now,
        n=n,
        customer=customer,
        touches=touches_of(profile, stated, now, item_id),
        bought=bought_of(profile, stated),
        item_id=item_id,
        context=context_of(profile, context),
        listed=listed_of(profile, now),
        as_of=newest_of(profile, stated),
        **what,
    )


def touches_of(profile: Profile, stated: Sequence[Stated], now: int, item_id: str | None = None) -> tuple[Touch, ...]:
    """What ties the customer to items, oldest first, the item looked at last of all.

    The caller's own history is taken as it comes, or by time where all of it has times; it is newer than what is known,
    and what has no time happened now.
    """
    own = in_order(stated)
    if item_id is not None:
        own.append(Stated(item_id, "Product Viewed"))
    newest: dict[str, int] = {}
    for at, each, _ in profile.recent:
        newest.setdefault(each, at)
    live = [Touch(each, confidence, name, newest[each]) for each, confidence, name, _ in reversed(profile.history())]
    if not own:
        return tuple(live)
    said = [
        Touch(each.item_id, WEIGHTS.get(each.event, 0), each.event, now if each.at is None else each.at) for each in own
    ]
    merged: dict[str, Touch] = {}
    for touch in (*live, *said):
        before = merged.pop(touch.item_id, None)  # so that it stands at its newest place
        merged[touch.item_id] = touch if before is None else _both(before, touch)
    return tuple(touch for touch in merged.values() if touch.confidence > 0)


def bought_of(profile: Profile, stated: Sequence[Stated]) -> frozenset[str]:
    """Items that were bought and not given back, by the live profile or by what the caller says."""
    returned = {each.item_id for each in stated if each.event == "Order Refunded"}
    said = {each.item_id for each in stated if each.event == "Order Completed"} - returned
    return frozenset(profile.bought() | said)


def listed_of(profile: Profile, now: int) -> Mapping[str, int]:
    """How often lists showed each item lately; empty while an older generation of features serves."""
    if LISTED not in profile.table.features or not profile.has(LISTED):
        return {}
    found: Mapping[str, int] = profile.features(now, [LISTED])[LISTED]
    return found


def context_of(profile: Profile, said: Context) -> Context:
    """What the caller says; where that names no country or no device, the one that the customer was last seen with."""
    known = {"country": said.get("country") or said.get("locale"), "device": said.get("device")}
    last = {name: profile.last(name) for name, value in known.items() if not value}
    return {**said, **{name: value for name, value in last.items() if value}}


def newest_of(profile: Profile, stated: Sequence[Stated]) -> int:
    """Time of the newest event that is reflected, ms UTC; 0: none."""
    return max([profile.last_seen, *(each.at for each in stated if each.at is not None)])


def in_order(stated: Sequence[Stated]) -> list[Stated]:
    """By time where every entry has one, else as they come."""
    dated = [(each.at, each) for each in stated if each.at is not None]
    if len(dated) < len(stated):
        return list(stated)
    return [each for _, each in sorted(dated, key=lambda pair: pair[0])]


def _both(before: Touch, touch: Touch) -> Touch:
    event = max(before.event, touch.event, key=lambda name: WEIGHTS.get(name, 0))
    return Touch(touch.item_id, before.confidence + touch.confidence, event, max(before.at, touch.at))
