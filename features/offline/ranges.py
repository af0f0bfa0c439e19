"""Whole numbers of two kinds in one, so that entities and moments are sorted and searched at once."""

from typing import NamedTuple

import numpy as np

from features.errors import BadInput
from features.windows import Ints


class Places(NamedTuple):
    """Puts (entity, moment) in one number that sorts by them; moments outside of those known take the ends."""

    first: int  # ms UTC
    bits: int

    def of(self, entity: Ints, moment: Ints) -> Ints:
        """(n,) the number of each pair."""
        at = np.clip(moment - (self.first - 1), 0, (1 << self.bits) - 1)
        return entity.astype(np.int64) << self.bits | at


def places(entities: int, first: int, last: int) -> Places:
    """For so many entities, and moments from first to last (ms UTC).

    Raises:  BadInput: they don't fit into 63 bits.
    """
    bits = (last - first + 2).bit_length()
    if entities.bit_length() + bits > 63:
        raise BadInput(f"{entities} entities over {last - first} ms are too many for one frame", "labels")
    return Places(first, bits)


def spread(start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """All numbers of the ranges [start, end), one range after the other: of which range each is, and the number."""
    sizes = np.maximum(end - start, 0)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    return owner, np.arange(len(owner)) + np.repeat(start - np.cumsum(sizes) + sizes, sizes)
