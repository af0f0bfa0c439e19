"""What to tune on: carved from the training part by the same protocol, so that the test part is never looked at."""

import numpy as np
import pandas as pd

from features.errors import BadInput
from training import splits
from training.datasets import Frame, in_order
from training.splits import Protocol, Split

SHARE = 0.1  # of each user's rows, under a given split
SESSIONS = 0.05  # of the sessions, under prefixes


def validation(
    split: Split, protocol: Protocol, holdout_ms: int = 0, target: str | None = None, seed: int = 0
) -> Split:
    """A split of the training part.

    | protocol       | to be found                                                                                  |
    | -------------- | -------------------------------------------------------------------------------------------- |
    | time-split     | the window of the same length just before the test window                                     |
    | leave-last-out | the last row but one of each user; fitted on everything before it                             |
    | split          | the newest tenth of each user's rows, a random tenth where there are no times or positions    |
    | prefixes       | every next item of the last twentieth of the sessions, by time, else in the order of the file |

    Raises:  BadInput: the training part is too small to be split again.
    """
    if protocol == "time-split":
        return splits.time_split(split.known, holdout_ms, target)
    if protocol == "leave-last-out":
        return splits.leave_last_out(split.known, "refit", target)
    if protocol == "prefixes":
        return last_sessions(split.fit)
    return tenth(split.fit, seed, target)


def tenth(rows: Frame, seed: int, target: str | None = None) -> Split:
    """A tenth of the rows of each user who has at least two, rounded up; at least one stays.

    Raises:  BadInput: nobody has two.
    """
    if {"timestamp", "position"} & set(rows.columns):
        ordered = in_order(rows)
    else:
        ordered = rows.iloc[np.random.default_rng(seed).permutation(len(rows))]
    by_user = ordered.groupby("user_id", sort=False)
    size = by_user["item_id"].transform("size")
    aside = (by_user.cumcount(ascending=False) < np.ceil(size * SHARE)) & (size > 1)
    if not aside.any():
        raise BadInput("tuning needs users with at least two interactions to keep some aside", "tune")
    return splits.given(ordered[~aside].sort_index(), ordered[aside].sort_index(), target)


def last_sessions(rows: Frame) -> Split:
    """The last sessions, each of their beginnings asking for what came next.

    Raises:  BadInput: they hold no session of two rows.
    """
    ordered = in_order(rows) if "timestamp" in rows.columns else rows
    sessions = ordered["user_id"].unique() if "timestamp" not in rows.columns else _by_start(ordered)
    late = set(sessions[len(sessions) - max(1, int(len(sessions) * SESSIONS)) :])
    aside = rows["user_id"].isin(late)
    asked = _beginnings(in_order(rows[aside]))
    if asked.empty or aside.all():
        raise BadInput("tuning needs sessions of at least two items to keep some aside", "tune")
    return splits.prefixes(rows[~aside], asked)


def _by_start(ordered: Frame) -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    return np.asarray(ordered.drop_duplicates("user_id")["user_id"], dtype=object)


def _beginnings(ordered: Frame) -> Frame:
    asked = [
        (" ".join(items[:at]), items[at])
        for _, group in ordered.groupby("user_id", sort=False)["item_id"]
        for items in [group.tolist()]
        for at in range(1, len(items))
    ]
    return pd.DataFrame(asked, columns=["prefix", "next_item_id"], dtype="str")
