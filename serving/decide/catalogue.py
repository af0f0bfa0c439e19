"""The shop as slates see it: its items by id, and as columns."""

from collections.abc import Iterator, Mapping

import numpy as np

from features.items import Item
from models.interactions import IdMap
from serving.decide.columns import Columns
from serving.decide.limits import Limits


class Catalogue(Mapping[str, Item]):
    """All items. It is changed in place, between two answers and never within one."""

    def __init__(self, items: Mapping[str, Item]) -> None:
        self._items = dict(items)
        self.columns = Columns(IdMap.of(items), items)

    def __getitem__(self, item_id: str) -> Item:
        return self._items[item_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    @property
    def by_id(self) -> Mapping[str, Item]:
        """The items as the plain dictionary that they are kept in: a stage looks up hundreds."""
        return self._items

    def update(self, changed: Mapping[str, Item | None]) -> None:
        """Take changes in; None is an item that was deleted."""
        for item_id, item in changed.items():
            if item is None:
                self._items.pop(item_id, None)
            else:
                self._items[item_id] = item
        self.columns.update(changed, grow=True)

    def first(self, limits: Limits, hidden: frozenset[str], k: int) -> list[str]:
        """The first k items by id that are within the limits and not hidden."""
        columns = self.columns
        mask, known = columns.within(limits), len(columns.ids)
        found: list[str] = []
        for row in np.flatnonzero(mask[:known])[: k + len(hidden)].tolist():
            if columns.ids.ids[row] not in hidden:
                found.append(columns.ids.ids[row])
        late = [columns.name(known + row) for row in np.flatnonzero(mask[known:]).tolist()]
        return sorted(found[:k] + [item_id for item_id in late if item_id not in hidden])[:k]
