"""From the event log to a lookalike of the best customers, measured on whom it finds, ready to be registered.

Frozen protocol (benchmarks/lookalike.py runs it on public data): vectors and features come from events before a cut;
an audience is who does something after it, among customers known before. A random half is the seed, the other half is
hidden among all others and must be found; three draws of the halves. So nothing of the event that makes a member a
member is known of anybody. `activity` is the peer to beat: the most active customers first.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import BadInput
from features.offline import EventLog, training_frame
from models.arrays import Float32, Mask
from models.customers.customer_space import CustomerSpace, activity
from models.customers.lookalike import Lookalike, LookalikeConfig
from models.interactions import IdMap, Interactions
from training import audiences, datasets
from training.splits import time_split

BEST = 0.1
TARGET = "Order Completed"

Rows = NDArray[np.integer[Any]]
More = Callable[[IdMap, int], Float32]  # features of customers at a moment (ms UTC): (n, f) float32


@dataclass(frozen=True)
class Customers:
    """All customers of the interactions as a lookalike takes them: (n, size) and (n, f) float32."""

    vectors: Float32
    features: Float32


@dataclass(frozen=True)
class Fitted:
    """A lookalike ready to be registered: save() writes it, and the space that its vectors live in, into one folder.

    `metrics` are those of audiences.measure(), means over the draws, `_spread` their standard deviation, `activity_`
    the peer's. `window` and `measured` are [since, until) in ms UTC of all data and of the holdout; `audience` the ids
    of the seed.
    """

    name: str
    model: Lookalike
    space: CustomerSpace
    metrics: dict[str, float]
    window: tuple[int, int]
    measured: tuple[int, int]
    customers: int
    audience: tuple[str, ...]

    @property
    def params(self) -> dict[str, float | int | str]:
        """Of the model and the space."""
        return {**self.model.params, **{f"space_{key}": value for key, value in self.space.params.items()}}

    def save(self, folder: Path) -> None:
        """Write model.json, model.npz, space.json and space.npz into an existing folder."""
        self.model.save(folder)
        self.space.save(folder)


def train(
    frame: datasets.Frame,
    holdout_ms: int,
    seed: int = 0,
    audience: Collection[str] | None = None,
    more: More | None = None,
    config: LookalikeConfig | None = None,
) -> Fitted:
    """Measure on the last `holdout_ms`, then fit on everything.

    Without an `audience` (user ids) it is the best customers: measured, those of the holdout; fitted, those of the last
    `holdout_ms`. With one it is that audience both times, and the events before the cut are all that is known of it.

    Args:    frame: as features.offline.interactions() gives it; more: features beside activity, as live_features().
    Raises:  BadInput: no times, nothing to learn from, or too few members to measure with.
    """
    rows = datasets.checked(frame)
    split = time_split(rows, holdout_ms)
    since, until = datasets.window(rows) or (0, 0)
    before, after = datasets.interactions(split.fit), rows[rows["timestamp"] >= until - holdout_ms]
    members = before.users.rows(best(split.test) if audience is None else sorted(audience))
    told = customers(CustomerSpace(seed=seed).fit(before), before, until - holdout_ms, more)
    metrics = evaluate(told, before, members[members >= 0], config=config)
    everything = datasets.interactions(rows)
    space = CustomerSpace(seed=seed).fit(everything)
    final = customers(space, everything, until, more)
    named = everything.users.rows(best(after) if audience is None else sorted(audience))
    model = Lookalike(config, seed).fit(final.vectors, named[named >= 0], final.features)
    return Fitted(
        name=Lookalike.name,
        model=model,
        space=space,
        metrics=metrics,
        window=(since, until),
        measured=(until - holdout_ms, until),
        customers=len(everything.users),
        audience=tuple(everything.users.names(np.sort(named).astype(np.int32))),
    )


def best(rows: datasets.Frame, share: float = BEST) -> list[str]:
    """The best customers: who orders most often, then most, ties by id; of those in the rows, where nobody orders.

    Returns: user ids, a tenth of those who order, at least two.
    """
    if "event" in rows.columns and (rows["event"] == TARGET).any():
        rows = rows[rows["event"] == TARGET]
    often = rows.drop_duplicates(["user_id", "timestamp"]).groupby("user_id").size()
    table = pd.DataFrame({"often": often, "much": rows.groupby("user_id").size()}).reset_index()
    table = table.sort_values(["often", "much", "user_id"], ascending=[False, False, True])
    return table["user_id"].head(max(2, round(share * len(table)))).tolist()


def customers(space: CustomerSpace, interactions: Interactions, now: int, more: More | None = None) -> Customers:
    """Vectors, and features: activity, and what `more` says."""
    known = activity(interactions.histories, now)
    if more is not None:
        known = np.hstack([known, more(interactions.users, now)])
    return Customers(space.vectors(interactions.histories), known)


def live_features(log: EventLog, names: Sequence[str]) -> More:
    """Features of features.definitions as `more`, read as they were at the moment: signed log(1 + x), none is 0."""

    def read(users: IdMap, now: int) -> Float32:
        labels = pd.DataFrame({"user_id": list(users.ids), "as_of": now})
        values = training_frame(log, labels, names)[list(names)].to_numpy(dtype=np.float64)
        values = np.nan_to_num(values, nan=0.0)
        logs: Float32 = (np.sign(values) * np.log1p(np.abs(values))).astype(np.float32)
        return logs

    return read


def evaluate(
    told: Customers,
    interactions: Interactions,
    members: Rows,
    candidates: Mask | None = None,
    config: LookalikeConfig | None = None,
    seeds: Sequence[int] = audiences.SEEDS,
) -> dict[str, float]:
    """Metrics of the lookalike and, with `activity_` before, of the peer: means over the draws, and `_spread`.

    Args:    members: rows of the audience, all candidates; candidates: (n,) who is learned from and may be
             found, None is everybody.
    Raises:  BadInput: fewer than two members.
    """
    active = interactions.histories.counts.astype(np.float32)
    found: list[dict[str, float]] = []
    asked = np.arange(len(active)) if candidates is None else np.flatnonzero(candidates)
    vectors, features, active = told.vectors[asked], told.features[asked], active[asked]
    for seed in seeds:
        known, hidden = (np.flatnonzero(np.isin(asked, half)) for half in audiences.halves(members, seed))
        left = ~np.isin(np.arange(len(asked)), known)
        wanted = np.isin(np.arange(len(asked)), hidden)[left]
        model = Lookalike(config, seed).fit(vectors, known, features)
        mine = audiences.measure(model.score(vectors, features)[left], wanted)
        peer = audiences.measure(active[left], wanted)
        found.append({**mine, **{f"activity_{name}": value for name, value in peer.items()}})
    return summary(found)


def summary(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each metric, and its standard deviation as `_spread`."""
    if not found:
        raise BadInput("nothing was measured: name one seed or more", "seeds")
    metrics: dict[str, float] = {}
    for name in found[0]:
        values = [each[name] for each in found]
        metrics |= {name: float(np.mean(values)), f"{name}_spread": float(np.std(values))}
    return metrics
