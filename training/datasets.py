"""From events in a table to what a model is fitted on, asked with and measured by.

A frame has `user_id` and `item_id` (str), and where the source has them `timestamp` (int64 ms UTC) and `event`
(canonical names). An event weighs what features.definitions.WEIGHTS says; without the column every row weighs 1.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import BadInput
from features.weights import WEIGHTS, recency
from models.interactions import Csr, IdMap, Int32, Interactions, matrix_of

Frame = pd.DataFrame


def checked(frame: Frame) -> Frame:
    """The rows that say something: of a known event, and each (user, item, event, time) once, in the order given.

    Returns: `user_id`, `item_id` str, `weight` float64; `timestamp`, `position`, `event` where they were there.
    Raises:  BadInput: a column is missing, an id is empty, or no row is left.
    """
    for column in ("user_id", "item_id"):
        if column not in frame.columns:
            raise BadInput(f"the interactions have no column {column!r}; name it with --map {column}=...", column)
        if frame[column].isna().any():
            raise BadInput(f"{int(frame[column].isna().sum())} rows have no {column}", column)
    rows = frame[[name for name in ("user_id", "item_id", "timestamp", "position", "event") if name in frame.columns]]
    rows = rows.assign(user_id=rows["user_id"].astype("str"), item_id=rows["item_id"].astype("str"))
    rows = rows.assign(weight=_weights(rows))
    rows = rows[rows["weight"] != 0]
    if "timestamp" in rows.columns:
        rows = rows.drop_duplicates([name for name in rows.columns if name not in {"weight", "position"}])
    if rows.empty:
        raise BadInput("there are no interactions to learn from: the frame is empty, or names no known event", "event")
    return rows.reset_index(drop=True)


def interactions(rows: Frame) -> Interactions:
    """Sums of weights by user and item; a pair with nothing left (given back) is no interaction.

    Args:    rows: as checked() returns them.
    Raises:  BadInput: nothing is left.
    """
    users, user_ids = pd.factorize(rows["user_id"], sort=True)
    items, item_ids = pd.factorize(rows["item_id"], sort=True)
    pairs, place = np.unique(users.astype(np.int64) * len(item_ids) + items, return_inverse=True)
    weights = np.bincount(place, rows["weight"], minlength=len(pairs))
    kept = weights > 0
    if not kept.any():
        raise BadInput("every interaction was taken back by a refund: there is nothing to learn from", "event")
    user_rows, user_map = _compact(pairs[kept] // len(item_ids), user_ids)
    item_rows, item_map = _compact(pairs[kept] % len(item_ids), item_ids)
    shape = (len(user_map), len(item_map))
    newest = _newest(rows, place, len(pairs))
    return Interactions(
        users=user_map,
        items=item_map,
        matrix=matrix_of(user_rows, item_rows, weights[kept].astype(np.float32), shape),
        timestamps=None if newest is None else newest[kept],
        window=window(rows),
    )


def histories(rows: Frame, users: IdMap, items: IdMap, newest: int | None = None) -> Csr:
    """What a model is asked with for each user.

    Args:    rows: as checked() returns them; newest: only so many of a user's newest rows count, and the latest of them
             more, exactly as features.definitions.history() asks in serving.
    Returns: (n_users, n_items) float32 sums of weights, those above 0; items that the model doesn't know are left out.
    """
    rows = rows[users.rows(rows["user_id"]) >= 0]
    if newest is not None:
        rows = _as_served(in_order(rows).groupby("user_id", sort=False).tail(newest))
    return _summed(rows, users, items)


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


def _weights(rows: Frame) -> "pd.Series[float]":
    if "event" not in rows.columns:
        return pd.Series(1.0, index=rows.index)
    known = {name: float(WEIGHTS.get(name, 0)) for name in rows["event"].dropna().unique()}
    return rows["event"].map(known).fillna(0.0).astype(np.float64)


def _as_served(rows: Frame) -> Frame:
    if "timestamp" not in rows.columns:
        return rows
    age = rows.groupby("user_id")["timestamp"].transform("max") - rows["timestamp"]
    return rows.assign(weight=rows["weight"] * recency(age.to_numpy(dtype=np.float64)))


def _summed(rows: Frame, users: IdMap, items: IdMap) -> Csr:
    row, column = users.rows(rows["user_id"]), items.rows(rows["item_id"])
    known = (row >= 0) & (column >= 0)
    pairs, place = np.unique(row[known].astype(np.int64) * max(len(items), 1) + column[known], return_inverse=True)
    sums = np.bincount(place, rows["weight"].to_numpy()[known], minlength=len(pairs))
    pairs, sums = pairs[sums > 0], sums[sums > 0]
    shape = (len(users), len(items))
    return matrix_of(_int32(pairs // max(len(items), 1)), _int32(pairs % max(len(items), 1)), _float32(sums), shape)


def _compact(codes: "NDArray[Any]", ids: "pd.Index[Any]") -> tuple[Int32, IdMap]:
    present, rows = np.unique(codes, return_inverse=True)
    return _int32(rows), IdMap(tuple(ids[present]))


def _newest(rows: Frame, place: "NDArray[Any]", pairs: int) -> "NDArray[np.int64] | None":
    """A refund isn't interest: only what added weight dates a pair."""
    if "timestamp" not in rows.columns:
        return None
    newest = np.zeros(pairs, dtype=np.int64)
    added = (rows["weight"] > 0).to_numpy()
    np.maximum.at(newest, place[added], rows["timestamp"].to_numpy(dtype=np.int64)[added])
    return newest


def _int32(values: "NDArray[Any]") -> Int32:
    return values.astype(np.int32)


def _float32(values: "NDArray[Any]") -> "NDArray[np.float32]":
    return values.astype(np.float32)
