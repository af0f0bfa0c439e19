"""The k best inner products among vectors in order of length, as machine code."""

import numpy as np

from features.compiled.kernel import kernel, summing
from models.arrays import Float32, Int32, Mask

AT_ONCE = 128  # the allowed ones are picked first, without a branch, so that the memory fetches several at a time
NOWHERE = np.iinfo(np.int32).max  # of a place in the slate that nothing has taken


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


@summing
def longest_first(
    vectors: Float32, rows: Int32, lengths: Float32, allowed: Mask, query: Float32, reach: np.float32,
    best: Float32, places: Int32,
) -> int:  # fmt: skip
    """Fill `best` and `places`, (k,) of -inf and NOWHERE, with the best allowed vectors in no order; ties by row.

    Args:    vectors: (n, d), the longest first; rows: (n,) of each; lengths: (n,); allowed: (n,) by row; query: (d,);
             reach: its length, rounded up.
    Returns: how many vectors were compared.
    """
    compared, size = 0, vectors.shape[1]
    chosen = np.empty(AT_ONCE, np.int32)
    for begin in range(0, len(rows), AT_ONCE):
        if lengths[begin] * reach < best[0]:
            break
        count = 0
        for at in range(begin, min(begin + AT_ONCE, len(rows))):
            chosen[count] = at
            count += allowed[rows[at]]
        for at in chosen[:count]:
            score = np.float32(0)
            for each in range(size):
                score += vectors[at, each] * query[each]
            if score >= best[0] and _is_worse(best[0], _row(rows, places[0]), score, rows[at]):
                _replace_worst(rows, best, places, score, at)
        compared += count
    return compared
