"""What customers turn to lately: in all, and among those who are in a context like this one."""

from collections.abc import Mapping, Sequence

import numpy as np

from features.context import country_of, device_of
from models.arrays import Int64
from serving.decide.columns import Columns

EVERYBODY = ""
SHARE_OF_EVERYBODY = 0.25  # beside 1 of each list of a context: it fills up, and orders what no context knows
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
        """What trends among those of the contexts, most wanted first; without any, the list of everybody.

        Each list counts by shares of its whole, or the contexts of many customers would decide for those of few.
        """
        if not keys:
            return self.lists.get(EVERYBODY, ())
        found = self._among.get(keys)
        if found is None:
            found = self._together(keys)
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

    def _together(self, keys: tuple[str, ...]) -> Listed:
        sums: dict[str, float] = {}
        for key, share in (*((key, 1.0) for key in keys), (EVERYBODY, SHARE_OF_EVERYBODY)):
            listed = self.lists.get(key, ())
            whole = sum(weight for _, weight in listed) or 1.0
            for item_id, weight in listed:
                sums[item_id] = sums.get(item_id, 0.0) + share * weight / whole
        return tuple(sorted(sums.items(), key=lambda entry: (-entry[1], entry[0])))


def keys_of(context: Mapping[str, object], category: str) -> tuple[str, ...]:
    """The context keys of a request: its country, its device, and the category of the item that is looked at."""
    country, device = (context.get(name) for name in ("country", "device"))
    named = {
        "country": country_of(country) if isinstance(country, str) else "",
        "device": device_of(device) if isinstance(device, str) else "",
        "category": category,
    }
    return tuple(f"{name}:{value}" for name, value in named.items() if value)
