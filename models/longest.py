"""The k best inner products among vectors in order of length, as machine code that mostly reads a byte a number."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.compiled.kernel import kernel, summing
from models.arrays import Float32, Int32, Mask

AT_ONCE = 128  # the allowed ones are picked first, without a branch, so that the memory fetches several at a time
NOWHERE = np.iinfo(np.int32).max  # of a place in the slate that nothing has taken
LARGEST = 127


class Rounded(NamedTuple):
    """n vectors, the longest first: `rows` (n,) where each stands, `lengths` (n,).

    Each is about `steps` (n,) times its `codes` (n, d) int8, and no further than `doubts` (n,) from that. An answer is
    worth `weights` (n,) times the inner product.
    """

    rows: Int32
    lengths: Float32
    codes: npt.NDArray[np.int8]
    steps: Float32
    doubts: Float32
    weights: Float32


@kernel
def _is_worse(score: np.float32, row: int, than: np.float32, other: int) -> bool:
    return bool(score < than or (score == than and row > other))


@kernel
def _row(rows: Int32, at: int) -> int:
    return NOWHERE if at == NOWHERE else int(rows[at])


@kernel
def _replace_worst(rows: Int32, scores: Float32, places: Int32, score: np.float32, place: int) -> None:
    """Put a vector where the worst is, which comes first: each is no better than the two below it."""
    at, row = 0, int(rows[place])
    while 2 * at + 1 < len(scores):
        worse = 2 * at + 1
        other = worse + 1
        if other < len(scores) and _is_worse(
            scores[other], _row(rows, places[other]), scores[worse], _row(rows, places[worse])
        ):
            worse = other
        if _is_worse(score, row, scores[worse], _row(rows, places[worse])):
            break
        scores[at], places[at] = scores[worse], places[worse]
        at = worse
    scores[at], places[at] = score, place


@kernel
def round_off(vectors: Float32, rounded: Rounded) -> None:
    """Fill codes, steps and doubts; a doubt holds what a sum of float32 may be off, too."""
    size = vectors.shape[1]
    slack = np.float32(size) * np.finfo(np.float32).eps
    for at in range(len(rounded.rows)):
        vector = vectors[rounded.rows[at]]
        step = np.abs(vector).max() / np.float32(LARGEST)
        off = 0.0
        for each in range(size):
            code = np.rint(vector[each] / step) if step > 0 else np.float32(0)
            rounded.codes[at, each] = np.int8(code)
            off += np.float64(vector[each] - code * step) ** 2
        rounded.steps[at] = step
        rounded.doubts[at] = np.float32(np.sqrt(off)) * np.float32(1 + 1e-6) + slack * rounded.lengths[at]


@summing
def longest_first(
    vectors: Float32, rounded: Rounded, allowed: Mask, query: Float32, reach: np.float32, best: Float32, places: Int32
) -> int:
    """Fill `best` and `places`, (k,) of -inf and NOWHERE, with the best allowed vectors in no order; ties by row.

    A vector is read in full only where what its codes say, and as much as they may be off, is enough for the slate.

    Args:    vectors: (n, d) by row; allowed: (n,) by row; query: (d,); reach: its length, rounded up.
    Returns: how many vectors were compared.
    """
    compared, size, rows = 0, vectors.shape[1], rounded.rows
    chosen = np.empty(AT_ONCE, np.int32)
    for begin in range(0, len(rows), AT_ONCE):
        if rounded.lengths[begin] * reach < best[0]:
            break
        count = 0
        for at in range(begin, min(begin + AT_ONCE, len(rows))):
            chosen[count] = at
            count += allowed[rows[at]]
        for at in chosen[:count]:
            about = np.float32(0)
            for each in range(size):
                about += np.float32(rounded.codes[at, each]) * query[each]
            if (about * rounded.steps[at] + rounded.doubts[at] * reach) * rounded.weights[at] < best[0]:
                continue
            score, row = np.float32(0), rows[at]
            for each in range(size):
                score += vectors[row, each] * query[each]
            score *= rounded.weights[at]
            if score >= best[0] and _is_worse(best[0], _row(rows, places[0]), score, row):
                _replace_worst(rows, best, places, score, at)
        compared += count
    return compared
