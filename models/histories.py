"""What people did, oldest first: the question that every model is asked, and what sequence models learn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.arrays import Csr, Float32, Int32, Int64


class History(NamedTuple):
    """What one person did, oldest first; an item may come several times.

    `items` is (h,) rows of a model's item map, those below 0 are not known to it and ignored; `weights` (h,) what each
    event is worth; `times` (h,) ms UTC, None where only the order is known.
    """

    items: Int32
    weights: Float32
    times: Int64 | None = None

    def known(self) -> "History":
        """Only what the model knows and what counts."""
        kept = (self.items >= 0) & (self.weights > 0)
        if kept.all():
            return self
        return History(self.items[kept], self.weights[kept], None if self.times is None else self.times[kept])


def newest_places(history: History, items: Int32) -> Int32:
    """For each of the items its newest position in the history; -1 where it isn't there."""
    newest = {item: place for place, item in enumerate(history.items.tolist())}
    return np.array([newest.get(item, -1) for item in items.tolist()], dtype=np.int32)


NOBODY = History(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))


@dataclass(frozen=True)
class Histories:
    """The histories of n people as ragged rows; every item is known and every weight above 0.

    `indptr` is (n + 1,) int64 into `items`, `weights` and `times`, which are (m,). Where not `ordered`, the source had
    neither times nor positions, and the order within a row means nothing.
    """

    indptr: Int64
    items: Int32
    weights: Float32
    n_items: int
    times: Int64 | None = None
    ordered: bool = True

    @classmethod
    def of(cls, histories: Sequence[History], n_items: int) -> "Histories":
        """These histories as rows; all of them have times, or none counts as having them."""
        known = [history.known() for history in histories]
        parts = [history.times for history in known if history.times is not None]
        return cls(
            np.concatenate([[0], np.cumsum([len(history.items) for history in known])]).astype(np.int64),
            np.concatenate([NOBODY.items, *(history.items for history in known)]),
            np.concatenate([NOBODY.weights, *(history.weights for history in known)]),
            n_items,
            np.concatenate(parts) if parts and len(parts) == len(known) else None,
        )

    @classmethod
    def from_matrix(cls, matrix: Csr) -> "Histories":
        """The rows of a matrix of weights, in no order that means anything."""
        return cls(
            matrix.indptr.astype(np.int64),
            matrix.indices.astype(np.int32),
            matrix.data.astype(np.float32),
            int(matrix.shape[1]),
            ordered=False,
        )

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def __getitem__(self, row: int) -> History:
        if not 0 <= row < len(self):
            raise IndexError(f"there are {len(self)} histories, not {row}")
        part = slice(int(self.indptr[row]), int(self.indptr[row + 1]))
        return History(self.items[part], self.weights[part], None if self.times is None else self.times[part])

    @property
    def counts(self) -> Int64:
        """(n,) int64 number of events of each."""
        return np.diff(self.indptr)

    @property
    def rows_of(self) -> Int64:
        """(m,) int64 the row that each event belongs to."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.counts)

    @cached_property
    def matrix(self) -> Csr:
        """(n, n_items) csr float32 sums of weights, columns in order within each row."""
        shape = (len(self), self.n_items)
        matrix = csr_matrix((self.weights, (self.rows_of, self.items)), shape=shape, dtype=np.float32)
        matrix.sum_duplicates()
        return matrix

    def rows(self, start: int, stop: int) -> "Histories":
        """Those from `start` up to but without `stop`."""
        low, high = int(self.indptr[start]), int(self.indptr[min(stop, len(self))])
        return self._events(self.indptr[start : stop + 1] - low, slice(low, high))

    def take(self, rows: "NDArray[np.integer[Any]]") -> "Histories":
        """Those of the rows, in their order."""
        counts = self.counts[rows]
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        places = np.arange(indptr[-1]) - np.repeat(indptr[:-1] - self.indptr[rows], counts)
        return self._events(indptr, places)

    def last(self, count: int) -> "Histories":
        """Only the newest `count` events of each."""
        kept = np.minimum(self.counts, count)
        indptr = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
        places = np.arange(indptr[-1]) - np.repeat(indptr[1:] - self.indptr[1:], kept)
        return self._events(indptr, places)

    def _events(self, indptr: Int64, places: "slice | NDArray[np.int64]") -> "Histories":
        times = None if self.times is None else self.times[places]
        return Histories(indptr, self.items[places], self.weights[places], self.n_items, times, self.ordered)
