"""What a model is fitted on: ids as rows, what each user did in order, and what is known of the items."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, vstack

from models.arrays import Csr, Int32, Int64
from models.histories import Histories
from models.visits import visits


@dataclass(frozen=True)
class IdMap:
    """Ids in sorted order; an id's place is its row, so that ties broken by row are ties broken by id."""

    ids: tuple[str, ...]

    @classmethod
    def of(cls, ids: Iterable[str]) -> "IdMap":
        """The map of these ids, each once."""
        return cls(tuple(sorted(set(ids))))

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {identity: row for row, identity in enumerate(self.ids)}

    @cached_property
    def _index(self) -> "pd.Index[str]":
        return pd.Index(self.ids, dtype="str")

    def row(self, identity: str) -> int:
        """The row of one id; -1 where it is unknown."""
        return self._rows.get(identity, -1)

    def rows_of(self, ids: Sequence[str]) -> list[int]:
        """The rows of a few ids, in their order; -1 where unknown."""
        row_of = self._rows.get
        return [row_of(identity, -1) for identity in ids]

    def rows(self, ids: "Iterable[str]") -> Int32:
        """(n,) int32 rows of the ids, in their order; -1 where unknown."""
        values = ids if isinstance(ids, pd.Series) else pd.Series(list(ids), dtype="str")
        return self._index.get_indexer(pd.Index(values)).astype(np.int32)

    def names(self, rows: Int32) -> list[str]:
        """The ids of the rows, in their order; rows below 0 (padding) are left out."""
        return [self.ids[row] for row in rows.tolist() if row >= 0]


@dataclass(frozen=True)
class Content:
    """What is known of the items themselves: `matrix` is (n_items, n_names) csr float32, `names` its columns."""

    names: tuple[str, ...]
    matrix: Csr


class Contexts(NamedTuple):
    """In which context each of m events happened: `key` (m,) is an index into `keys`, such as `country:GB`; `user` and
    `item` (m,) are rows, `times` (m,) ms UTC. An event that is in several contexts is there several times.
    """

    keys: tuple[str, ...]
    key: Int64
    user: Int32
    item: Int32
    times: Int64


@dataclass(frozen=True)
class Interactions:
    """What a model is fitted on: of each user the events that count, oldest first, less what was taken back.

    `items` may hold what the catalogue has and nobody has met. `window` is [since, until) in ms UTC, None without
    times.
    """

    users: IdMap
    items: IdMap
    histories: Histories
    window: tuple[int, int] | None = None
    content: Content | None = None
    contexts: Contexts | None = None

    @classmethod
    def of(cls, users: IdMap, items: IdMap, matrix: Csr) -> "Interactions":
        """Pairs without times or order."""
        return cls(users, items, Histories.from_matrix(matrix))

    @property
    def matrix(self) -> Csr:
        """(n_users, n_items) csr float32, what each pair is worth, every stored value above 0, columns in order."""
        return self.histories.matrix

    def taken_together(self, beyond: int) -> Csr:
        """(n, n_items) csr float32, what may be said to go together: a row a user, and of a history of more than
        `beyond` events a row a visit too, which says it more narrowly (0: every history is whole)."""
        cut = visits(self.histories, beyond)
        if cut is self.histories:
            return self.matrix
        user = self.histories.rows_of[cut.indptr[:-1][cut.counts > 0]]
        several = np.flatnonzero(np.bincount(user, minlength=len(self.histories)) > 1)
        return csr_matrix(vstack([cut.matrix, self.matrix[several]]))

    @cached_property
    def timestamps(self) -> Int64 | None:
        """(nnz,) int64 ms UTC, the newest time of each pair stored in `matrix`; None where the source has no times."""
        if self.histories.times is None:
            return None
        cells = self.histories.rows_of * self.histories.n_items + self.histories.items
        _, place = np.unique(cells, return_inverse=True)
        newest = np.zeros(self.matrix.nnz, dtype=np.int64)
        np.maximum.at(newest, place, self.histories.times)
        return newest
