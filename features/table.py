"""A table of features compiled: checked, and reduced to the few series of cells that they all are read from."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from features.checks import CALENDAR, TEXTS, check, entity_of
from features.columns import NAMES
from features.errors import BadFeature
from features.feature import Feature, Where
from features.weights import WEIGHTS
from features.windows import ALL_TIME, DAY, HOUR, SESSION, Ints, Window, window

__all__ = ["FORMAT", "NEWEST", "TEXTS", "Need", "Rung", "Series", "Table", "needs", "table"]

FORMAT = 1  # of packed states; another one is another generation
MOST_SERIES = 1_024
STATELESS = ("ratio", "recent")


class Need(NamedTuple):
    """A series without its ladder: what is added up, about whom. `grain` is tiles, latest (no time) or session."""

    entity: str
    events: tuple[str, ...]
    op: str
    of: str
    by: str
    where: Where | None
    grain: str


class Rung(NamedTuple):
    """Tiles of `step` are kept as long as one of these windows may still need their edges.

    They are the windows of this step and of all finer ones: on the first of a month, `24h` reaches further back than
    `month`, and what is made too coarse for the one would be lost to the other.
    """

    step: int
    windows: tuple[Window, ...]

    def horizon(self, newest_ms: Ints) -> Ints:
        """Tiles that start before it are made coarser."""
        starts = [each.start(newest_ms) for each in self.windows]
        earliest: Ints = np.minimum.reduce(starts)
        return earliest


class Series(NamedTuple):
    """A series of cells: what is added up, and how long tiles of which size are kept; `total`: older ones count too."""

    need: Need
    rungs: tuple[Rung, ...]
    total: bool

    @property
    def step(self) -> int:
        """Size of its finest tiles; 0 for no time at all."""
        return self.rungs[0].step if self.rungs else 0


@dataclass(frozen=True)
class Table:
    """All features with their series, of which number 0 is the newest event of a state."""

    features: dict[str, Feature]
    series: tuple[Series, ...]
    generation: str

    @cached_property
    def ids(self) -> dict[Need, int]:
        """Number of each series."""
        return {series.need: number for number, series in enumerate(self.series)}

    @cached_property
    def ops(self) -> npt.NDArray[np.int8]:
        """0 where a series is summed, 1 where its minimum, 2 where its maximum is kept."""
        return np.array([("sum", "min", "max").index(series.need.op) for series in self.series], dtype=np.int8)

    @cached_property
    def plans(self) -> dict[str, list[tuple[int, Window]]]:
        """The series that each feature is read from, by number, with the window over each."""
        plans = {name: [(self.ids[need], span) for need, span in needs(each)] for name, each in self.features.items()}
        for name, feature in self.features.items():
            if feature.kind == "distinct":  # its cells hold the newest time themselves
                plans[name].append((plans[name][0][0], window(feature.window)))
        return plans

    @cached_property
    def glanced(self) -> bool:
        """Whether `features.glance` may say what a slate is made of: all touches, and sums over all time by item."""
        recent, *sums = map(self.features.get, ("recent_items", "bought_items", "returned_items"))
        return (recent is not None and {*recent.events} == {*WEIGHTS}) and all(
            each is not None and (each.kind, each.by, each.window) == ("sum", "item", "") for each in sums
        )

    @cached_property
    def named(self) -> npt.NDArray[np.bool_]:
        """Which series of customers are keyed by texts whose names are kept."""
        needs = [series.need for series in self.series]
        return np.array([n.by in TEXTS and n.of != "tile" and n.entity == "customer" for n in needs], np.bool_)

    @cached_property
    def coviewed(self) -> bool:
        """Whether any series is of items viewed one after the other."""
        return any(series.need.by == "beside" for series in self.series)

    @cached_property
    def ladders(self) -> tuple[tuple[Series, ...], npt.NDArray[np.int64]]:
        """A series of each kind of ladder, and the index of each series' own among them."""
        kinds = {(series.rungs, series.total): series for series in self.series}
        places = {kind: at for at, kind in enumerate(kinds)}
        return tuple(kinds.values()), np.array([places[series.rungs, series.total] for series in self.series])

    def fingerprint(self, name: str) -> str:
        """Eight hex digits that change when what the feature means does."""
        feature = self.features[name]
        meaning = [getattr(feature, part) for part in _MEANING]
        parts = [self.fingerprint(part) for part in feature.parts]
        return _digest([*meaning, parts, _weights(feature), feature.entity], 4)

    def means(self, name: str, fingerprint: str) -> bool:
        """Whether there is such a feature, and it means what it did when it had this fingerprint."""
        return name in self.features and self.fingerprint(name) == fingerprint


