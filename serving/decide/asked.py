"""What a decision is made for: one customer, visitor or history at one moment, and the bounds of the slate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from features.profiles import Profile
from features.weights import WEIGHTS
from serving.decide.limits import Limits

Context = Mapping[str, str | int | float | bool | None]


class Touch(NamedTuple):
    """One item of a customer's history: how strongly it ties them, and the strongest event."""

    item_id: str
    confidence: float
    event: str


class Stated(NamedTuple):
    """One entry of a history that the caller keeps itself; `at` is ms UTC, None where only the order is known."""

    item_id: str
    event: str
    at: int | None = None


@dataclass(frozen=True)
class Asked:
    """Everything that one decision is made for; equal `Asked` and equal State give equal decisions.

    `customer` is the raw id, "u:..." or "a:...", empty for a stateless client; `touches` are oldest first; `alike` is
    the item that the slate is to be like, None for a slate for the customer; `now` and `as_of` (the time of the newest
    event that is reflected, 0: none) are ms UTC.
    """

    now: int
    n: int
    customer: str = ""
    touches: tuple[Touch, ...] = ()
    bought: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)
    exclude: tuple[str, ...] = ()
    alike: str | None = None
    placement: str = "default"
    context: Context = field(default_factory=dict)
    as_of: int = 0


def touches_of(profile: Profile, stated: Sequence[Stated], item_id: str | None = None) -> tuple[Touch, ...]:
    """What ties the customer to items, oldest first, the item looked at last of all.

    The caller's own history is taken as it comes, or by time where all of it has times; it is newer than what is known.
    """
    own = in_order(stated)
    if item_id is not None:
        own.append(Stated(item_id, "Product Viewed"))
    live = [Touch(each, confidence, name) for each, confidence, name, _ in reversed(profile.history())]
    merged: dict[str, Touch] = {}
    for touch in (*live, *(Touch(each.item_id, WEIGHTS.get(each.event, 0), each.event) for each in own)):
        before = merged.pop(touch.item_id, None)  # so that it stands at its newest place
        total = touch.confidence + (before.confidence if before else 0.0)
        names = [touch.event] if before is None else [before.event, touch.event]
        merged[touch.item_id] = Touch(touch.item_id, total, max(names, key=lambda name: WEIGHTS.get(name, 0)))
    return tuple(touch for touch in merged.values() if touch.confidence > 0)


def bought_of(profile: Profile, stated: Sequence[Stated]) -> frozenset[str]:
    """Items that were bought and not given back, by the live profile or by what the caller says."""
    returned = {each.item_id for each in stated if each.event == "Order Refunded"}
    return frozenset(
        profile.bought() | ({each.item_id for each in stated if each.event == "Order Completed"} - returned)
    )


def newest_of(profile: Profile, stated: Sequence[Stated]) -> int:
    """Time of the newest event that is reflected, ms UTC; 0: none."""
    return max([profile.last_seen, *(each.at for each in stated if each.at is not None)])


def in_order(stated: Sequence[Stated]) -> list[Stated]:
    """By time where every entry has one, else as they come."""
    dated = [(each.at, each) for each in stated if each.at is not None]
    if len(dated) < len(stated):
        return list(stated)
    return [each for _, each in sorted(dated, key=lambda pair: pair[0])]
