"""From the event log to tonight's clusters, measured, under the ids of last night, ready to be registered.

Measured: silhouette (Rousseeuw 1987) of a sample; `bootstrap_ari`, how much the clusters of bootstrap samples divide
the customers alike (adjusted Rand against the model's own division); and against last night's model on tonight's
features `night_ari` and `kept`, the share of customers whose id both give. Shares say how large the clusters are.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score, silhouette_score

from features.errors import BadInput
from features.offline import EventLog, component_ids, read_columns, read_edges, training_frame
from models.customers.cluster_columns import COLUMNS, DAY_MS, WINDOW_DAYS, Column, Float64, is_idle, rates_of, table
from models.customers.clusters import Clusters, ClustersConfig

WINDOW_MS = int(WINDOW_DAYS * DAY_MS)
BOOTSTRAPS = 5
SAMPLE = 4_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Fitted:
    """Clusters ready to be registered.

    `window` is [since, until) in ms UTC of what was clustered, `customers` how many were active in it; `assigned` their
    ids (str) and clusters (int32), by id.
    """

    name: str
    model: Clusters
    metrics: dict[str, float]
    window: tuple[int, int]
    customers: int
    assigned: pd.DataFrame

    @property
    def params(self) -> dict[str, float | int | str]:
        """Of the model."""
        return self.model.params

    def save(self, folder: Path) -> None:
        """Write the model's files into an existing folder."""
        self.model.save(folder)


def train(
    log: EventLog,
    now: int,
    previous: Clusters | None = None,
    seed: int = 0,
    config: ClustersConfig | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Cluster the customers who were active in the 30 days before `now` (ms UTC).

    Features that are the same for everybody (a shop without searches) are left out.

    Raises:  BadInput: nobody was active, or too few different customers.
    """
    rows = customer_features(log, active(log, now), now, progress)
    return fit(rows, now, previous, seed, config)


def fit(
    rows: pd.DataFrame,
    now: int,
    previous: Clusters | None = None,
    seed: int = 0,
    config: ClustersConfig | None = None,
) -> Fitted:
    """Cluster rows of customer_features()."""
    if rows.empty:
        raise BadInput(f"no customer was active in the {WINDOW_DAYS:g} days before now: nothing to cluster", "events")
    rates = rates_of(rows["spend_30d"].tolist())
    values = table(COLUMNS, rows, rates)  # type: ignore[arg-type]  # a frame maps names to columns
    columns, values = varying(values)
    labels = None if previous is None else assigned(previous, rows)
    model = Clusters(config, seed).fit(values, columns, rates, previous, labels)
    found = model.assign_all(values).clusters
    metrics = {**evaluate(model, values, columns, seed), **_shares(found), **model.facts}
    if labels is not None:
        metrics |= {"night_ari": float(adjusted_rand_score(labels, found)), "kept": float(np.mean(labels == found))}
    table_of_all = pd.DataFrame({"user_id": rows["user_id"].to_numpy(), "cluster": found})
    return Fitted(Clusters.name, model, metrics, (now - WINDOW_MS, now), len(rows), table_of_all)


def active(log: EventLog, now: int) -> list[str]:
    """Everybody who did something in the 30 days before `now`, as known then: one raw id of each person, sorted."""
    seen: set[str] = set()
    for source in log.sources():
        for _, _, _, events in read_columns(source, columns=()):
            chosen = (events.time > now - WINDOW_MS) & (events.time <= now) & (events.available <= now)
            seen.update(events.customer.values[code] for code in np.unique(events.customer.codes[chosen]))
    if not seen:
        return []
    labels = pd.DataFrame({"user": sorted(seen), "as_of": now})
    people = component_ids(labels, read_edges(log)).groupby("label")["customer"].max()  # u:... comes after a:...
    return sorted(set(people))


def customer_features(log: EventLog, ids: Iterable[str], now: int, progress: Progress | None = None) -> pd.DataFrame:
    """What the feature store says of the customers at `now`, of those who aren't idle: user_id and COLUMNS."""
    labels = pd.DataFrame({"user_id": pd.Series(list(ids), dtype="str"), "as_of": now})
    names = [column.name for column in COLUMNS]
    rows = training_frame(log, labels, names, progress=progress)
    idle = np.array([is_idle({"since_event": value}) for value in rows["since_event"]], dtype=np.bool_)
    return rows[~idle].reset_index(drop=True)


def varying(values: Float64) -> tuple[tuple[Column, ...], Float64]:
    """The columns, of (n, len(COLUMNS)) values, that tell customers apart.

    Raises:  BadInput: none does.
    """
    kept = np.flatnonzero(np.ptp(values, axis=0) > 0)
    if not len(kept):
        raise BadInput("all active customers are the same in every feature: there is nothing to cluster", "values")
    return tuple(COLUMNS[place] for place in kept), values[:, kept]


def assigned(model: Clusters, rows: pd.DataFrame) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    """(n,) int32 ids that a model gives to rows of customer_features()."""
    values = table(model.columns, rows, model.rates)  # type: ignore[arg-type]  # as above
    return model.assign_all(values).clusters


def evaluate(model: Clusters, values: Float64, columns: tuple[Column, ...], seed: int = 0) -> dict[str, float]:
    """Silhouette in the model's own scale, and bootstrap_ari with its spread over BOOTSTRAPS samples."""
    found = model.assign_all(values).clusters
    config = replace(ClustersConfig(), k=len(model.names))
    random = np.random.default_rng(seed)
    alike = []
    for _ in range(BOOTSTRAPS):
        drawn = random.integers(0, len(values), len(values))
        if len(np.unique(values[drawn], axis=0)) < len(model.names) or (np.ptp(values[drawn], axis=0) == 0).any():
            continue  # a sample of a tiny shop may hold too little to cluster
        other = Clusters(config, seed).fit(values[drawn], columns)
        alike.append(adjusted_rand_score(found, other.assign_all(values).clusters))
    metrics = {}
    if alike:
        metrics = {"bootstrap_ari": float(np.mean(alike)), "bootstrap_ari_spread": float(np.std(alike))}
    sample = np.sort(random.permutation(len(values))[:SAMPLE])
    if 1 < len(np.unique(found[sample])) < len(sample):
        metrics["silhouette"] = float(silhouette_score(model.points(values[sample]), found[sample]))
    return metrics


def _shares(found: "np.ndarray[tuple[int], np.dtype[np.int32]]") -> dict[str, float]:
    ids, counts = np.unique(found, return_counts=True)
    shares = {f"share_{each}": float(count / len(found)) for each, count in zip(ids, counts, strict=True)}
    return {**shares, "largest_share": max(shares.values()), "smallest_share": min(shares.values())}
