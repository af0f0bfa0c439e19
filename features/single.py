"""Features of one state, in plain Python: for a few dozen cells that is many times as fast as the reads of columns.

It says what `features.reading` says, which a test sees to.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any

from features.aging import SKETCH
from features.checks import CALENDAR
from features.columns import NAMES
from features.contributions import START_BITS, SUB_BITS, middle_of
from features.feature import Feature
from features.plain import Plain
from features.sessions import GAP_MS
from features.states import TOUCHING
from features.table import Table
from features.windows import DAY, HOUR, TILE_MS, Window

_SERIES = SUB_BITS + START_BITS
_HASHES: int = 2**SUB_BITS
_SUB, _START = _HASHES - 1, 2**START_BITS - 1
_EMPTY: tuple[Any, ...] = ("", [], {})


class Single:
    """One state, ready to be asked at one moment.

    Args:    now: ms UTC, not before any of its events.
    """

    def __init__(self, table: Table, state: Plain, now: int) -> None:
        self.table = table
        self.state = state
        self.now = now
        self.keys = state.key
        self.values = state.value
        self._running: list[int] = [0, *accumulate(self.values)]
        self._edges: dict[Window, tuple[int, int]] = {}
        self._names: dict[int, str] = {0: ""}
        self._found: dict[str, Any] = {}

    def features(self, names: Iterable[str]) -> dict[str, Any]:
        """Features by name; the default where nothing was counted."""
        return {name: self.feature(name) for name in names}

    def feature(self, name: str) -> Any:
        """One feature."""
        found = self.known(name)
        return self.table.features[name].default if found is None or found in _EMPTY else found

    def known(self, name: str) -> Any:
        """The same without the default: None where nothing was counted."""
        if name not in self._found:
            feature = self.table.features[name]
            self._found[name] = _READS[feature.kind](self, feature)
        return self._found[name]

    def edges(self, window: Window) -> tuple[int, int]:
        """First tile of a window, and the first one after it."""
        found = self._edges.get(window)
        if found is None:
            found = self._edges[window] = window.edges(self.now)
        return found

    def rows(self, series: int, sub: int, window: Window) -> tuple[int, int]:
        """Which cells of one key of a series lie in a window."""
        start, end = self.edges(window)
        first = series << _SERIES | sub << START_BITS
        return bisect_left(self.keys, first | start), bisect_left(self.keys, first | end)

    def total(self, series: int, window: Window) -> int:
        """The sum of a series without keys over a window."""
        low, high = self.rows(series, 0, window)
        return self._running[high] - self._running[low]

    def cells(self, series: int, window: Window) -> list[tuple[int, int, int]]:
        """Sub, start and value of the cells of a series that lie in a window."""
        low = bisect_left(self.keys, series << _SERIES)
        high = bisect_left(self.keys, (series + 1) << _SERIES, low)
        start, end = self.edges(window)
        return [
            (key >> START_BITS & _SUB, key & _START, value)
            for key, value in zip(self.keys[low:high], self.values[low:high], strict=True)
            if start <= key & _START < end
        ]

    def text(self, sub: int) -> str:
        """What a key is called."""
        if len(self._names) == 1:
            heap = self.state.heap
            for each, (begin, end) in zip(self.state.sub, pairwise(self.state.at), strict=True):
                self._names[each] = heap[begin:end].decode()
        return self._names[sub]


def _sum(one: Single, feature: Feature) -> Any:
    if feature.by:
        return _sums(one, feature)
    ((series, window),) = one.table.plans[feature.name]
    return one.total(series, window)


def _mean(one: Single, feature: Feature) -> float | None:
    total, number = (one.total(series, window) for series, window in one.table.plans[feature.name])
    return total / number if number else None


def _extreme(pick: Callable[[Sequence[int]], int]) -> Callable[[Single, Feature], int | None]:
    def read(one: Single, feature: Feature) -> int | None:
        low, high = one.rows(one.table.plans[feature.name][0][0], 0, one.table.plans[feature.name][0][1])
        return pick(one.values[low:high]) if high > low else None

    return read


def _moment(one: Single, feature: Feature) -> int | None:
    key = one.table.plans[feature.name][0][0] << _SERIES
    at = bisect_left(one.keys, key)
    if at == len(one.keys) or one.keys[at] != key:
        return None
    return one.now - one.values[at] if feature.kind == "since" else one.values[at]


def _sums(one: Single, feature: Feature) -> dict[Any, Any]:
    ((series, window),) = one.table.plans[feature.name]
    sums: dict[int, Any] = {}
    if feature.by in CALENDAR:
        for _, start, value in one.cells(series, window):
            hour = start // HOUR
            key = hour % 24 if feature.by == "hour" else (hour // 24 + 3) % 7  # 1970 began on a Thursday
            sums[key] = sums.get(key, 0) + value
        return dict(sorted(sums.items()))
    if feature.kind == "decayed":
        today = one.now // TILE_MS // DAY
        for sub, start, value in one.cells(series, window):
            sums[sub] = sums.get(sub, 0) + value * 0.5 ** ((today - start // DAY) / feature.argument)
    else:
        for sub, _, value in one.cells(series, window):
            sums[sub] = sums.get(sub, 0) + value
    if feature.by == "event":
        return dict(sorted((NAMES[sub - 1], value) for sub, value in sums.items()))
    return dict(sorted((one.text(sub), value) for sub, value in sums.items()))


def _top(one: Single, feature: Feature) -> Any:
    sums = _sums(one, feature)
    return max(sums, key=sums.__getitem__, default=None)  # they are in order, and of equal ones the first is taken


def _share(one: Single, feature: Feature) -> float | None:
    sums = _sums(one, feature)
    whole = sum(sums.values())
    return sum(sums.get(key, 0) for key in feature.keys) / whole if whole > 0 else None


def _last(one: Single, feature: Feature) -> str | None:
    ((series, window),) = one.table.plans[feature.name]
    newest = max(((value, sub) for sub, _, value in one.cells(series, window)), default=None)
    return one.text(newest[1]) if newest else None


def _distinct(one: Single, feature: Feature) -> int:
    (series, every), (_, window) = one.table.plans[feature.name]
    cells = one.cells(series, every)
    start = one.edges(window)[0]
    inside = sum(1 for _, _, value in cells if value >= start)
    if len(cells) <= SKETCH:
        return inside
    return round(inside * SKETCH / (SKETCH + 1) * _HASHES / cells[-1][0])


def _quantile(one: Single, feature: Feature) -> float | None:
    ((series, window),) = one.table.plans[feature.name]
    cells = one.cells(series, window)
    wanted = feature.argument * sum(value for _, _, value in cells)
    reached = 0
    for sub, _, value in cells:
        reached += value
        if reached >= wanted:
            return middle_of(sub)
    return None


def _recent(one: Single, feature: Feature) -> list[tuple[int, str, str]]:
    wanted = [event in feature.events for event in TOUCHING]
    found = []
    for time, event, sub in one.state.touches:
        if wanted[event]:
            found.append((time, one.text(sub), TOUCHING[event]))
            if len(found) == feature.argument:
                break
    return found


def _session(one: Single, feature: Feature) -> float:
    (first, window), (last, _), *counted = one.table.plans[feature.name]
    sessions: list[tuple[int, int]] = []
    for (_, start, opened), (_, _, closed) in zip(one.cells(first, window), one.cells(last, window), strict=True):
        begin, end = start * TILE_MS + opened, start * TILE_MS + closed
        if sessions and begin - sessions[-1][1] < GAP_MS:
            begin = sessions.pop()[0]
        sessions.append((begin, end))
    if feature.of == "sessions":
        return len(sessions)
    if feature.of == "mean duration":
        return sum(end - begin for begin, end in sessions) / max(len(sessions), 1)
    if not sessions or one.now - sessions[-1][1] >= GAP_MS:
        return 0
    begin, end = sessions[-1]
    if feature.of == "duration":
        return end - begin
    low = bisect_left(one.keys, counted[0][0] << _SERIES | begin // TILE_MS)
    high = bisect_left(one.keys, counted[0][0] << _SERIES | _START)
    return one._running[high] - one._running[low]


def _ratio(one: Single, feature: Feature) -> float | None:
    part, whole = (one.known(name) for name in feature.parts)
    return None if part is None or not whole else part * feature.argument / whole


_READS: dict[str, Callable[[Single, Feature], Any]] = {
    "sum": _sum,
    "mean": _mean,
    "min": _extreme(min),
    "max": _extreme(max),
    "since": _moment,
    "latest": _moment,
    "first": _moment,
    "decayed": _sums,
    "top": _top,
    "share": _share,
    "last": _last,
    "distinct": _distinct,
    "quantile": _quantile,
    "recent": _recent,
    "session": _session,
    "ratio": _ratio,
}
