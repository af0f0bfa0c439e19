"""What features say of states at a moment: the read that serving, frames of the past and reconciliation share."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from features import keyed_reading
from features.cells import find
from features.contributions import key_of
from features.feature import Feature
from features.moments import Column, Moment
from features.states import States
from features.table import Table
from features.windows import Ints, Window

__all__ = ["Column", "Moment", "evaluate", "range_sums", "value_of"]


def evaluate(table: Table, states: States, now: Ints, names: Iterable[str]) -> dict[str, Column]:
    """Features of n states, each at its own moment.

    Args:    now: (n,) ms UTC; names: of features of customers.
    """
    at = Moment(table, states, now)
    found = _window_sums(at, [table.features[name] for name in _closure(table, names)])
    for name in _closure(table, names):
        feature = table.features[name]
        if feature.kind == "ratio":
            found[name] = _ratio(feature, found)
        elif name not in found:
            found[name] = READS[feature.kind](at, feature)
    return {name: found[name] for name in names}


def value_of(feature: Feature, column: Column, row: int) -> Any:
    """The value of one state as plain Python: int, float, str, list or dict."""
    if not column.there[row]:
        return feature.default
    value = column.values[row]
    return value.item() if isinstance(value, np.generic) else value


def _closure(table: Table, names: Iterable[str]) -> list[str]:
    """The features with all that they are computed from, those first."""
    ordered: dict[str, None] = {}
    for name in names:
        ordered |= dict.fromkeys((*_closure(table, table.features[name].parts), name))
    return list(ordered)


def _window_sums(at: Moment, features: Sequence[Feature]) -> dict[str, Column]:
    """All plain sums at once: two searches and a difference of running sums for each."""
    plain = [feature for feature in features if feature.kind in {"sum", "mean"} and not feature.by]
    if not plain:
        return {}
    spans = [span for feature in plain for span in at.table.plans[feature.name]]
    sums = iter(range_sums(at, spans))
    every = np.ones(at.states.n, np.bool_)
    found = {}
    for feature in plain:
        total = next(sums)
        if feature.kind == "sum":
            found[feature.name] = Column(total, every)
        else:
            number = next(sums)
            found[feature.name] = Column(total / np.maximum(number, 1), number > 0)
    return found


def range_sums(at: Moment, spans: Sequence[tuple[int, Window]]) -> npt.NDArray[np.int64]:
    """(len(spans), n) the sum of each series over its window."""
    low, high = _ranges(at, spans)
    running = np.concatenate(([0], np.cumsum(at.cells.value)))
    sums: npt.NDArray[np.int64] = running[high] - running[low]
    return sums


def _ranges(at: Moment, spans: Sequence[tuple[int, Window]]) -> tuple[Ints, Ints]:
    """(len(spans), n) where the cells of each series begin and end that lie in its window."""
    n = at.states.n
    edges = {window: (window.start(at.now), window.end(at.now)) for window in {window for _, window in spans}}
    none = np.zeros(n, np.int64)
    keys = [key_of(number, none, edges[window][side]) for side in (0, 1) for number, window in spans]
    owner = np.tile(np.arange(n), len(keys))
    found = find(at.cells, owner, np.concatenate(keys))[0].reshape(2, len(spans), n)
    return found[0], found[1]


def _extreme(at: Moment, feature: Feature) -> Column:
    """Minimum or maximum over a window."""
    low, high = (side[0] for side in _ranges(at, at.table.plans[feature.name]))
    there = high > low
    values = np.zeros(at.states.n, np.int64)
    reduce = np.minimum if feature.kind == "min" else np.maximum
    edges = np.stack((low[there], high[there]), axis=1).ravel()
    if len(edges):
        values[there] = reduce.reduceat(np.append(at.cells.value, 0), edges)[::2]
    return Column(values, there)


def _single(at: Moment, feature: Feature) -> Column:
    """Time of the newest or earliest event, or since the newest."""
    key = key_of(at.table.plans[feature.name][0][0], np.zeros(1, np.int64), np.zeros(1, np.int64))
    place, there = find(at.cells, np.arange(at.states.n), np.repeat(key, at.states.n))
    values = np.append(at.cells.value, 0)[np.where(there, place, -1)]
    return Column(at.now - values if feature.kind == "since" else values, there)


def _ratio(feature: Feature, found: dict[str, Column]) -> Column:
    part, whole = (found[name] for name in feature.parts)
    there = part.there & whole.there & (whole.values != 0)
    return Column(part.values * feature.argument / np.where(there, whole.values, 1), there)


READS: dict[str, Callable[[Moment, Feature], Column]] = {
    "sum": keyed_reading.by_key,
    "decayed": keyed_reading.by_key,
    "top": keyed_reading.top,
    "share": keyed_reading.share,
    "min": _extreme,
    "max": _extreme,
    "since": _single,
    "latest": _single,
    "first": _single,
    "last": keyed_reading.last,
    "distinct": keyed_reading.distinct,
    "quantile": keyed_reading.quantile,
    "recent": keyed_reading.recent,
    "session": keyed_reading.session,
}
