"""Inner folds of a classifier: whole customers on one side, and both classes in every fold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import BadInput

Float64 = NDArray[np.float64]
Rows = NDArray[np.int64]
Fold = tuple[Rows, Rows]  # rows to fit on, rows left out


def grouped_folds(
    labels: "NDArray[Any]", groups: "NDArray[Any] | None", folds: int, seed: int, rows: int
) -> tuple[list[Fold], Float64]:
    """So many folds of about equal size and share of positives, and the labels as 0.0 and 1.0.

    Args:    labels: (rows,) 0 or 1; groups: (rows,) equal ones stay together, None: each row is one of its own.
    Raises:  BadInput: other labels, all equal, or fewer groups of either kind than folds.
    """
    target = binary(labels, rows)
    codes = np.arange(rows) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if len(codes) != rows:
        raise BadInput(f"there are {rows} rows and {len(codes)} groups", "groups")
    sizes = np.bincount(codes)
    positives = np.bincount(codes, target)
    for kind, count in (("1", int((positives > 0).sum())), ("0", int((positives < sizes).sum()))):
        if count < folds:
            raise BadInput(f"{folds} folds need as many customers labelled {kind} each, there are {count}", "label")
    order = np.lexsort((np.random.default_rng(seed).random(len(sizes)), sizes, positives / sizes))
    fold = np.empty(len(sizes), np.int64)
    fold[order] = np.arange(len(sizes)) % folds
    of_row = fold[codes]
    return [(np.flatnonzero(of_row != each), np.flatnonzero(of_row == each)) for each in range(folds)], target


def binary(labels: "NDArray[Any]", rows: int) -> Float64:
    """The labels as 0.0 and 1.0.

    Raises:  BadInput: not one for each row, something else, or all equal.
    """
    values = np.asarray(labels)
    if len(values) != rows:
        raise BadInput(f"there are {rows} rows and {len(values)} labels", "label")
    try:
        target = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput(f"labels must be 0 and 1: {error}", "label") from error
    if not np.isin(target, (0, 1)).all():
        raise BadInput("labels must be 0 and 1", "label")
    if len(np.unique(target)) < 2:
        found = f"all {rows} labels are {target[0]:g}" if rows else "there are no labels"
        raise BadInput(f"{found}: there is nothing to tell apart", "label")
    return target
