"""A catalogue as columns, so that a limit is checked of every item at once."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from features.items import Item
from models.arrays import Int32, Mask
from models.interactions import IdMap
from serving.decide.limits import EVERYTHING, Limits, Where

MASKS = 16  # of the limits asked for lately; of a million items 16 MB


class Columns:
    """What is known of some items, a row each: those of `ids` in their order, then those that came later.

    `unmet` are the items of the catalogue that have no row, those that came last at its end: a model has not met them.
    What the catalogue lacks is not available. Where no catalogue could be read yet, everything is: an answer from
    memory beats none.
    """

    def __init__(self, ids: IdMap, items: Mapping[str, Item] | None) -> None:
        self.ids = ids
        self.late: list[str] = []
        self._rows_of_late: dict[str, int] = {}
        self._available: Mask = np.full(len(ids), items is None)
        self._price: NDArray[np.float64] = np.full(len(ids), np.nan)  # float32 would round large prices
        self._category: Int32 = np.full(len(ids), -1, dtype=np.int32)
        self._codes: dict[str, int] = {}
        self._tagged: dict[str, set[int]] = {}
        self._tags: dict[int, tuple[str, ...]] = {}
        self._masks: OrderedDict[Limits, Mask] = OrderedDict()
        self.unmet: dict[str, None] = {item_id: None for item_id in sorted(items or ()) if ids.row(item_id) < 0}
        self.update({item_id: items.get(item_id) for item_id in ids.ids} if items else {})

    def __len__(self) -> int:
        return len(self.ids) + len(self.late)

    def row(self, item_id: str) -> int:
        """The row of an item; -1 where it has none."""
        row = self.ids.row(item_id)
        return row if row >= 0 else self._rows_of_late.get(item_id, -1)

    def name(self, row: int) -> str:
        """The item of a row."""
        return self.ids.ids[row] if row < len(self.ids) else self.late[row - len(self.ids)]

    def update(self, changed: Mapping[str, Item | None], grow: bool = False) -> None:
        """Take changes of the catalogue in; None is an item that was deleted.

        Args:    grow: items that have no row get one; else they are left out.
        """
        if grow:
            self._grow([item_id for item_id, item in changed.items() if item is not None and self.row(item_id) < 0])
        self._masks.clear()
        for item_id, item in changed.items():
            row = self.row(item_id)
            if row < 0:
                self._meet_later(item_id, item)
                continue
            self._available[row] = item is not None and item.in_stock
            self._retag(row, () if item is None else item.tags)
            if item is not None:
                self._price[row] = np.nan if item.price is None else item.price
                self._category[row] = self._codes.setdefault(item.category, len(self._codes))

    def within(self, limits: Limits) -> Mask:
        """(len(self),) what is in stock and within the limits; read-only, kept until the next change."""
        mask = self._masks.get(limits)
        if mask is None:
            mask = self._masks[limits] = self._within(limits)
            if len(self._masks) > MASKS:
                self._masks.popitem(last=False)
        return mask

    def allowed(self, limits: Limits, exclude: Iterable[str]) -> Mask:
        """(len(self),) what may be shown; the caller's own."""
        mask = self.within(limits).copy()
        mask[[row for row in map(self.row, exclude) if row >= 0]] = False
        return mask

    def _within(self, limits: Limits) -> Mask:
        size = len(self)
        mask = self._available[:size].copy()
        for where in (limits.where, *limits.only):
            mask &= self._where(where)
        for where in limits.without:
            mask &= ~self._where(where)
        mask.setflags(write=False)
        return mask

    def _where(self, where: Where) -> Mask:
        size = len(self)
        mask = np.ones(size, dtype=np.bool_)
        if where == EVERYTHING:
            return mask
        if where.item_ids:
            mask &= self._only(row for row in map(self.row, where.item_ids) if row >= 0)
        if where.tags:
            mask &= self._only(row for tag in where.tags for row in self._tagged.get(tag, ()))
        if where.categories:
            known = np.zeros(len(self._codes) + 1, dtype=np.bool_)  # the last one stands for -1, no category known
            known[[self._codes[name] for name in where.categories if name in self._codes]] = True
            mask &= known[self._category[:size]]
        if where.min_price is not None:
            mask &= self._price[:size] >= where.min_price
        if where.max_price is not None:
            mask &= self._price[:size] <= where.max_price
        return mask

    def _only(self, rows: Iterable[int]) -> Mask:
        mask = np.zeros(len(self), dtype=np.bool_)
        mask[list(rows)] = True
        return mask

    def _grow(self, item_ids: list[str]) -> None:
        """Room for more items; the arrays double, so that many single items cost no more than all at once."""
        first = len(self)
        self._rows_of_late |= {item_id: first + at for at, item_id in enumerate(item_ids)}
        self.late += item_ids
        if (more := len(self) - len(self._available)) > 0:
            room = max(more, len(self._available), 64)
            self._available = np.concatenate([self._available, np.zeros(room, dtype=np.bool_)])
            self._price = np.concatenate([self._price, np.full(room, np.nan)])
            self._category = np.concatenate([self._category, np.full(room, -1, dtype=np.int32)])

    def _meet_later(self, item_id: str, item: Item | None) -> None:
        if item is None:
            self.unmet.pop(item_id, None)
        else:
            self.unmet.setdefault(item_id)

    def _retag(self, row: int, tags: tuple[str, ...]) -> None:
        for tag in self._tags.pop(row, ()):
            self._tagged[tag].discard(row)
        for tag in tags:
            self._tagged.setdefault(tag, set()).add(row)
        if tags:
            self._tags[row] = tags
