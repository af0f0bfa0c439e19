"""Histories as training sequences: cut to length, grouped by length and laid out as rectangles."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.arrays import Float32, Int32, Int64, Mask
from models.histories import Histories

Random = np.random.Generator


class Batch(NamedTuple):
    """Rows of about one length, oldest first, padded at the END with item 0 where `real` is False.

    `inputs` (n, L) int64, `targets` (n, L) int64 one step ahead, `real` (n, L) which targets count. Attention that
    looks back only never sees padding at the end, so nothing else has to be masked.
    """

    inputs: Int64
    targets: Int64
    real: Mask


def shuffled(histories: Histories, random: Random) -> Histories:
    """The events of each row in random order: what is learned from a source that knows no order."""
    return _picked(histories, histories.indptr, np.lexsort((random.random(len(histories.items)), histories.rows_of)))


def without_last(histories: Histories, rows: "NDArray[np.integer[Any]]") -> Histories:
    """The histories less the newest event of these rows, none of which may be empty."""
    kept = np.ones(len(histories.items), dtype=np.bool_)
    kept[histories.indptr[rows + 1] - 1] = False
    counts = histories.counts.copy()
    counts[rows] -= 1
    return _picked(histories, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), np.flatnonzero(kept))


def segments(histories: Histories, length: int, random: Random) -> tuple[Int64, Int64]:
    """Where rows of up to `length` targets start and stop in the flat events; each target is in exactly one.

    A history longer than that is cut into several, at places that differ from one call to the next.
    """
    targets = histories.counts - 1
    first = np.where(targets > length, random.integers(1, length + 1, len(targets)), length)
    pieces = np.where(targets > 0, 1 + -(-np.maximum(targets - first, 0) // length), 0)
    row = np.repeat(np.arange(len(targets)), pieces)
    piece = np.arange(len(row)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    stop = first[row] + piece * length
    start = np.where(piece == 0, 0, stop - length)
    return histories.indptr[row] + start, histories.indptr[row] + np.minimum(stop, targets[row]) + 1


def batches(histories: Histories, length: int, tokens: int, random: Random) -> Iterator[Batch]:
    """Every target once, in batches of about `tokens` targets whose rows are of about one length, in random order."""
    start, stop = segments(histories, length, random)
    order = np.lexsort((random.random(len(start)), stop - start))
    start, stop = start[order], stop[order]
    number = np.cumsum(stop - start - 1) // tokens
    edges = np.concatenate([[0], np.flatnonzero(np.diff(number)) + 1, [len(start)]])
    for at in random.permutation(len(edges) - 1):
        part = slice(edges[at], edges[at + 1])
        yield rectangle(histories.items, start[part], stop[part])


def rectangle(items: Int32, start: Int64, stop: Int64) -> Batch:
    """These segments of the flat events as one batch."""
    size = stop - start
    place = np.arange(size.max())
    real = place[None] < size[:, None]
    rows = np.where(real, items[np.where(real, start[:, None] + place[None], 0)], 0).astype(np.int64)
    return Batch(rows[:, :-1], rows[:, 1:], real[:, 1:])


def counted(histories: Histories) -> Float32:
    """(n_items,) how often each item occurs."""
    return np.bincount(histories.items, minlength=histories.n_items).astype(np.float32)


def _picked(histories: Histories, indptr: Int64, places: Int64) -> Histories:
    times = None if histories.times is None else histories.times[places]
    return replace(
        histories, indptr=indptr, items=histories.items[places], weights=histories.weights[places], times=times
    )
