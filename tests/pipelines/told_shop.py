"""A simulated shop with its events read back, for the suites that look at it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from features.events import Event, decode
from pipelines.simulate import Shop, Truth, truth

UNTIL = 1_767_225_600_000  # 2026-01-01T00:00Z


@dataclass(frozen=True)
class Told:
    """A shop with its events read back."""

    shop: Shop
    raw: list[bytes]

    @cached_property
    def events(self) -> list[Event]:
        return [decode(raw, 0) for raw in self.raw]

    @cached_property
    def wires(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(raw) for raw in self.raw]

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    @cached_property
    def truth(self) -> Truth:
        return truth(self.shop)
