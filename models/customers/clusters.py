"""Clusters: customers who shop alike, by k-means, under labels that last from night to night.

Counts, days and money are taken as log(1 + x), cut at their outer quantiles, centred, and scaled so that recency,
frequency, money and browsing weigh the same together, however many columns each has. The scale is the standard
deviation after the cut, and no less than `floor`: the interquartile range, the usual robust one, is 0 for most counts
of a shop. Who did nothing in the window is in no cluster but IDLE.

Source: MacQueen. Some Methods for Classification and Analysis of Multivariate Observations. 1967.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import log1p, sqrt
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from threadpoolctl import threadpool_limits

from features.errors import BadInput, BrokenArtifact, NotFitted
from models import array_files
from models.arrays import Float32, Int32
from models.customers import cluster_fit
from models.customers.cluster_columns import (
    COLUMNS,
    WINDOW_DAYS,
    Column,
    Float64,
    Rates,
    check_clusterable,
    check_numbers,
    described,
    holds,
    is_idle,
    number,
)
from models.customers.cluster_fit import Ints

IDLE = 0
IDLE_NAME = f"not seen in {WINDOW_DAYS:g} days"
SHAPES = {"centroids": (0, 0), **dict.fromkeys(("low", "high", "mean", "scale", "sizes"), (0,))}


@dataclass(frozen=True)
class ClustersConfig:
    """`k` None is chosen: the largest of `least` to `most` that has prediction `strength`, measured `rounds` times on
    at most `sample` customers; last night's number stays while it has `hold`. `tails` are cut at either end; `overlap`
    is how much of its members (Jaccard) a cluster must share with one of last night to keep its id.
    """

    k: int | None = None
    least: int = 3
    most: int = 8
    strength: float = 0.8
    hold: float = 0.6
    rounds: int = 10
    sample: int = 4_000
    tails: float = 0.005
    floor: float = 0.2
    overlap: float = 0.3


class Assignment(NamedTuple):
    """Where one customer belongs: `distance` to the centroid in standard units; `confidence` 0 halfway to the next
    cluster, 1 at the centroid (1 minus the nearest over the second nearest distance)."""

    cluster: int
    name: str
    distance: float
    confidence: float


class Assigned(NamedTuple):
    """The same of many: (n,) int32 ids, (n,) float32 distances and confidences."""

    clusters: Int32
    distances: Float32
    confidences: Float32


class Clusters:
    """Centroids with ids and names; assign() places a customer between nights in microseconds."""

    name: ClassVar[str] = "clusters"

    def __init__(self, config: ClustersConfig | None = None, seed: int = 0) -> None:
        self._config = config or ClustersConfig()
        self._seed = seed
        self._ids: tuple[int, ...] = ()

    @property
    def params(self) -> dict[str, float | int | str]:
        """Its configuration and seed; k is 0 where it is chosen."""
        return {**asdict(self._config), "k": self._config.k or 0, "seed": self._seed}

    @property
    def facts(self) -> dict[str, float]:
        """The number of clusters, and the prediction strength of each number that was tried."""
        self._check_fitted()
        return {"k": float(len(self._ids)), **{f"strength_{k}": value for k, value in self._strengths.items()}}

    @property
    def names(self) -> dict[int, str]:
        """What distinguishes each cluster, by id, in the order of the ids."""
        self._check_fitted()
        return dict(zip(self._ids, self._names, strict=True))

    @property
    def sizes(self) -> dict[int, int]:
        """Customers of each cluster when it was fitted, by id."""
        self._check_fitted()
        return dict(zip(self._ids, self._sizes.astype(int).tolist(), strict=True))

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it was fitted on."""
        self._check_fitted()
        return self._columns

    @property
    def rates(self) -> Rates:
        """What currencies count: cluster_columns.rates_of()."""
        self._check_fitted()
        return self._rates

    def fit(
        self,
        values: Float64,
        columns: Sequence[Column] = COLUMNS,
        rates: Rates | None = None,
        previous: "Clusters | None" = None,
        labels: Int32 | None = None,
    ) -> Self:
        """Find the clusters.

        Args:    values: (n, c) of the active customers, as cluster_columns.table() gives them; previous: last night's,
                 and labels: (n,) the ids that it gives these customers tonight. Equal clusters keep their ids.
        Raises:  BadInput: a NaN, a constant column, or fewer different customers than clusters.
        """
        values = np.asarray(values, dtype=np.float64)
        self._columns, self._rates = tuple(columns), dict(rates or {})
        check_clusterable(values, self._columns, self._config.k or self._config.least)
        self._scale_by(values)
        points = self.points(values)
        with threadpool_limits(1):
            k = self._number(points, previous)
            start = None if previous is None else self._start(previous)
            centroids = cluster_fit.centroids_of(points, k, self._seed, start)
        rows = cluster_fit.nearest(points, centroids)[0]
        ids, self._next_id = self._ids_of(rows, len(centroids), previous, labels)
        order = np.argsort(ids, kind="stable")
        self._centroids, self._ids = centroids[order], tuple(ids[order].tolist())
        self._sizes = np.bincount(rows, minlength=k)[order].astype(np.float64)
        self._names = self._named(previous)
        return self

    def assign(self, row: Mapping[str, Any]) -> Assignment:
        """Where a customer belongs now.

        Args:    row: values of the features by name, as the store has them; others are ignored.
        Raises:  NotFitted; BadInput: a feature is missing or no number.
        """
        self._check_fitted()
        if is_idle(row):
            return Assignment(IDLE, IDLE_NAME, 0.0, 1.0)
        point = []
        for column, (low, high, mean, scale) in zip(self._columns, self._plain, strict=True):
            if column.name not in row and column.kind != "since":
                raise BadInput(f"the customer has no feature {column.name!r}", column.name)
            logged = log1p(number(column, row.get(column.name), self._rates))
            point.append((min(max(logged, low), high) - mean) / scale)
        apart = [sum((x - y) ** 2 for x, y in zip(point, centroid, strict=True)) for centroid in self._plain_centroids]
        first, second = sorted(apart)[:2] if len(apart) > 1 else (apart[0], float("inf"))
        place = apart.index(first)
        confidence = 1.0 - sqrt(first / second) if second else 0.0
        return Assignment(self._ids[place], self._names[place], sqrt(first), confidence)

    def assign_all(self, values: Float64) -> Assigned:
        """The same for many active customers, (n, c) as for fit().

        Raises:  NotFitted; BadInput: a NaN, or other columns.
        """
        self._check_fitted()
        check_numbers(values, self._columns)
        rows, first, second = cluster_fit.nearest(self.points(values), self._centroids)
        confidence = 1.0 - np.divide(first, second, out=np.ones_like(first), where=second > 0)
        return Assigned(
            np.array(self._ids, dtype=np.int32)[rows], first.astype(np.float32), confidence.astype(np.float32)
        )

    def save(self, folder: Path) -> None:
        """Write model.json and model.npz."""
        self._check_fitted()
        state = {
            "config": asdict(self._config),
            "seed": self._seed,
            "columns": [asdict(column) for column in self._columns],
            "rates": dict(self._rates),
            "ids": self._ids,
            "names": self._names,
            "next_id": self._next_id,
            "strengths": {str(k): value for k, value in self._strengths.items()},
        }
        array_files.write(folder, self.name, state, {key: getattr(self, f"_{key}") for key in SHAPES})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model from its files.

        Raises:  BrokenArtifact: a file is missing or damaged.
        """
        state, arrays = array_files.read(folder, cls.name, SHAPES)
        try:
            model = cls(ClustersConfig(**state["config"]), int(state["seed"]))
            model._columns = tuple(Column(**column) for column in state["columns"])
            model._rates = {str(key): float(value) for key, value in state["rates"].items()}
            model._ids, model._names = tuple(map(int, state["ids"])), tuple(map(str, state["names"]))
            model._next_id = int(state["next_id"])
            model._strengths = {int(k): float(value) for k, value in state["strengths"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BrokenArtifact(f"model.json in {folder} lacks or misstates {error}") from error
        shape = (len(model._ids), len(model._columns))
        lengths = {len(arrays[key]) for key in ("low", "high", "mean", "scale")}
        sound = arrays["centroids"].shape == shape and len(arrays["sizes"]) == len(model._names) == shape[0]
        if not shape[0] or not sound or lengths != {shape[1]} or not (arrays["scale"] > 0).all():
            raise BrokenArtifact(f"the arrays of the clusters in {folder} don't fit together")
        for key, value in arrays.items():
            setattr(model, f"_{key}", value.astype(np.float64))
        model._flatten()
        return model

    def _check_fitted(self) -> None:
        if not self._ids:
            raise NotFitted("clusters has no centroids yet: call fit() or load() first")

    def _scale_by(self, values: Float64) -> None:
        logs = np.log1p(values)
        cut = np.quantile(logs, [self._config.tails, 1 - self._config.tails], axis=0)
        whole = cut[0] == cut[1]
        self._low, self._high = np.where(whole, [logs.min(axis=0), logs.max(axis=0)], cut)
        kept = np.clip(logs, self._low, self._high)
        aspects = [column.aspect for column in self._columns]
        alike = np.array([aspects.count(aspect) for aspect in aspects])
        self._mean = kept.mean(axis=0)
        self._scale = np.maximum(kept.std(axis=0), self._config.floor) * np.sqrt(alike)

    def points(self, values: Float64) -> Float64:
        """(n, c) in the scale that distances are measured in."""
        points: Float64 = (np.clip(np.log1p(values), self._low, self._high) - self._mean) / self._scale
        return points

    def _number(self, points: Float64, previous: "Clusters | None") -> int:
        self._strengths: dict[int, float] = {}
        if self._config.k is not None:
            return self._config.k
        chosen = np.random.default_rng(self._seed).permutation(len(points))[: self._config.sample]
        sample = points[np.sort(chosen)]
        most = min(self._config.most, len(np.unique(points, axis=0)), len(sample) // 4)
        for k in range(self._config.least, most + 1):
            self._strengths[k] = cluster_fit.strength(sample, k, self._seed, self._config.rounds)
        held = None if previous is None else len(previous._ids)
        if not self._strengths:
            return self._config.least
        return cluster_fit.choose(self._strengths, self._config.strength, held, self._config.hold)

    def _start(self, previous: "Clusters") -> Float64 | None:
        """Last night's centroids in tonight's scale."""
        if previous._columns != self._columns:
            return None
        logs = previous._centroids * previous._scale + previous._mean
        return np.asarray((logs - self._mean) / self._scale, dtype=np.float64)

    def _ids_of(self, rows: Ints, k: int, previous: "Clusters | None", labels: Int32 | None) -> tuple[Ints, int]:
        """New clusters number from 1, the largest first."""
        if previous is not None and labels is not None:
            return cluster_fit.matched(labels.astype(np.int64), rows, k, previous._next_id, self._config.overlap)
        ids = np.empty(k, dtype=np.int64)
        first = 1 if previous is None else previous._next_id
        ids[np.argsort(-np.bincount(rows, minlength=k), kind="stable")] = np.arange(first, first + k)
        return ids, first + k

    def _named(self, previous: "Clusters | None") -> tuple[str, ...]:
        """What distinguishes each cluster; last night's name while it is true."""
        self._flatten()
        aspects = [column.aspect for column in self._columns]
        apart = self._centroids * np.sqrt([aspects.count(aspect) for aspect in aspects])
        old = {} if previous is None else previous.names
        names: list[str] = []
        for each, differences in zip(self._ids, apart, strict=True):
            name = old.get(each, "")
            if not name or name in names or not holds(self._columns, differences, name):
                name = described(self._columns, differences)
            names.append(name if name not in names else f"{name} ({each})")
        return tuple(names)

    def _flatten(self) -> None:
        """Plain numbers: for one customer they are faster than arrays."""
        scaling = np.stack([self._low, self._high, self._mean, self._scale], axis=1)
        self._plain: list[list[float]] = scaling.tolist()
        self._plain_centroids: list[list[float]] = self._centroids.tolist()
