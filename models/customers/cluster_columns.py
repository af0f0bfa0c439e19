"""What customers are clustered by, recency, frequency, money and browsing over a rolling 30 days, and words for it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from features.errors import BadInput

DAY_MS = 86_400_000
WINDOW_DAYS = 30.0
SEEN = "since_event"

Float64 = NDArray[np.float64]
Rates = Mapping[str, float]


@dataclass(frozen=True)
class Column:
    """One feature of features.definitions as a number: days for a `since` (30 where it is longer ago, or never), counts
    as they are, money in the main currency. `more` and `less` say what lies above and below the mean."""

    name: str
    aspect: Literal["recency", "frequency", "money", "browsing"]
    kind: Literal["since", "count", "money"]
    more: str
    less: str


# fmt: off
COLUMNS = (
    Column("since_event", "recency", "since", "not seen lately", "seen lately"),
    Column("since_order", "recency", "since", "no recent order", "recent order"),
    Column("orders_30d", "frequency", "count", "frequent orders", "few orders"),
    Column("spend_30d", "money", "money", "high spend", "low spend"),
    Column("views_30d", "browsing", "count", "many views", "few views"),
    Column("items_viewed_30d", "browsing", "count", "many products viewed", "few products viewed"),
    Column("adds_30d", "browsing", "count", "fills the cart", "cart seldom used"),
    Column("searches_30d", "browsing", "count", "searches much", "searches little"),
    Column("sessions_30d", "browsing", "count", "many visits", "few visits"),
)
# fmt: on


def number(column: Column, value: Any, rates: Rates) -> float:
    """One value of the feature store as a number.

    Raises:  BadInput: it isn't a number, or is a NaN that stands for no absence.
    """
    if column.kind == "since":
        days = WINDOW_DAYS if value is None or value != value else value / DAY_MS  # noqa: PLR0124 - NaN is never
        return min(max(days, 0.0), WINDOW_DAYS)
    if column.kind == "money" and isinstance(value, Mapping):
        value = sum(amount * rates.get(currency, 0.0) for currency, amount in value.items())
    if not isinstance(value, int | float | np.integer | np.floating) or not math.isfinite(value):
        raise BadInput(f"{column.name} is {value!r}, wanted a number", column.name)
    return max(float(value), 0.0)


def table(columns: Sequence[Column], values: Mapping[str, Sequence[Any]], rates: Rates) -> Float64:
    """(n, c) float64 of many customers: number() of each value, column by column.

    Raises:  BadInput: a column is missing, or as number().
    """
    if missing := [column.name for column in columns if column.name not in values]:
        raise BadInput(f"the customers have no feature {missing[0]!r}", missing[0])
    found = [[number(column, value, rates) for value in values[column.name]] for column in columns]
    return np.array(found, dtype=np.float64).T


def is_idle(row: Mapping[str, Any]) -> bool:
    """Whether a customer did nothing in the window."""
    seen = row.get(SEEN)
    return seen is None or not seen < WINDOW_DAYS * DAY_MS


def rates_of(amounts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What a minor unit of each currency counts in the currency that most customers pay in.

    No rates of exchange are at hand: the median customer of each currency is taken to spend the same. That keeps a
    thousand yen from counting like a thousand cents, and is exact where there is one currency.
    """
    paid: dict[str, list[float]] = {}
    for amount in amounts:
        for currency, cents in amount.items():
            if cents > 0:
                paid.setdefault(currency, []).append(cents)
    if not paid:
        return {}
    main = max(sorted(paid), key=lambda currency: len(paid[currency]))
    typical = {currency: float(np.median(cents)) for currency, cents in paid.items()}
    return {currency: typical[main] / typical[currency] for currency in sorted(paid)}


def check_numbers(values: Float64, columns: Sequence[Column]) -> None:
    """Raises:  BadInput: another shape than (n, len(columns)), a NaN, an infinity, or a number below 0."""
    if values.ndim != 2 or values.shape[1] != len(columns):
        raise BadInput(f"values must be (n, {len(columns)}), got {values.shape}", "values")
    if len(bad := np.flatnonzero(~np.isfinite(values).all(axis=0))):
        raise BadInput(f"{columns[bad[0]].name} holds a NaN or an infinity", columns[bad[0]].name)
    if (values < 0).any():
        raise BadInput("a count, a time or an amount is below 0", "values")


def check_clusterable(values: Float64, columns: Sequence[Column], least: int) -> None:
    """Raises:  BadInput: as check_numbers(), fewer different rows than `least`, or a constant column."""
    check_numbers(values, columns)
    if (different := len(np.unique(values, axis=0))) < least:
        raise BadInput(f"{different} different customers can't make {least} clusters", "values")
    if len(constant := np.flatnonzero(np.ptp(values, axis=0) == 0)):
        name = columns[constant[0]].name
        raise BadInput(f"{name} is the same for every customer: leave it out of the columns", name)


def described(columns: Sequence[Column], differences: Float64) -> str:
    """A name: the largest differences from the mean, one for each aspect, at most three.

    Args:    differences: (c,) in standard deviations; half of one is worth a word.
    """
    words: dict[str, str] = {}
    for place in np.argsort(-np.abs(differences), kind="stable"):
        column = columns[place]
        if abs(differences[place]) >= 0.5:
            words.setdefault(column.aspect, column.more if differences[place] > 0 else column.less)
    return ", ".join(list(words.values())[:3]) or "average"


def holds(columns: Sequence[Column], differences: Float64, name: str) -> bool:
    """Whether a name still says the truth, down to a quarter of a standard deviation."""
    said = {column.more: difference for column, difference in zip(columns, differences, strict=True)}
    said |= {column.less: -difference for column, difference in zip(columns, differences, strict=True)}
    return all(said.get(word, 0.0) >= 0.25 for word in name.split(", "))
