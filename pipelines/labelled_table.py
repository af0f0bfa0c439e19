"""A file with a row for each customer and a label, as the columns of a classifier."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import BadInput
from models.customers.encoding import Inputs
from pipelines.imports.cells import text
from pipelines.imports.lines import Refused
from pipelines.imports.rows import Rows

YES, NO = (
    frozenset({"yes", "true", "1", "1.0", "y", "t", "churned"}),
    frozenset({"no", "false", "0", "0.0", "n", "f", "stayed"}),
)
_ID_WORDS = ("id", "number", "index", "key", "uuid")
_FEW = 20
_TOO_MANY = 0.5


@dataclass(frozen=True)
class Labelled:
    """n customers: columns by name, (n,) labels 0 and 1; `dropped` are ids and columns that say nothing, with why."""

    inputs: Inputs
    labels: NDArray[np.float64]
    dropped: dict[str, str]


def read_labelled(path: Path, label: str) -> Labelled:
    """Numbers and texts told apart by their cells: a column is one of numbers when every cell that isn't empty is.

    Raises:  BadInput: no such column, a label that is neither yes nor no, a row that can't be read, no columns left.
    """
    with Rows(path) as rows:
        if label not in rows.columns:
            raise BadInput(f"--label: no column {label!r}; the file has {', '.join(map(repr, rows.columns))}", "label")
        table = list(rows)
        names = [name for name in rows.columns if name != label]
    for row in table:
        if isinstance(row, Refused):
            raise BadInput(f"row {row.number}: {row.reason}", "table")
    values = [row.values for row in table if not isinstance(row, Refused)]
    if not values:
        raise BadInput(f"{path} has no rows", "table")
    labels = _labels([text(each.get(label)) for each in values], label)
    inputs: dict[str, NDArray[Any]] = {}
    dropped: dict[str, str] = {}
    for name in names:
        column = _column([each.get(name) for each in values])
        if why := _useless(name, column):
            dropped[name] = why
        else:
            inputs[name] = column
    if not inputs:
        raise BadInput(f"no column is left beside {label!r} to learn from", "table")
    return Labelled(inputs, labels, dropped)


def _labels(cells: Sequence[str], name: str) -> NDArray[np.float64]:
    found = []
    for place, cell in enumerate(cells):
        shown = cell.lower()
        if shown not in YES | NO:
            raise BadInput(
                f"--label: row {place + 1} of {name!r} holds {cell[:40]!r}; Yes or No, 1 or 0 is needed", "label"
            )
        found.append(float(shown in YES))
    labels = np.array(found)
    if len(np.unique(labels)) < 2:
        raise BadInput(f"--label: all {len(labels)} rows of {name!r} say the same: nothing to tell apart", "label")
    return labels


def _column(cells: Sequence[Any]) -> "NDArray[Any]":
    """Numbers as float64 with NaN for empty cells, anything else as texts."""
    shown = [text(cell) for cell in cells]
    try:
        numbers = np.array([float(cell) if cell else np.nan for cell in shown])
        if np.isfinite(numbers[~np.isnan(numbers)]).all():
            return numbers
    except ValueError:
        return np.array(shown, dtype=object)
    return np.array(shown, dtype=object)


def _useless(name: str, column: "NDArray[Any]") -> str:
    """Why a column can't help: an id, or the same everywhere; empty where it can."""
    texts = column.dtype == object
    known = np.array([cell for cell in column if cell]) if texts else column[~np.isnan(column)]
    distinct = len(np.unique(known))
    if distinct == 0 or (distinct == 1 and len(known) == len(column)):
        return "constant"
    if texts:
        return "id" if distinct > max(_TOO_MANY * len(column), _FEW) else ""
    whole = distinct == len(column) > _FEW and bool((known % 1 == 0).all())
    named = name.lower().replace(" ", "").endswith(_ID_WORDS)
    return "id" if whole and (named or np.ptp(known) == len(known) - 1) else ""
