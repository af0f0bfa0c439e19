"""Boosted trees as arrays, and what they say of some rows as machine code: a tenth of the time of LightGBM's own call.

Source:  LightGBM's text format and Tree::NumericalDecision (include/LightGBM/tree.h).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.compiled.kernel import kernel
from features.errors import BrokenArtifact
from models.arrays import Float32, Int32

# Bits of a node's decision_type; its lowest one says that it asks for a category.
DEFAULT_LEFT, MISSING_IS_NAN, MISSING = 2, 8, 12

Float64 = npt.NDArray[np.float64]


class Trees(NamedTuple):
    """All trees' nodes and leaves one after the other; a child below 0 is the leaf ~child.

    `roots` (t,) begin the trees; `column`, `threshold`, `left`, `right`, `unknown` (n,) are of the nodes, the last is
    where a row goes that lacks the value; `leaf` (m,) what the leaves add.
    """

    roots: Int32
    column: Int32
    threshold: Float64
    left: Int32
    right: Int32
    unknown: Int32
    leaf: Float64


def trees_of(text: str) -> Trees:
    """The trees of a LightGBM model file.

    Raises:  BrokenArtifact: they ask for categories, or take zeros for missing, which ours never do; or a node leads
             back, or out of its tree.
    """
    roots: list[int] = []
    parts: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in Trees._fields[1:]}
    nodes = leaves = 0
    for block in text.split("\nTree=")[1:]:
        told = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        leaf = _numbers(told["leaf_value"])
        splits = int(told["num_leaves"]) > 1
        column, threshold, kinds, left, right = (
            _numbers(told[name]) if splits else np.zeros(0)
            for name in ("split_feature", "threshold", "decision_type", "left_child", "right_child")
        )
        kind = kinds.astype(np.int64)
        _check(left, right, len(leaf))
        if np.any(kind & 1) or np.any((kind & MISSING != 0) & (kind & MISSING != MISSING_IS_NAN)):
            raise BrokenArtifact("the trees ask for categories, or take zeros for missing: they aren't ours")
        left, right = (np.where(child >= 0, child + nodes, child - leaves) for child in (left, right))
        goes_left = np.where(kind & MISSING_IS_NAN, kind & DEFAULT_LEFT, threshold >= 0)  # else NaN counts as 0
        found = (column, threshold, left, right, np.where(goes_left, left, right), leaf)
        for name, values in zip(parts, found, strict=True):
            parts[name].append(values)
        roots.append(nodes if splits else ~leaves)
        nodes, leaves = nodes + len(column), leaves + len(leaf)
    joined = {name: np.concatenate([np.zeros(0), *values]) for name, values in parts.items()}
    rows = {name: joined[name].astype(np.int32) for name in ("column", "left", "right", "unknown")}
    return Trees(
        np.array(roots, dtype=np.int32),
        rows["column"], joined["threshold"], rows["left"], rows["right"], rows["unknown"], joined["leaf"],
    )  # fmt: skip


def sums(trees: Trees, table: Float32) -> Float32:
    """What the trees add up to for each row.

    Args:    table: (rows, columns) float32, NaN where nothing is known.
    """
    found = np.empty(len(table), dtype=np.float32)
    _add_up(trees, np.ascontiguousarray(table), found)
    return found


@kernel
def _add_up(trees: Trees, table: Float32, found: Float32) -> None:
    for row in range(len(table)):
        total = 0.0
        for root in trees.roots:
            at = root
            while at >= 0:
                value = np.float64(table[row, trees.column[at]])
                if np.isnan(value):
                    at = trees.unknown[at]
                elif value <= trees.threshold[at]:
                    at = trees.left[at]
                else:
                    at = trees.right[at]
            total += trees.leaf[~at]
        found[row] = total


def _check(left: Float64, right: Float64, leaves: int) -> None:
    """Every child comes after its parent, so that each way ends."""
    nodes = np.arange(len(left))
    for child in (left, right):
        if np.any((child >= 0) & ((child <= nodes) | (child >= len(nodes)))) or np.any(child < -leaves):
            raise BrokenArtifact("a node of a tree leads back, or out of the tree")


def _numbers(text: str) -> Float64:
    return np.array(text.split(), dtype=np.float64)
