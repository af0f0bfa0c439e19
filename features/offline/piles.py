"""Columns put aside by part, in memory or in files, to be taken up again one part at a time."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from features.columns import Text
from features.windows import Ints

Array = npt.NDArray[Any]


class Pile:
    """Chunks of columns, each of the same number of arrays, by part.

    Args:    parts: how many; folder: where they lie meanwhile, None is in memory.
    """

    def __init__(self, parts: int, folder: Path | None, name: str) -> None:
        self.parts = parts
        self._kept: list[list[list[Array]]] = [[] for _ in range(parts)]
        self._paths = None if folder is None else [folder / f"{name}-{part}" for part in range(parts)]

    def add(self, part: int, columns: Sequence[Array]) -> None:
        """One more chunk of a part."""
        if self._paths is None:
            self._kept[part].append(list(columns))
            return
        with self._paths[part].open("ab") as file:
            np.save(file, np.array(len(columns)), allow_pickle=False)
            for column in columns:
                np.save(file, column, allow_pickle=False)

    def take(self, part: int) -> list[list[Array]]:
        """All chunks of a part, in the order they came; they are gone from here."""
        kept, self._kept[part] = self._kept[part], []
        if self._paths is None or not self._paths[part].exists():
            return kept
        with self._paths[part].open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            while file.tell() < size:
                columns = int(np.load(file, allow_pickle=False))
                kept.append([np.load(file, allow_pickle=False) for _ in range(columns)])
        self._paths[part].unlink()
        return kept


def by_part(entity: Ints, parts: int) -> Iterator[tuple[int, Ints]]:
    """The rows of each part that has any: of an entity that of its number modulo all."""
    part = entity % parts
    order = np.argsort(part, kind="stable")
    ends = np.searchsorted(part[order], np.arange(parts + 1)).tolist()
    for number, (start, end) in enumerate(pairwise(ends)):
        if end > start:
            yield number, order[start:end]


def narrow(numbers: Ints) -> Array:
    """The same whole numbers in as few bytes as they need."""
    if not len(numbers):
        return numbers.astype(np.int8)
    types = [np.min_scalar_type(min(int(numbers.min()), -1)), np.min_scalar_type(-int(numbers.max()) - 1)]
    return numbers.astype(max(types, key=lambda each: each.itemsize))


def of_text(text: Text) -> list[Array]:
    """A column of texts as three arrays, without the texts that no row has."""
    there = np.zeros(len(text.values), np.bool_)
    there[text.codes] = True
    place = np.cumsum(there, dtype=np.int32) - np.int32(1)
    used = [text.values[at].encode() for at in np.flatnonzero(there).tolist()]
    sizes = np.array([len(each) for each in used], np.int32)
    return [place[text.codes] if len(place) else text.codes, sizes, np.frombuffer(b"".join(used), np.uint8)]


def to_text(columns: Sequence[Array]) -> Text:
    """The column again."""
    codes, sizes, heap = columns
    data, ends = heap.tobytes(), np.cumsum(sizes)
    values = [data[end - size : end].decode() for end, size in zip(ends.tolist(), sizes.tolist(), strict=True)]
    return Text(codes, values)
