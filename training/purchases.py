"""Transactions as what BG/NBD and the spend model are fitted on."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import BadInput
from models.customers.bg_nbd import Purchases

DAY = 86_400_000
DAYS_OF_WEEK = 7.0

Float64 = NDArray[np.float64]


class Customers(NamedTuple):
    """Customers with a purchase up to some day, by id; times in weeks."""

    ids: "NDArray[Any]"  # (n,) sorted
    purchases: Purchases
    mean: Float64  # (n,) mean value of a day of repeat purchases; 0 without any
    value: Float64  # (n,) of all that was bought


def days_of(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each customer and day (UTC) with a purchase: purchases of one day are one.

    Args:    frame: `user_id`, `timestamp` (int64 ms UTC), and, where it is known, `amount`.
    Returns: `user_id`, `day` int64 since 1970, `amount` (0 where there is none); by customer, then day.
    Raises:  BadInput: no rows, a negative amount or none (NaN).
    """
    if frame.empty:
        raise BadInput("there are no purchases", "interactions")
    amount = frame["amount"].to_numpy(np.float64) if "amount" in frame.columns else np.zeros(len(frame))
    if not np.isfinite(amount).all() or (amount < 0).any():
        raise BadInput("amount holds a number that is negative or none (NaN)", "amount")
    rows = pd.DataFrame({"user_id": frame["user_id"], "day": frame["timestamp"] // DAY, "amount": amount})
    return rows.groupby(["user_id", "day"], sort=True)[["amount"]].sum().reset_index()


def customers_at(days: pd.DataFrame, end: int) -> Customers:
    """What was known at the end of a day.

    Args:    days: as days_of() returns them; end: the last day that was observed, since 1970.
    Raises:  BadInput: nobody had bought by then.
    """
    known = days[days["day"] <= end]
    if known.empty:
        raise BadInput("nobody had bought by the end of the calibration; choose a later one", "calibration-end")
    first = known.groupby("user_id")["day"].transform("min")
    known = known.assign(first=first, again=np.where(known["day"] > first, known["amount"], 0.0))
    by = known.groupby("user_id", sort=True)
    per = by.agg(
        first=("day", "min"), last=("day", "max"), n=("day", "size"), value=("amount", "sum"), again=("again", "sum")
    )
    repeats = per["n"].to_numpy(np.float64) - 1
    start, last = per["first"].to_numpy(np.float64), per["last"].to_numpy(np.float64)
    purchases = Purchases(repeats, (last - start) / DAYS_OF_WEEK, (end - start) / DAYS_OF_WEEK)
    mean = np.divide(per["again"].to_numpy(np.float64), repeats, out=np.zeros(len(per)), where=repeats > 0)
    return Customers(per.index.to_numpy(), purchases, mean, per["value"].to_numpy(np.float64))
