"""Columns of a table as numbers for a classifier: numbers as they are, texts as one column for each common value.

Trees take `matrix()`, where NaN says that nothing is known. The linear part takes `curves()`: every number as a
piecewise linear curve with its bends at quantiles, so that "the first months matter most" needs no tree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.errors import BadInput, BrokenArtifact

Float64 = NDArray[np.float64]
Inputs = Mapping[str, "NDArray[Any]"]  # (n,) by name: numbers, or texts as objects; None and NaN: not known
MOST_LEVELS = 64


class Column(msgspec.Struct, frozen=True):
    """One column of the table: a number has knots, a text has levels (those seen often enough); one has both empty
    where it says nothing.
    """

    name: str
    levels: tuple[str, ...] = ()
    knots: tuple[float, ...] = ()

    @property
    def is_text(self) -> bool:
        return bool(self.levels)


@dataclass(frozen=True)
class Encoding:
    """How the columns of one table become numbers; columns that never vary are in `dropped`."""

    columns: tuple[Column, ...]
    dropped: tuple[str, ...] = ()

    @classmethod
    def of(cls, inputs: Inputs, knots: int, rare: int) -> "Encoding":
        """Learn it.

        Args:    knots: bends of a curve at most; rare: a text seen less often is one of "others".
        Raises:  BadInput: columns of different lengths, no rows, infinite numbers, or no column that varies.
        """
        _lengths(inputs)
        found = [_column(name, np.asarray(values), knots, rare) for name, values in inputs.items()]
        kept = tuple(column for column in found if column.levels or column.knots)
        if not kept:
            raise BadInput("every column is constant: there is nothing to tell customers apart by", "features")
        names = {column.name for column in kept}
        return cls(kept, tuple(name for name in inputs if name not in names))

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are used."""
        return tuple(column.name for column in self.columns)

    @property
    def widths(self) -> tuple[int, int]:
        """How many columns matrix() and curves() have."""
        texts = sum(len(column.levels) + 1 for column in self.columns if column.is_text)
        numbers = [column for column in self.columns if not column.is_text]
        return texts + len(numbers), texts + sum(len(column.knots) + 1 for column in numbers)

    def matrix(self, inputs: Inputs) -> tuple[Float64, NDArray[np.int64]]:
        """For trees.

        Returns: (n, p) numbers with NaN where nothing is known, and texts as zeros and ones; (p,) which column each
                 is of.
        Raises:  BadInput: a column is missing, or not of the kind that was learned.
        """
        return self._joined(inputs, lambda _, values: values[:, None])

    def curves(self, inputs: Inputs) -> tuple[Float64, NDArray[np.int64]]:
        """For what is linear: the same, but numbers as hat functions over their knots, and one for "not known"."""
        return self._joined(inputs, _hats)

    def _joined(self, inputs: Inputs, numbers: Any) -> tuple[Float64, NDArray[np.int64]]:
        _lengths(inputs)
        parts, owner = [], []
        for at, column in enumerate(self.columns):
            if column.name not in inputs:
                raise BadInput(f"the column {column.name!r} is missing", column.name)
            raw = np.asarray(inputs[column.name])
            part = _flags(column, raw) if column.is_text else numbers(column, _numbers(column.name, raw))
            parts.append(part)
            owner += [at] * part.shape[1]
        return np.hstack(parts), np.array(owner, np.int64)

    def as_params(self) -> dict[str, Any]:
        """As plain values, for a JSON file."""
        return {"columns": msgspec.to_builtins(self.columns), "dropped": list(self.dropped)}

    @classmethod
    def from_params(cls, params: Any) -> "Encoding":
        """What as_params() gave.

        Raises:  BrokenArtifact: it is no encoding.
        """
        try:
            columns = msgspec.convert(params["columns"], tuple[Column, ...])
            dropped = msgspec.convert(params["dropped"], tuple[str, ...])
        except (KeyError, TypeError, msgspec.ValidationError) as error:
            raise BrokenArtifact(f"the columns of the model can't be read: {error}") from error
        if not columns or any(not (column.levels or _ascending(column.knots)) for column in columns):
            raise BrokenArtifact("the columns of the model have neither values nor ascending knots")
        return cls(columns, dropped)


def is_text(values: "NDArray[Any]") -> bool:
    """Whether a column holds texts; anything else is taken as a number."""
    return values.dtype.kind in "OUST" and any(isinstance(value, str) for value in values)


def _column(name: str, values: "NDArray[Any]", most: int, rare: int) -> Column:
    if is_text(values):
        texts, counts = np.unique(texts_of(values), return_counts=True)
        if len(texts) < 2:
            return Column(name)
        order = np.lexsort((texts, -counts))[:MOST_LEVELS]
        return Column(name, levels=tuple(str(texts[at]) for at in sorted(order) if counts[at] >= rare))
    numbers = _numbers(name, values)
    known = numbers[~np.isnan(numbers)]
    distinct = np.unique(known)
    if len(distinct) < 2:
        constant = len(distinct) == 0 or len(known) == len(numbers)
        return Column(name) if constant else Column(name, knots=(float(distinct[0]),))
    knots = distinct if len(distinct) <= most else np.unique(np.quantile(known, np.linspace(0, 1, most)))
    return Column(name, knots=tuple(float(knot) for knot in knots))


def _flags(column: Column, values: "NDArray[Any]") -> Float64:
    """(n, levels + 1): which of the levels it is; the last column for every other text, whether seen before or not."""
    places = {level: at for at, level in enumerate(column.levels)}
    texts, codes = np.unique(texts_of(values), return_inverse=True)
    chosen = np.array([places.get(str(text), len(places)) for text in texts], np.int64)[codes]
    return np.eye(len(places) + 1)[chosen]


def _hats(column: Column, numbers: Float64) -> Float64:
    """(n, knots + 1): weights of the two knots around each number, and whether it isn't known; constant outside."""
    knots = np.array(column.knots)
    unknown = np.isnan(numbers)
    there = np.clip(np.where(unknown, knots[0], numbers), knots[0], knots[-1])
    hats = np.column_stack([np.interp(there, knots, row) for row in np.eye(len(knots))])
    return np.hstack([np.where(unknown[:, None], 0, hats), unknown[:, None]])


def texts_of(values: "NDArray[Any]") -> "NDArray[Any]":
    """(n,) texts; empty where nothing is known."""
    return np.array([value if isinstance(value, str) else "" if _is_absent(value) else str(value) for value in values])


def _is_absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _numbers(name: str, values: "NDArray[Any]") -> Float64:
    try:
        plain = values.dtype.kind in "fiub"
        numbers = (values if plain else np.array([np.nan if v is None else v for v in values])).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{name} was learned as a column of numbers and holds something else: {error}", name) from error
    if np.isinf(numbers).any():
        raise BadInput(f"{name} holds an infinite number", name)
    return numbers


def _lengths(inputs: Inputs) -> None:
    if not inputs:
        raise BadInput("there are no columns", "features")
    lengths = {len(values) for values in inputs.values()}
    if len(lengths) > 1:
        raise BadInput(f"the columns have different lengths: {sorted(lengths)}", "features")


def _ascending(knots: tuple[float, ...]) -> bool:
    return bool(knots) and bool(np.isfinite(knots).all()) and all(np.diff(knots) > 0)
