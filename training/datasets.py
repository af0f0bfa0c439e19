"""From events in a table to what a model is fitted on, asked with and measured by.

A frame has `user_id` and `item_id` (str), and where the source has them `timestamp` (int64 ms UTC) and `event`
(canonical names). An event weighs what features.definitions.WEIGHTS says; without the column every row weighs 1.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import BadInput
from features.trends import context_key
from features.weights import WEIGHTS, recency
from models.arrays import Csr, Int32, matrix_of
from models.histories import Histories
from models.interactions import Contexts, IdMap, Interactions

CONTEXTS = ("country", "device")  # of a context the columns, and the kinds as features.trends names them
COLUMNS = ("user_id", "item_id", "timestamp", "position", "event", *CONTEXTS)
Frame = pd.DataFrame
Float64 = NDArray[np.float64]


def checked(frame: Frame, weights: Mapping[str, float] | None = None) -> Frame:
    """The rows that say something: of a known event, and each (user, item, event, time) once, in the order given.

    Args:    weights: what each event is worth; features.weights.WEIGHTS where none are given.
    Returns: `user_id`, `item_id` str, `weight` float64; `timestamp`, `position`, `event`, `country`, `device` where
             they were there.
    Raises:  BadInput: a column is missing, an id, a time or a position is empty, or no row is left.
    """
    for column in ("user_id", "item_id"):
        if column not in frame.columns:
            raise BadInput(f"the interactions have no column {column!r}; name it with --map {column}=...", column)
        if frame[column].isna().any():
            raise BadInput(f"{int(frame[column].isna().sum())} rows have no {column}", column)
    for column in ("timestamp", "position"):
        if column in frame.columns and (missing := int(frame[column].isna().sum())):
            raise BadInput(f"{missing} rows have no {column}; leave the column out, or those rows", column)
    rows = frame[[name for name in COLUMNS if name in frame.columns]]
    rows = rows.assign(user_id=rows["user_id"].astype("str"), item_id=rows["item_id"].astype("str"))
    rows = weighed(rows, WEIGHTS if weights is None else weights)
    rows = rows[rows["weight"] != 0]
    if "timestamp" in rows.columns:
        rows = rows.drop_duplicates(
            [name for name in ("user_id", "item_id", "timestamp", "event") if name in rows.columns]
        )
    if rows.empty:
        raise BadInput("there are no interactions to learn from: the frame is empty, or names no known event", "event")
    return rows.reset_index(drop=True)


def weighed(rows: Frame, weights: Mapping[str, float]) -> Frame:
    """The rows with `weight` as given: 0 for an event that isn't named, 1 for every row of a frame without events."""
    if "event" not in rows.columns:
        return rows.assign(weight=1.0)
    known = {name: float(weights.get(name, 0)) for name in rows["event"].dropna().unique()}
    return rows.assign(weight=rows["event"].map(known).fillna(0.0).astype(np.float64))


def interactions(rows: Frame) -> Interactions:
    """Sums of weights by user and item; a pair with nothing left (given back) is no interaction.

    Args:    rows: as checked() returns them.
    Raises:  BadInput: nothing is left.
    """
    left = _left(
        pd.factorize(rows["user_id"])[0], pd.factorize(rows["item_id"])[0], rows["weight"].to_numpy(np.float64)
    )
    kept = rows[left > 0]
    if kept.empty:
        raise BadInput("every interaction was taken back by a refund: there is nothing to learn from", "event")
    users, items = IdMap.of(kept["user_id"].unique()), IdMap.of(kept["item_id"].unique())
    return Interactions(
        users, items, histories(kept, users, items), window(rows), contexts=contexts(kept, users, items)
    )


def histories(rows: Frame, users: IdMap, items: IdMap, newest: int | None = None) -> Histories:
    """What a model is asked with for each user, oldest first.

    Args:    rows: as checked() returns them; newest: only so many of a user's newest rows count, and the latest of
             them more, as features.profiles.Profile.history() has it in serving: each item once, where it was met last.
    Returns: n_users histories of the events that add weight; items that the model doesn't know, and those with nothing
             left after refunds, are left out.
    """
    rows = in_order(rows[users.rows(rows["user_id"]) >= 0])
    if newest is not None:
        rows = _as_served(rows.groupby("user_id", sort=False).tail(newest))
    row, column = users.rows(rows["user_id"]), items.rows(rows["item_id"])
    weight = rows["weight"].to_numpy(dtype=np.float64)
    left, given = _left(row, column, weight), _left(row, column, np.maximum(weight, 0))
    kept = (row >= 0) & (column >= 0) & (weight > 0) & (left > 0)
    worth = weight[kept] * left[kept] / given[kept]  # a refund takes from all events of its pair alike
    order = np.argsort(row[kept], kind="stable")
    rows, row = rows[kept], row[kept][order]
    counts = np.bincount(row, minlength=len(users))
    times = rows["timestamp"].to_numpy(dtype=np.int64)[order] if "timestamp" in rows.columns else None
    return Histories(
        indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        items=column[kept][order],
        weights=_float32(worth[order]),
        n_items=len(items),
        times=times,
        ordered="timestamp" in rows.columns or "position" in rows.columns,
    )


