"""A customer's features as the columns that churn is read from: the same in training and in serving."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.checks import entity_of
from features.definitions import FEATURES
from features.feature import Feature
from features.table import Table
from models.customers.encoding import Float64, Inputs

Int64 = NDArray[np.int64]
_MONEY = "currency"  # amounts by currency are added up as one: nearly every shop has one
_NEEDED = ("since_order", "first_order", "orders")


def wanted(table: Table = FEATURES) -> tuple[str, ...]:
    """Names of the features of customers that are a number, a text, or an amount by currency."""
    return tuple(name for name, feature in table.features.items() if _usable(feature))


def inputs_of(values: Inputs, as_of: Int64, table: Table = FEATURES) -> dict[str, "NDArray[Any]"]:
    """Columns for the classifier.

    A time becomes the time since then: a date would teach the calendar. Added to the features: `order_gap`, the mean
    time between orders, and `overdue`, how many such gaps have passed since the last one (NaN with less than two).

    Args:    values: (n,) columns of wanted(); as_of: (n,) int64 ms UTC, the moment that they were read for.
    """
    found: dict[str, NDArray[Any]] = {}
    for name, column in values.items():
        feature = table.features[name]
        if feature.dtype.startswith("map"):
            found[name] = np.array([float(sum((each or {}).values())) for each in column])
        elif feature.dtype == "str":
            found[name] = np.asarray(column, dtype=object)
        elif feature.unit == "ms UTC":
            found[f"since_{name}"] = as_of - _numbers(column)
        else:
            found[name] = _numbers(column)
    if set(_NEEDED) <= values.keys():
        last, orders = found["since_order"], found["orders"]
        several = np.where(orders > 1, orders - 1, np.nan)
        gap = (found["since_first_order"] - last) / several
        found["order_gap"] = gap
        found["overdue"] = last / np.where(gap > 0, gap, np.nan)
    return found


def _usable(feature: Feature) -> bool:
    if entity_of(feature) != "customer":
        return False
    return feature.dtype in {"int", "float", "str"} or (feature.dtype.startswith("map") and feature.by == _MONEY)


def _numbers(column: "NDArray[Any]") -> Float64:
    if column.dtype.kind in "fiub":
        return column.astype(np.float64)
    return np.array([np.nan if value is None else value for value in column], np.float64)
