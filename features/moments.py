"""States at a moment, and the cells of theirs that are read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from features.cells import Cells, select, series_of, start_of, sub_of_key
from features.checks import CALENDAR
from features.columns import NAMES
from features.contributions import SUB_BITS, Bools
from features.states import States, owners
from features.table import Table
from features.windows import HOUR, Ints, Window


class Column(NamedTuple):
    """A feature of n states: a value each, and whether there is one; where there is none, the default counts."""

    values: npt.NDArray[Any]
    there: Bools


@dataclass(frozen=True)
class Moment:
    """States and the moment (n,) ms UTC, not before any of their events, at which each is asked."""

    table: Table
    states: States
    now: Ints

    @property
    def cells(self) -> Cells:
        """Their cells."""
        return self.states.cells

    @cached_property
    def _names(self) -> dict[int, str]:
        """The text of each owner and sub in one number."""
        names = self.states.names
        heap, at = names.heap.tobytes(), names.at.tolist()
        places = (owners(names.ends) << SUB_BITS | names.sub).tolist()
        return {place: heap[a:b].decode() for place, a, b in zip(places, at, at[1:], strict=False)}

    def reader(self, by: str) -> Callable[[int, int], Any]:
        """Reads a key's sub as what it stands for, in a given state: a text, or for hour and weekday a number."""
        if by in CALENDAR:
            return (lambda _, sub: sub % 24) if by == "hour" else (lambda _, sub: sub // 24)
        if by == "event":
            return lambda _, sub: NAMES[sub - 1]
        known = self._names
        return lambda owner, sub: known[owner << SUB_BITS | sub] if sub else ""


class Keyed(NamedTuple):
    """Sums by key: of which state, sub and (where asked for, else 0) first tile, and the sum."""

    owner: Ints
    sub: Ints
    start: Ints
    value: Ints


def keyed(at: Moment, series: int, window: Window) -> Keyed:
    """The cells of a keyed series that lie in a window."""
    cells = cells_of(at, series)
    owner, start = cells.owner(), start_of(cells.key)
    inside = (start >= window.start(at.now)[owner]) & (start < window.end(at.now)[owner])
    return Keyed(owner[inside], sub_of_key(cells.key[inside]), start[inside], cells.value[inside])


def cells_of(at: Moment, number: int) -> Cells:
    """The cells of one series."""
    if at.states.n == 1:
        low, high = np.searchsorted(at.cells.key, np.array([number, number + 1], np.uint64) << np.uint64(54))
        return Cells(np.array([0, high - low]), at.cells.key[low:high], at.cells.value[low:high])
    return select(at.cells, series_of(at.cells.key) == number)


def hour_of_week(start: Ints) -> Ints:
    """24 times the weekday (UTC, Monday is 0) and the hour of each tile."""
    hour = start // HOUR
    return (hour // 24 + 3) % 7 * 24 + hour % 24  # 1970 began on a Thursday


def objects(values: Sequence[Any]) -> Column:
    """A column of texts, numbers, lists or dictionaries; None, and what is empty, is absent."""
    column = np.empty(len(values), object)
    column[:] = values
    return Column(column, np.array([value not in (None, "", [], {}) for value in values], np.bool_))
