"""What a slate is limited to, said of one item at a time; `columns` says the same of a whole catalogue at once."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta, Struct

from features.items import Item

Price = Annotated[float, Meta(ge=0)]
Names = Annotated[frozenset[str], Meta(max_length=10_000)]


class Where(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Items of any of the ids, categories or tags, within the prices; a field that is empty asks for nothing.

    Prices are in the item's own currency; an item without a price is within no bound.
    """

    item_ids: Names = frozenset()
    categories: Names = frozenset()
    tags: Names = frozenset()
    min_price: Price | None = None
    max_price: Price | None = None

    def holds(self, item: Item) -> bool:
        """Whether an item is meant."""
        if self.item_ids and item.item_id not in self.item_ids:
            return False
        if self.categories and item.category not in self.categories:
            return False
        if self.tags and self.tags.isdisjoint(item.tags):
            return False
        if self.min_price is not None and (item.price is None or item.price < self.min_price):
            return False
        return self.max_price is None or (item.price is not None and item.price <= self.max_price)


EVERYTHING = Where()


@dataclass(frozen=True)
class Limits:
    """What a slate is limited to: what is in stock, within `where` and every one of `only`, and none of `without`."""

    where: Where = EVERYTHING
    only: tuple[Where, ...] = ()
    without: tuple[Where, ...] = ()

    def permits(self, item: Item) -> bool:
        """Whether an item may be shown."""
        return (
            item.in_stock
            and self.where.holds(item)
            and all(where.holds(item) for where in self.only)
            and not any(where.holds(item) for where in self.without)
        )


NONE = Limits()
