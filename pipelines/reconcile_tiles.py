"""Reconciliation of what buckets add to items and to all customers together: their tiles, held against the log.

Additions commute, so what is missing or too much stays the same however the bucket goes on meanwhile, and a repair is
one more commit that adds it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from features.errors import Overloaded
from features.online import BucketCommit, StateStore
from features.table import Table
from features.tiles import Part, Tiles, kept_tiles, place_of, sent, tile_additions
from features.windows import TILE_MS
from pipelines.folding import TRIES

Tile = tuple[int, int]  # step, start
Sums = dict[Tile, dict[str, int]]


class RightTiles:
    """What one bucket should have added: the sums of its counted events, of the tiles that are kept."""

    def __init__(self, keep: Mapping[int, int]) -> None:
        self.keep = keep
        self.newest = 0
        self.sums: Sums = {}

    def add(self, more: Tiles, newest: int) -> None:
        """Take what some events add; `newest` is the tile of 5 minutes of the newest of them."""
        self.newest = max(self.newest, newest)
        for step, starts in more.items():
            for start, fields in starts.items():
                mine = self.sums.setdefault((step, start), {})
                for name, value in fields.items():
                    mine[name] = mine.get(name, 0) + value
        self.sums = {tile: fields for tile, fields in self.sums.items() if self._kept(tile)}

    def lacking(self, live: Sums) -> Sums:
        """What must be added to live tiles so that they are right; less than 0 where they hold too much."""
        found: Sums = defaultdict(dict)
        for tile in {*self.sums, *live}:
            right, have = self.sums.get(tile, {}), live.get(tile, {})
            for name in {*right, *have}:
                if difference := right.get(name, 0) - have.get(name, 0):
                    found[tile][name] = difference
        return dict(found)

    def _kept(self, tile: Tile) -> bool:
        step, start = tile
        return start // step >= self.newest // step - self.keep[step]


def right_tiles(table: Table, buckets: Iterable[int]) -> dict[int, RightTiles]:
    """Nothing yet, for each bucket."""
    keep = kept_tiles(table)
    return {bucket: RightTiles(keep) for bucket in buckets}


def take(into: Mapping[int, RightTiles], table: Table, counted: Part, *more: Part) -> None:
    """Add events that count to the tiles of their buckets.

    Args:    more: what those same events made of touches.
    """
    added = tile_additions(table, counted, *more)
    tile = counted.events.time // TILE_MS
    for each in np.unique(counted.bucket).tolist():
        into[each].add(added.get(each, Tiles()), int(tile[counted.bucket == each].max()))


def items_of(table: Table, lacking: Sums) -> set[str]:
    """The items that some sums are about; the empty one is all customers together."""
    return {place_of(table, name).item for fields in lacking.values() for name in fields}


def repair_tiles(store: StateStore, bucket: int, position: int, lacking: Sums, newest: int) -> None:
    """Add what a bucket lacks.

    Args:    store: of a source of the repairer's own, the bucket claimed and at `position`.
    Raises:  Overloaded: the bucket changes all the time.
    """
    tiles = Tiles()
    for (step, start), fields in lacking.items():
        tiles.setdefault(step, {})[start] = fields
    for _ in range(TRIES):
        version = store.read({bucket: []})[bucket][0]
        if not store.commit([BucketCommit(bucket, version, position, position + 1, {}, sent(tiles), newest)]):
            return
    raise Overloaded(f"bucket {bucket} changed {TRIES} times while its tiles were repaired: try in a quieter hour")
