"""What a decision is made from: a champion with its catalogue columns, swapped as one object."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from features.items import Item
from models.arrays import Int32, Mask
from models.contracts import Model
from models.interactions import IdMap
from models.ranker import Ranker


@dataclass(frozen=True)
class Limits:
    """What a slate is limited to; `categories` empty means all."""

    categories: frozenset[str] = frozenset()
    max_price: float | None = None

    def permits(self, item: Item) -> bool:
        """Whether an item is in stock and within the limits; without a price it is never below a maximum."""
        if not item.in_stock or (self.categories and item.category not in self.categories):
            return False
        return self.max_price is None or (item.price is not None and item.price <= self.max_price)


class Columns:
    """The catalogue as columns in the order of a model's items; what the catalogue lacks is not available.

    Where no catalogue could be read yet, everything the model knows is available: an answer from memory beats none.
    """

    def __init__(self, ids: IdMap, items: Mapping[str, Item] | None) -> None:
        self.ids = ids
        self.available: Mask = np.full(len(ids), items is None)
        self.price: NDArray[np.float64] = np.full(len(ids), np.nan)  # float32 would round large prices
        self.category: Int32 = np.full(len(ids), -1, dtype=np.int32)
        self._codes: dict[str, int] = {}
        self.update({item_id: items.get(item_id) for item_id in ids.ids} if items else {})

    def update(self, changed: Mapping[str, Item | None]) -> None:
        """Take changes of the catalogue in; None is an item that was deleted."""
        for item_id, item in changed.items():
            row = self.ids.row(item_id)
            if row < 0:
                continue
            self.available[row] = item is not None and item.in_stock
            if item is not None:
                self.price[row] = np.nan if item.price is None else item.price
                self.category[row] = self._codes.setdefault(item.category, len(self._codes))

    def allowed(self, limits: Limits, exclude: Iterable[str]) -> Mask:
        """(n_items,) what may be shown."""
        mask = self.available.copy()
        if limits.categories:
            mask &= np.isin(self.category, [self._codes.get(name, -2) for name in limits.categories])
        if limits.max_price is not None:
            mask &= self.price <= limits.max_price
        rows = [row for row in map(self.ids.row, exclude) if row >= 0]
        mask[rows] = False
        return mask


@dataclass(frozen=True)
class Champion:
    """A loaded, warm model of one version, with the columns of its items."""

    name: str
    version: str
    model: Model
    columns: Columns


@dataclass(frozen=True)
class Canary:
    """A challenger that is tried on a share of the customers."""

    challenger: Champion
    share: float


@dataclass(frozen=True)
class LoadedRanker:
    """A loaded ranker of one version."""

    version: str
    model: Ranker


@dataclass(frozen=True)
class State:
    """Everything that one answer is made from; whoever answers binds it once, so that no answer mixes versions.

    `champion` is that of the first model of the settings that has one, `sources` those of the models after it, in
    their order; `variant` is "champion" or "canary" in a State that a canary's assignment picked, else empty.
    `trending` holds (item_id, weight), most wanted first; `catalogue` is None until it could be read once.
    """

    champion: Champion | None = None
    sources: tuple[Champion, ...] = ()
    canary: Canary | None = None
    variant: str = ""
    ranker: LoadedRanker | None = None
    catalogue: Mapping[str, Item] | None = None
    trending: tuple[tuple[str, float], ...] = ()
    repeatable: frozenset[str] = field(default_factory=frozenset)

    def is_repeatable(self, item_id: str) -> bool:
        """Whether an item may be recommended again after it was bought."""
        if "*" in self.repeatable:
            return True
        item = (self.catalogue or {}).get(item_id)
        return item is not None and item.category in self.repeatable