def contexts(rows: Frame, users: IdMap, items: IdMap) -> Contexts | None:
    """In which countries and on which devices the events that add weight happened; None where the rows don't say.

    Args:    rows: as checked() returns them, of these users and items.
    """
    if "timestamp" not in rows.columns or not any(kind in rows.columns for kind in CONTEXTS):
        return None
    rows = rows[rows["weight"] > 0]
    keys: dict[str, int] = {}
    places: list[NDArray[np.int64]] = []
    for kind in (kind for kind in CONTEXTS if kind in rows.columns):
        text = rows[kind].astype("category")
        known = [keys.setdefault(key, len(keys)) if (key := context_key(kind, str(each))) else -1
                 for each in text.cat.categories]  # fmt: skip
        places.append(np.array([*known, -1], dtype=np.int64)[text.cat.codes.to_numpy(dtype=np.int64)])
    row, column = users.rows(rows["user_id"]), items.rows(rows["item_id"])
    times = rows["timestamp"].to_numpy(dtype=np.int64)
    found = [np.flatnonzero(place >= 0) for place in places]
    at = np.concatenate(found)
    place_of = np.concatenate([place[there] for place, there in zip(places, found, strict=True)])
    return Contexts(tuple(keys), place_of, row[at], column[at], times[at])


def targets(rows: Frame, users: IdMap, items: IdMap) -> tuple[Csr, NDArray[np.int64]]:
    """What should have been shown.

    Returns: (n_users, n_items) csr of ones; (n_users,) int64 number of target items that the model doesn't know.
    """
    wanted = rows[rows["weight"] > 0].drop_duplicates(["user_id", "item_id"])
    row = users.rows(wanted["user_id"])
    unknown = (items.rows(wanted["item_id"]) < 0) & (row >= 0)
    matrix = _summed(wanted.assign(weight=1.0), users, items)
    return matrix, np.bincount(row[unknown], minlength=len(users))


def in_order(rows: Frame) -> Frame:
    """Rows by time or position where there is one; equal ones, and all of a file without, stay in the order given."""
    for column in ("timestamp", "position"):
        if column in rows.columns:
            return rows.sort_values(column, kind="stable")
    return rows


def window(rows: Frame) -> tuple[int, int] | None:
    """[since, until) in ms UTC; None without times."""
    if "timestamp" not in rows.columns:
        return None
    return int(rows["timestamp"].min()), int(rows["timestamp"].max()) + 1


def _as_served(rows: Frame) -> Frame:
    """Each item once, at its newest place, with the sum of what its events are worth by their age."""
    if "timestamp" in rows.columns:
        age = rows.groupby("user_id")["timestamp"].transform("max") - rows["timestamp"]
        rows = rows.assign(weight=rows["weight"] * recency(age.to_numpy(dtype=np.float64)))
    total = rows.groupby(["user_id", "item_id"])["weight"].transform("sum")
    return rows.assign(weight=total).drop_duplicates(["user_id", "item_id"], keep="last")


def _left(row: "NDArray[Any]", column: "NDArray[Any]", weight: Float64) -> Float64:
    """What is left of each event's pair when everything is summed."""
    _, place = np.unique(row.astype(np.int64) << 32 | (column.astype(np.int64) & 0xFFFFFFFF), return_inverse=True)
    sums = np.bincount(place, weight, minlength=1).astype(np.float64)
    return sums[place]


def _summed(rows: Frame, users: IdMap, items: IdMap) -> Csr:
    row, column = users.rows(rows["user_id"]), items.rows(rows["item_id"])
    known = (row >= 0) & (column >= 0)
    pairs, place = np.unique(row[known].astype(np.int64) * max(len(items), 1) + column[known], return_inverse=True)
    sums = np.bincount(place, rows["weight"].to_numpy()[known], minlength=len(pairs))
    pairs, sums = pairs[sums > 0], sums[sums > 0]
    shape = (len(users), len(items))
    return matrix_of(_int32(pairs // max(len(items), 1)), _int32(pairs % max(len(items), 1)), _float32(sums), shape)


def _int32(values: "NDArray[Any]") -> Int32:
    return values.astype(np.int32)


def _float32(values: "NDArray[Any]") -> "NDArray[np.float32]":
    return values.astype(np.float32)
