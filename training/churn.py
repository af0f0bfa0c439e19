"""Churn from the event log: who will place no order within a horizon, learned at many moments of the past.

A row is a customer at a moment (`as_of`): features as they were known then, and whether an order came in
(as_of, as_of + horizon]. What is measured lies after everything that was learned from: the horizon of the last training
moment ends before the first measured moment (an embargo of one horizon).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definitions import FEATURES
from features.errors import BadInput
from features.identity import Edge
from features.offline import EventLog, component_ids, interactions, read_edges, summary, training_frame
from features.table import Table
from models.contracts import Progress
from models.customers.churn import Churn
from models.customers.churn_inputs import inputs_of, wanted
from models.customers.encoding import Inputs
from training.classification import measure, telltales

DAY_MS = 86_400_000
ORDER = "Order Completed"
LAST, ORDERS, RECENT_ORDERS, FIRST = "since_order", "orders", "orders_365d", "first_order"

Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """What churn means, and when it is asked; in ms.

    A customer churns who places no order within `horizon` after the moment. Moments are `every` apart; asked about are
    customers with an order in the last 365 days whose first one is at least `observed` old. The newest `measured`
    moments are for measuring. `rows`: more than so many are thinned out, by whole customers.
    """

    horizon: int = 30 * DAY_MS
    every: int = 7 * DAY_MS
    observed: int = 30 * DAY_MS
    measured: int = 4
    rows: int = 100_000


@dataclass(frozen=True)
class Examples:
    """n rows; `churned` is 1 where no order came within the horizon, `customer` whose row it is."""

    user_ids: tuple[str, ...]
    as_of: Int64
    customer: Int64
    churned: Int64
    inputs: Inputs

    def __len__(self) -> int:
        return len(self.as_of)

    def take(self, rows: "NDArray[Any]") -> "Examples":
        """Only these rows, by number or by a mask."""
        at = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        inputs = {name: column[at] for name, column in self.inputs.items()}
        ids = tuple(self.user_ids[int(row)] for row in at)
        return Examples(ids, self.as_of[at], self.customer[at], self.churned[at], inputs)


@dataclass(frozen=True)
class FittedChurn:
    """A classifier ready to be registered.

    `window` is [since, until) in ms UTC of the events that the model was fitted on, `measured` that of the outcomes it
    was measured on; `fingerprints` say what each feature meant; `example` are inputs of one customer to try it with.
    """

    name: str
    model: Churn
    metrics: dict[str, float]
    window: tuple[int, int]
    measured: tuple[int, int]
    horizon: int
    customers: int
    fingerprints: dict[str, str]
    example: dict[str, Any]


def train(
    log: EventLog, task: Task | None = None, seed: int = 0, progress: Progress | None = None, table: Table = FEATURES
) -> FittedChurn:
    """Fit on the past, measure on the newest moments, fit again on all of them.

    Args:    progress: called with steps done, and in all.
    Raises:  BadInput: an empty log, one too short for the horizon, labels that are all equal, a column that leaks.
    """
    task = task or Task()
    rows = examples(log, task, seed, table)
    before, after = split(rows, task)
    if leaking := telltales(before.inputs, before.churned):
        raise BadInput(f"{leaking[0]} alone tells who churned: it must have been read after the moment", leaking[0])
    fitted = _fit(before, seed, _part(progress, 0))
    found = measure(fitted.predict(after.inputs), after.churned)
    final = _fit(rows, seed, _part(progress, 1))
    until = int(rows.as_of.max()) + task.horizon + 1
    return FittedChurn(
        name=Churn.name,
        model=final,
        metrics={**found, "churned": float(after.churned.mean()), "users": float(len(after)), **final.facts},
        window=(summary(log)["since"], until),
        measured=(int(after.as_of.min()), until),
        horizon=task.horizon,
        customers=len(np.unique(rows.customer)),
        fingerprints={name: table.fingerprint(name) for name in wanted(table)},
        example={name: column[0] for name, column in rows.inputs.items()},
    )


def moments(since: int, until: int, task: Task) -> Int64:
    """All moments whose horizon has passed by `until` (ms UTC, exclusive) and from which somebody may be asked about.

    Returns: ascending; the last one lies exactly one horizon before the newest event.
    Raises:  BadInput: there are too few to learn from some and to measure on others.
    """
    last = until - 1 - task.horizon
    found = np.arange(last, since + task.observed - 1, -task.every, dtype=np.int64)[::-1]
    if len(found) <= task.measured or found[0] > found[-task.measured] - task.horizon:
        days = (until - since) / DAY_MS
        raise BadInput(
            f"{days:.0f} days of orders are too few for a horizon of {task.horizon / DAY_MS:g} days", "horizon"
        )
    return found


def split(rows: Examples, task: Task) -> tuple[Examples, Examples]:
    """What is learned from, and what is measured on.

    Raises:  BadInput: nobody is left on one side, or all of one side are labelled alike.
    """
    newest = np.unique(rows.as_of)[-task.measured :]
    before, after = rows.take(rows.as_of + task.horizon <= newest[0]), rows.take(rows.as_of >= newest[0])
    for what, part in (("learned from", before), ("measured on", after)):
        if len(np.unique(part.churned)) < 2:
            kind = "churned" if part.churned.all() and len(part) else "stayed"
            raise BadInput(f"all {len(part)} customers {what} {kind}: choose another horizon", "horizon")
    return before, after


def examples(log: EventLog, task: Task, seed: int = 0, table: Table = FEATURES) -> Examples:
    """Everybody who can be asked about, at every moment.

    The label is read from the log by the same feature as ever, a horizon later: a customer's newest order, under any id
    that belongs to them by then, is younger than the horizon.
    Raises:  BadInput: no orders, or too few days of them.
    """
    orders = interactions(log)
    orders = orders[orders["event"] == ORDER]
    if orders.empty:
        raise BadInput(
            "the event log holds no orders to learn churn from: `kindred import events FILE` first", "events"
        )
    times = moments(int(orders["timestamp"].min()), summary(log)["until"] + 1, task)
    edges = read_edges(log)
    asked = _asked(orders, times, edges, task, seed)
    frame = training_frame(log, asked, wanted(table), table)
    frame = frame[(frame[RECENT_ORDERS] > 0) & (frame["as_of"] - frame[FIRST] >= task.observed)].reset_index(drop=True)
    if frame.empty:
        raise BadInput("no customer was observed for long enough before any moment", "observed")
    later = frame[["user_id", "as_of"]].assign(as_of=frame["as_of"] + task.horizon)
    since = training_frame(log, later, [LAST], table, knowledge="final")[LAST].to_numpy(np.float64)
    as_of = frame["as_of"].to_numpy(np.int64)
    columns = {name: frame[name].to_numpy() for name in wanted(table)}
    return Examples(
        user_ids=tuple(frame["user_id"]),
        as_of=as_of,
        customer=frame["customer"].to_numpy(np.int64),
        churned=(since >= task.horizon).astype(np.int64),
        inputs=inputs_of(columns, as_of, table),
    )


def _asked(orders: pd.DataFrame, times: Int64, edges: Sequence[Edge], task: Task, seed: int) -> pd.DataFrame:
    """user_id, as_of and customer: each customer once at each moment from the first order on, by moment, then id."""
    first = orders.groupby("user_id", sort=True)["timestamp"].min()
    customer = pd.factorize(_named(pd.Series(first.index, dtype="str"), int(times[-1]) + task.horizon, edges))[0]
    known = first.to_numpy()[None] + task.observed <= times[:, None]
    kept = known & _thinned(known.sum(axis=0), customer, task.rows, seed)
    moment, row = np.nonzero(kept)
    frame = pd.DataFrame({"user_id": first.index[row], "as_of": times[moment], "customer": customer[row]})
    if edges:
        named = [_named(part["user_id"], int(part["as_of"].iloc[0]), edges) for _, part in frame.groupby("as_of")]
        frame = frame.assign(user_id=pd.concat(named)).drop_duplicates(["user_id", "as_of"]).reset_index(drop=True)
    return frame


def _named(ids: "pd.Series[Any]", at: int, edges: Sequence[Edge]) -> "pd.Series[Any]":
    """Each id, or the one that its customer is asked for by at that moment: the last of them, so `u:` before `a:`."""
    members = component_ids(pd.DataFrame({"user": ids.to_numpy(), "as_of": at}), edges)
    return pd.Series(members.groupby("label")["customer"].max().to_numpy(), index=ids.index)


def _thinned(rows: Int64, customer: Int64, most: int, seed: int) -> "NDArray[np.bool_]":
    """Which ids stay: all, or those of as many customers, drawn by chance, as have about so many rows."""
    total = int(rows.sum())
    if total <= most:
        return np.ones(len(rows), np.bool_)
    drawn = np.random.default_rng(seed).random(int(customer.max()) + 1) < most / total
    return drawn[customer]


def _fit(rows: Examples, seed: int, progress: Progress | None) -> Churn:
    return Churn(seed=seed).fit(rows.inputs, rows.churned, rows.customer, progress)


def _part(progress: Progress | None, which: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, total: progress(which * total + done, 2 * total)
