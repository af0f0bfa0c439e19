"""Business actions: what a shop's people want shown, moved or hidden. Data, checked when it is loaded.

    [{"action": "pin", "name": "hero", "item_id": "i7", "position": 1, "placements": ["home"]},
     {"action": "boost", "name": "summer", "where": {"categories": ["garden"]}, "places": 5,
      "until": "2026-09-01T00:00:00Z"},
     {"action": "bury", "name": "last pieces", "where": {"tags": ["remnant"]}},
     {"action": "filter", "name": "adults", "where": {"categories": ["spirits"]}, "show": "without"}]

An action is a frozen struct with apply(). None can show what is excluded, sold out, bought or outside the limits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, structs

from features.errors import BadRule
from features.items import Item
from serving.decide.limits import EVERYTHING, Limits, Where
from serving.decide.pool import Candidate, Pool

Name = Annotated[str, Meta(min_length=1, max_length=100)]
Moment = Annotated[datetime, Meta(tz=True)]
Places = Annotated[int, Meta(ge=1, le=100)]
Shop = Mapping[str, Item]
MOST = 1_000


class _Action(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="action"):
    """What all have: a name that is shown as the reason, where it holds (empty: everywhere) and when."""

    name: Name
    placements: frozenset[str] = frozenset()
    since: Moment | None = None
    until: Moment | None = None

    def holds(self, placement: str, now: int) -> bool:
        """Whether it holds in a placement at a moment (ms UTC); `until` is the first moment at which it doesn't."""
        moment = now / 1000
        return (
            (not self.placements or placement in self.placements)
            and (self.since is None or self.since.timestamp() <= moment)
            and (self.until is None or moment < self.until.timestamp())
        )


class Pin(_Action, frozen=True, kw_only=True, tag="pin"):
    """Puts an item at a position; where another pin has it already, at the next one that is free."""

    item_id: Annotated[str, Meta(min_length=1, max_length=255)]
    position: Places

    def apply(self, pool: Pool, shop: Shop) -> Pool:  # noqa: ARG002 - every action that moves takes the same
        """The pool with the item pinned; it is taken in where no source has found it."""
        found = [candidate for candidate in pool if candidate.item_id == self.item_id]
        best = pool[0].score if pool else 0.0
        item = found[0] if found else Candidate(self.item_id, best, "rules")
        taken = {candidate.pinned for candidate in pool}
        position = next(place for place in range(self.position, MOST * 2) if place not in taken)
        pinned = structs.replace(item, pinned=position, rules=(*item.rules, self.name))
        return [candidate for candidate in pool if candidate.item_id != self.item_id] + [pinned]


class Boost(_Action, frozen=True, kw_only=True, tag="boost"):
    """Moves items up by some places."""

    where: Where
    places: Places

    def apply(self, pool: Pool, shop: Shop) -> Pool:
        """The pool in its new order; scores mean nothing across models, so places are moved, not scores."""
        moved = [_marked(candidate, self.name, self.where, shop) for candidate in pool]
        keys = [
            at - (self.places + 0.5) * (new is not old) for at, (new, old) in enumerate(zip(moved, pool, strict=True))
        ]
        return [moved[at] for at in sorted(range(len(pool)), key=keys.__getitem__)]


class Bury(_Action, frozen=True, kw_only=True, tag="bury"):
    """Moves items behind all others: they are shown where nothing else is left."""

    where: Where

    def apply(self, pool: Pool, shop: Shop) -> Pool:
        """The pool in its new order."""
        moved = [_marked(candidate, self.name, self.where, shop) for candidate in pool]
        return sorted(moved, key=lambda candidate: self.name in candidate.rules)


class Filter(_Action, frozen=True, kw_only=True, tag="filter"):
    """Shows nothing but the items, or never the items."""

    where: Where
    show: Literal["only", "without"]

    def apply(self, limits: Limits) -> Limits:
        """The limits with this one among them."""
        if self.show == "only":
            return replace(limits, only=(*limits.only, self.where))
        return replace(limits, without=(*limits.without, self.where))


Action = Pin | Boost | Bury | Filter
_decoder = msgspec.json.Decoder(Annotated[list[Action], Meta(max_length=MOST)])


def actions_of(raw: bytes) -> tuple[Action, ...]:
    """The actions of a JSON file.

    Raises:  BadRule: it can't be used; `field` says where, the message why.
    """
    try:
        actions = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message, _, path = str(error).partition(" - at `$")
        raise BadRule(message, path.rstrip("`") or "the file") from error
    names: set[str] = set()
    for at, action in enumerate(actions):
        if problem := _problem(action, names):
            raise BadRule(f"{action.name!r}: {problem}", f"[{at}]")
        names.add(action.name)
    return tuple(actions)


def active(actions: Sequence[Action], placement: str, now: int) -> tuple[Action, ...]:
    """Those that hold in a placement at a moment."""
    return tuple(action for action in actions if action.holds(placement, now))


def _problem(action: Action, names: set[str]) -> str:
    if action.name in names:
        return "another action has this name already"
    if action.since is not None and action.until is not None and action.since >= action.until:
        return "`until` must come after `since`"
    if not isinstance(action, Pin) and action.where == EVERYTHING:
        return "`where` must say which items are meant"
    return ""


def _marked(candidate: Candidate, name: str, where: Where, shop: Shop) -> Candidate:
    item = shop.get(candidate.item_id)
    return (
        candidate
        if item is None or not where.holds(item)
        else structs.replace(candidate, rules=(*candidate.rules, name))
    )
