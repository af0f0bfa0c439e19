"""A customer's live profile: one state, or the states of all the ids that belong to one person, ready to be asked."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from features.definitions import FEATURES
from features.events import message_hash
from features.glance import Glance
from features.packing import unpack
from features.plain import Plain, plain_of, read_plain
from features.single import Single
from features.states import States, merged
from features.table import Table
from features.weights import WEIGHTS, recency

_NEVER = (0, 0, "")


class Profile:
    """What is known of a customer.

    Args:    packed: the states of the raw ids that belong together, None for one never seen; table: that they were
             packed with.
    Raises:  BrokenState: these bytes aren't states.
    """

    def __init__(self, packed: Sequence[bytes | None] = (), table: Table = FEATURES) -> None:
        self.table = table
        self.packed = list(packed)
        self._glance = Glance(self.packed[0] if self.packed else None) if len(self.packed) < 2 else None
        self._asked: Single | None = None

    @cached_property
    def state(self) -> Plain:
        """All of it."""
        if len(self.packed) < 2:
            return read_plain(self.packed[0] if self.packed else None)
        parts = self.parts
        return plain_of(merged(self.table, parts, np.zeros(parts.n, np.int64), 1))

    @cached_property
    def parts(self) -> States:
        """The states of the raw ids."""
        return unpack(self.packed)

    @property
    def last_seen(self) -> int:
        """Time of the newest event, ms UTC; 0: none."""
        return max(self.state.newest if self._glance is None else self._glance.newest, 0)

    def has_seen(self, message_id: str) -> bool:
        """Whether the event with this messageId is reflected."""
        return bool(np.any(self.parts.seen.message == np.uint64(message_hash(message_id))))

    def features(self, now: int, names: Iterable[str]) -> dict[str, Any]:
        """Features at a moment (ms UTC), plain values by name; the default where nothing was counted.

        Raises:  KeyError: there is no such feature.
        """
        moment = max(now, self.last_seen)
        if self._asked is None or self._asked.now != moment:
            self._asked = Single(self.table, self.state, moment)
        return self._asked.features(names)

    def has(self, name: str) -> bool:
        """Whether anything may have been counted for a feature: quickly told, where most have nothing."""
        series = [series for series, _ in self.table.plans[name]]
        return self._glance is None or any(self._glance.has(each) for each in series)

    def last(self, name: str) -> str:
        """A feature that keeps what was seen last; empty where nothing was, or no such feature is kept yet."""
        if name not in self.table.features:
            return ""
        if self._glance is not None and not self.table.features[name].window:
            times = self._glance.sums(self.table.plans[name][0][0])
            newest = [value for value, at in times.items() if at == max(times.values())]
            if len(newest) < 2:  # of several in one millisecond the feature knows which
                return newest[0] if newest else ""
        found: str | None = self.features(self.last_seen, [name])[name]
        return found or ""

    @cached_property
    def recent(self) -> list[tuple[int, str, str]]:
        """The newest touches: (time, item_id, event), newest first."""
        if self._glance is not None and self.table.glanced:
            return self._glance.touches[: int(self.table.features["recent_items"].argument)]
        touches: list[tuple[int, str, str]] = self.features(self.last_seen, ["recent_items"])["recent_items"]
        return touches

    def bought(self) -> set[str]:
        """Items of which the customer has bought more than given back."""
        bought, returned = self._sums("bought_items"), self._sums("returned_items")
        return {item for item, pieces in bought.items() if pieces > returned.get(item, 0)}

    def _sums(self, name: str) -> dict[str, int]:
        """A feature that sums up all there ever was, by item."""
        if self._glance is not None and self.table.glanced:
            return self._glance.sums(self.table.plans[name][0][0])
        sums: dict[str, int] = self.features(self.last_seen, [name])[name]
        return sums

    def history(self) -> list[tuple[str, float, str, int]]:
        """(item_id, confidence, strongest event, its time) per recent item, newest first: what models are asked with.

        A refund takes the order's weight back; an item with nothing left is not part of it.
        """
        return history_of(self.recent)


def history_of(recent: Sequence[tuple[int, str, str]]) -> list[tuple[str, float, str, int]]:
    """Profile.history() of the newest touches, newest first."""
    weight: dict[str, float] = {}
    strongest: dict[str, tuple[int, int, str]] = {}
    newest = recent[0][0] if recent else 0
    for at, item, name in recent:
        worth = WEIGHTS[name]
        weight[item] = weight.get(item, 0.0) + worth * recency(newest - at)
        event = (worth, at, name)
        if strongest.get(item, _NEVER) <= event:
            strongest[item] = event
    return [(item, total, strongest[item][2], strongest[item][1]) for item, total in weight.items() if total > 0]
