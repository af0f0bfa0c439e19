"""What customers turn to lately: in all, and among those who are in a context like this one."""

from collections.abc import Mapping, Sequence

import numpy as np

from features.items import Item
from features.trends import EVERYBODY, contexts_of, in_context, trends_of
from models.arrays import Int64
from serving.decide.columns import Columns

COMBINATIONS = 256

Listed = tuple[tuple[str, float], ...]  # (item_id, weight), most wanted first


class Trends:
    """Lists by context key: "country:GB", "device:mobile", "category:garden", and "" of everybody."""

    def __init__(self, lists: Mapping[str, Sequence[tuple[str, float]]] | None = None) -> None:
        self.lists: dict[str, Listed] = {key: tuple(listed) for key, listed in (lists or {}).items()}
        self._among: dict[tuple[str, ...], Listed] = {}
        self._rows: dict[tuple[tuple[str, ...], int], tuple[Columns, Int64]] = {}

    def known(self, keys: Sequence[str]) -> tuple[str, ...]:
        """Those of the keys that there are lists of."""
        return tuple(key for key in keys if key in self.lists)

    def among(self, keys: tuple[str, ...]) -> Listed:
        """What trends among those of the contexts, most wanted first; without any, the list of everybody."""
        if not keys:
            return self.lists.get(EVERYBODY, ())
        found = self._among.get(keys)
        if found is None:
            found = in_context(self.lists, keys)
            if len(self._among) < COMBINATIONS:
                self._among[keys] = found
        return found

    def rows(self, keys: tuple[str, ...], columns: Columns) -> Int64:
        """(n,) int64 the rows of among(keys) in these columns; -1 of items that have none."""
        kept = self._rows.get((keys, len(columns)))
        if kept is not None and kept[0] is columns:
            return kept[1]
        rows = np.array([columns.row(item_id) for item_id, _ in self.among(keys)], dtype=np.int64)
        if len(self._rows) < COMBINATIONS:
            self._rows[keys, len(columns)] = columns, rows
        return rows


def live_trends(
    everybody: Mapping[str, int], contexts: Mapping[str, Mapping[str, int]], catalogue: Mapping[str, Item] | None
) -> Trends:
    """The lists from what was counted by item, those of categories by what the catalogue says of the items."""
    known = ((item_id, (catalogue or {}).get(item_id)) for item_id in everybody)
    categories = {item_id: item.category for item_id, item in known if item is not None}
    return Trends(trends_of(everybody, contexts, categories))


def keys_of(context: Mapping[str, object], category: str) -> tuple[str, ...]:
    """The context keys of a request: its country, its device, and the category of the item that is looked at."""
    return contexts_of({name: each for name, each in context.items() if isinstance(each, str)}, category)
