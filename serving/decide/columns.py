"""A catalogue as columns, so that a limit is checked of every item at once."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from features.items import Item
from models.arrays import Int32, Int64, Mask
from models.interactions import IdMap
from serving.decide.limits import EVERYTHING, Limits, Where

_NO_ROWS: Int64 = np.zeros(0, dtype=np.int64)
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
        self._in_category: dict[int, Int64] = {}  # rows by code, of the categories asked for since one changed
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
                code = self._codes.setdefault(item.category, len(self._codes))
                if self._category[row] != code:
                    self._category[row] = code
                    self._in_category.clear()

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
        mask, hidden = self.within(limits).copy(), list(exclude)
        rows = self.ids.rows_of(hidden)
        if self.late:
            rows = [
                row if row >= 0 else self._rows_of_late.get(each, -1) for row, each in zip(rows, hidden, strict=True)
            ]
        mask[[row for row in rows if row >= 0]] = False
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
        mask = np.ones(len(self), dtype=np.bool_)
        if where == EVERYTHING:
            return mask
        if where.item_ids:
            mask &= self._only(row for row in map(self.row, where.item_ids) if row >= 0)
        if where.tags:
            mask &= self._only(row for tag in where.tags for row in self._tagged.get(tag, ()))
        if where.categories:  # prices of these alone: most of a shop is elsewhere
            rows = self._rows_in(where.categories)
            mask &= self._only(rows[_priced(self._price[rows], where)])
        elif where.min_price is not None or where.max_price is not None:
            mask &= _priced(self._price[: len(self)], where)
        return mask

    def _rows_in(self, categories: Iterable[str]) -> Int64:
        """The rows of these categories, in no order."""
        codes = [self._codes[name] for name in categories if name in self._codes]
        for code in codes:
            if code not in self._in_category:
                self._in_category[code] = np.flatnonzero(self._category[: len(self)] == code)
        return np.concatenate([_NO_ROWS, *(self._in_category[code] for code in codes)])

    def _only(self, rows: Iterable[int] | Int64) -> Mask:
        mask = np.zeros(len(self), dtype=np.bool_)
        mask[rows if isinstance(rows, np.ndarray) else list(rows)] = True
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


def _priced(prices: NDArray[np.float64], where: Where) -> Mask:
    """Which of the prices are within the bounds; what has none is within no bound."""
    held: Mask = np.ones(len(prices), dtype=np.bool_)
    if where.min_price is not None:
        held &= prices >= where.min_price
    if where.max_price is not None:
        held &= prices <= where.max_price
    return held
