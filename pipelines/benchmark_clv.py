"""`kindred benchmark clv`: what customers will buy, foretold at the end of a calibration and counted afterwards."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import BadInput
from models.customers.bg_nbd import BgNbd
from models.customers.gamma_gamma import GammaGamma
from pipelines.imports.cells import identifier, moment, number
from pipelines.imports.columns import Mapping, bind
from pipelines.imports.lines import Refused
from pipelines.imports.rows import Rows
from training.purchases import DAY, DAYS_OF_WEEK, Customers, customers_at, days_of

Float64 = NDArray[np.float64]
COLUMNS = ("user_id", "timestamp", "amount")
_USUAL = {"timestamp": ("date",), "amount": ("amount_usd", "value", "revenue", "total")}
_MOST_REPEATS = 7  # customers with so many repeats or more are one row of the table


@dataclass(frozen=True)
class Split:
    """The last day of calibration, and how many days after it were observed; days since 1970."""

    end: int
    after: int


def benchmark_clv_file(path: Path, mapping: Mapping, calibration_end: int | None) -> dict[str, Any]:
    """benchmark_clv() of a file.

    Args:    mapping: of user_id, timestamp and, where purchases have a value, amount.
    Raises:  BadInput: naming what can't be read or used.
    """
    with Rows(path) as rows:
        return benchmark_clv(_frame(rows, mapping), calibration_end)


def benchmark_clv(frame: pd.DataFrame, calibration_end: int | None = None) -> dict[str, Any]:
    """BG/NBD and the spend model beside "everybody goes on as before", on what came after the calibration.

    Args:    frame: `user_id`, `timestamp` (int64 ms UTC) and, where it is known, `amount`;
             calibration_end: last day of calibration, ms UTC; None: the middle of the days.
    Returns: `fit` (log_likelihood, r, alpha, a, b; weeks), `spend` (p, q, v, correlation; absent without amounts),
             `holdout` by model (rmse, mae of purchases, their sum and its ratio to the actual one, and the same of
             value), `by_repeats`: customers, actual and foretold purchases by repeats in the calibration.
    Raises:  BadInput: no purchases, none after the calibration, nobody who bought twice.
    """
    days = days_of(frame)
    split = _split(days, calibration_end)
    known = customers_at(days, split.end)
    model = BgNbd().fit(known.purchases)
    counts, value = _after(days, known, split)
    weeks = split.after / DAYS_OF_WEEK
    rate = np.divide(
        known.purchases.repeats, known.purchases.age, out=np.zeros(len(counts)), where=known.purchases.age > 0
    )
    foretold = {"bg_nbd": model.expected(known.purchases, weeks), "same_rate": rate * weeks}
    report: dict[str, Any] = {
        "customers": len(counts),
        "weeks": weeks,
        "fit": {"log_likelihood": model.log_likelihood(known.purchases), **model.shop._asdict()},
        "holdout": {name: _errors(guess, counts, "purchases") for name, guess in foretold.items()},
    }
    if "amount" in frame.columns:
        spend = GammaGamma().fit(known.purchases.repeats, known.mean)
        report["spend"] = {**spend.spread._asdict(), "correlation": spend.correlation}
        worth = {
            "bg_nbd": spend.expected(known.purchases.repeats, known.mean),
            "same_rate": known.value / (known.purchases.repeats + 1),
        }
        for name, each in worth.items():
            report["holdout"][name] |= _errors(foretold[name] * each, value, "value")
    report["by_repeats"] = _by_repeats(known, counts, foretold)
    return report


def _split(days: pd.DataFrame, calibration_end: int | None) -> Split:
    first, last = int(days["day"].min()), int(days["day"].max())
    end = (first + last) // 2 if calibration_end is None else calibration_end // DAY
    if not first <= end < last:
        shown = [str(np.datetime64(day, "D")) for day in (first, last)]
        raise BadInput(
            f"--calibration-end must lie between the first and the last day of the file, {shown[0]} and {shown[1]}",
            "calibration-end",
        )
    return Split(end, last - end)


def _after(days: pd.DataFrame, known: Customers, split: Split) -> tuple[Float64, Float64]:
    """(n,) days with a purchase after the calibration, and what they were worth, of customers known before."""
    later = (
        days[days["day"] > split.end].groupby("user_id")["amount"].agg(["size", "sum"]).reindex(known.ids, fill_value=0)
    )
    return later["size"].to_numpy(np.float64), later["sum"].to_numpy(np.float64)


def _errors(guess: Float64, actual: Float64, what: str) -> dict[str, float]:
    total = float(actual.sum())
    return {
        f"{what}_rmse": float(np.sqrt(np.mean((guess - actual) ** 2))),
        f"{what}_mae": float(np.abs(guess - actual).mean()),
        f"{what}_foretold": float(guess.sum()),
        f"{what}_actual": total,
        f"{what}_ratio": float(guess.sum()) / total if total else 0.0,
    }


def _by_repeats(known: Customers, actual: Float64, foretold: dict[str, Float64]) -> list[dict[str, float | str]]:
    group = np.minimum(known.purchases.repeats, _MOST_REPEATS)
    found: list[dict[str, float | str]] = []
    for repeats in np.unique(group):
        mine = group == repeats
        label = f"{repeats:g}+" if repeats == _MOST_REPEATS else f"{repeats:g}"
        means = {name: float(guess[mine].mean()) for name, guess in foretold.items()}
        found.append({"repeats": label, "customers": int(mine.sum()), "actual": float(actual[mine].mean()), **means})
    return found


def _frame(rows: Rows, mapping: Mapping) -> pd.DataFrame:
    usual = {to: next((name for name in names if name in rows.columns), "") for to, names in _USUAL.items()}
    given = {to: name for to, name in usual.items() if name and to not in rows.columns} | dict(mapping.columns)
    bound = bind(given, rows.columns, COLUMNS, ("user_id", "timestamp"))
    users, times, amounts = [], [], []
    for row in rows:
        if isinstance(row, Refused):
            raise BadInput(f"row {row.number}: {row.reason}", "interactions")
        try:
            users.append(identifier(row.values[bound["user_id"]], "user_id"))
            times.append(moment(row.values[bound["timestamp"]], mapping.zone))
            amount = number(row.values[bound["amount"]], "amount") if "amount" in bound else None
        except BadInput as error:
            raise BadInput(f"row {row.number}: {error}", error.field) from error
        if not users[-1]:
            raise BadInput(f"row {row.number} names no customer", "user_id")
        amounts.append(np.nan if amount is None else amount)
    frame = pd.DataFrame({"user_id": pd.array(users, dtype="str"), "timestamp": np.array(times, np.int64)})
    return frame.assign(amount=np.array(amounts)) if "amount" in bound else frame