NEWEST = Need("customer", (), "max", "time", "", None, "latest")
_LATEST = {
    "last": ("max", "time"),
    "since": ("max", "time"),
    "latest": ("max", "time"),
    "first": ("min", "time"),
    "distinct": ("max", "tile"),
}
_MEANING = ("kind", "events", "window", "of", "by", "where", "argument", "keys", "default")


def table(features: Iterable[Feature]) -> Table:
    """Compile a table.

    Raises:  BadFeature: a definition can't be used; the message names it, the part that is wrong, and what would do.
    """
    found: dict[str, Feature] = {}
    for feature in features:
        try:
            check(feature, found)
        except BadFeature as error:
            raise BadFeature(f"feature {getattr(feature, 'name', len(found))}: {error}", error.field) from error
        found[feature.name] = feature
    wanted: dict[Need, set[Window]] = {NEWEST: set()}
    for feature in found.values():
        for need, span in needs(feature):
            wanted.setdefault(need, set()).add(span)
    ordered = [NEWEST, *sorted((need for need in wanted if need != NEWEST), key=repr)]
    series = tuple(_series(need, wanted[need]) for need in ordered)
    if len(series) > MOST_SERIES:
        raise BadFeature(f"the table needs {len(series)} series, at most {MOST_SERIES} fit", "events")
    weighted = [_weights(feature) for feature in found.values()]
    names = NAMES if any(need.by == "event" for need in wanted) else ()  # a state holds their numbers
    generation = _digest([FORMAT, [repr(each) for each in series], sorted(set(filter(None, weighted))), names], 3)
    return Table(found, series, generation)


def needs(feature: Feature) -> list[tuple[Need, Window]]:
    """The series that a feature is read from, with the window over each."""
    entity = entity_of(feature)
    span = window(feature.window)
    by = feature.by
    if by in CALENDAR:  # the hour is that of the tile
        by, span = "", replace(span, hop=HOUR)

    def need(op: str, of: str, grain: str = "tiles", key: str = by, names: tuple[str, ...] = feature.events) -> Need:
        return Need(entity, tuple(sorted(names)), op, of, key, feature.where, grain)

    kind = feature.kind
    if kind in STATELESS:
        return []
    if kind == "session":
        spans = Window(SESSION, span.length or DAY)
        edges = [need("min", "moment", "session", "", ()), need("max", "moment", "session", "", ())]
        counted = [(need("sum", "one"), Window(1, DAY))] if feature.of == "events" else []
        return [*((each, spans) for each in edges), *counted]
    if kind in _LATEST:
        op, of = _LATEST[kind]
        return [(need(op, of, "latest"), ALL_TIME)]
    if kind == "mean":
        return [(need("sum", feature.of), span), (need("sum", f"has {feature.of}"), span)]
    if kind == "quantile":
        return [(need("sum", "one", key=f"bin {feature.of}"), span)]
    return [(need(kind if kind in {"min", "max"} else "sum", feature.of), span)]


def _series(need: Need, windows: set[Window]) -> Series:
    hops = sorted({each.hop for each in windows if each.hop})
    rungs = tuple(Rung(hop, tuple(sorted(each for each in windows if 0 < each.hop <= hop))) for hop in hops)
    return Series(need, rungs if need.grain != "latest" else (), ALL_TIME in windows or need.grain == "latest")


def _weights(feature: Feature) -> str:
    """Weights are part of what a weighted feature means."""
    return repr(sorted(WEIGHTS.items())) if feature.of == "weight" else ""


def _digest(parts: object, size: int) -> str:
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=size).hexdigest()
