"""What may be learned from, what is known when asked, and what comes after: the three parts of every protocol."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from features.errors import BadInput
from training.datasets import Frame, in_order

Fit = Literal["strict", "refit"]
Protocol = Literal["split", "leave-last-out", "time-split", "prefixes"]


@dataclass(frozen=True)
class Split:
    """`fit` is what the model is fitted on, `known` the histories it is asked with, `test` what it should find."""

    fit: Frame
    known: Frame
    test: Frame


def time_split(rows: Frame, holdout_ms: int, target: str | None = None) -> Split:
    """The last `holdout_ms` before the newest row against everything before it; only users known before are asked for.

    Args:    target: only this event is to be found; None for every event that adds weight.
    Raises:  BadInput: no times, or no user on both sides.
    """
    if "timestamp" not in rows.columns:
        raise BadInput("a time split needs the column timestamp; use --protocol split or leave-last-out", "timestamp")
    cut = int(rows["timestamp"].max()) + 1 - holdout_ms
    before, after = rows[rows["timestamp"] < cut], rows[rows["timestamp"] >= cut]
    after = _wanted(after[after["user_id"].isin(before["user_id"].unique())], target)
    if after.empty:
        days = holdout_ms / 86_400_000
        raise BadInput(
            f"nobody has events both before and in the last {days:g} days; choose another --holdout", "holdout"
        )
    return Split(before, before, after)


def given(train: Frame, test: Frame, target: str | None = None) -> Split:
    """A split that came as two files; a test user who isn't in train is asked for with an empty history."""
    return Split(train, train, _wanted(test, target))


def leave_last_out(rows: Frame, fit: Fit = "strict", target: str | None = None) -> Split:
    """Each user's last row is to be found, from all rows before it.

    Args:    fit: strict fits on everything before the validation row (the last but one), refit adds that row. Both are
             asked with it. The last is by timestamp or position where there is
             one, else by the order of the file; target: only users whose last row is this event are asked for.
    Raises:  BadInput: nobody has three rows.
    """
    ordered = in_order(rows)
    from_end = ordered.groupby("user_id", sort=False).cumcount(ascending=False)
    counts = ordered.groupby("user_id", sort=False)["item_id"].transform("size")
    measured = counts >= 3
    if not measured.any():
        raise BadInput("leave-last-out needs users with at least three interactions", "interactions")
    known = ordered[~measured | (from_end > 0)]
    fitted = ordered[~measured | (from_end > 1)] if fit == "strict" else known
    last = ordered[measured & (from_end == 0)]
    return Split(fitted.sort_index(), known.sort_index(), _wanted(last.sort_index(), target))


def prefixes(train: Frame, asked: Frame) -> Split:
    """Sessions to learn from, and beginnings of other sessions, each of which asks for the one item that came next.

    Nothing is masked under this protocol: in a session people come back to what they have seen.

    Args:    asked: `prefix` (str, items oldest first, blank-separated) and `next_item_id` (str).
    Raises:  BadInput: naming the column that is missing or has an empty row.
    Source:  Wu et al. Session-based Recommendation with Graph Neural Networks. AAAI 2019 (the protocol).
    """
    for column in ("prefix", "next_item_id"):
        if column not in asked.columns:
            raise BadInput(f"the test file has no column {column!r}; name it with --map {column}=...", "test")
        empty = asked[column].isna() | (asked[column].astype("str").str.strip() == "")
        if empty.any():
            raise BadInput(f"{int(empty.sum())} rows of the test file have no {column}", "test")
    users = pd.Series(np.arange(len(asked)), dtype="str")
    items = asked["prefix"].astype("str").str.split().reset_index(drop=True)
    known = pd.DataFrame({"user_id": users, "item_id": items}).explode("item_id", ignore_index=True)
    known["item_id"] = known["item_id"].astype("str")
    known = known.assign(position=known.groupby("user_id", sort=False).cumcount().astype(np.float64), weight=1.0)
    wanted = pd.DataFrame({"user_id": users, "item_id": asked["next_item_id"].astype("str").to_numpy(), "weight": 1.0})
    return Split(train, known, wanted)


def _wanted(rows: Frame, target: str | None) -> Frame:
    if target is None:
        return rows[rows["weight"] > 0]
    if "event" not in rows.columns or not (rows["event"] == target).any():
        raise BadInput(f"no interaction to be found is a {target!r}", "target-event")
    return rows[rows["event"] == target]
