"""States of items from tiles summed over all buckets: each cell is set to what the tiles say, as often as one likes.

A state keeps the finest tiles that a window may still need, then coarser ones, then nothing. Where a coarser tile
reaches into the time of the finer ones, it holds what they don't: its whole sum less theirs.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from features.cells import Cells, find, merge, select, series_of, sub_of_key
from features.contributions import SUB_BITS, Deltas, key_of
from features.states import Names, States, add_names, ends_of, owners, ragged, within
from features.table import Table
from features.tiles import Place, named, place_of, shared, sub_of_field
from features.windows import HOUR, TILE_MS, Ints

Tile = tuple[int, int]  # step, start
Sums = Mapping[Tile, Mapping[str, int]]  # of fields, over all buckets
Less = tuple[Tile, ...]


class Asked(NamedTuple):
    """A cell to be set: the index of its state, and the field of the tile that it is about."""

    owner: int
    tile: Tile
    field: str


class Ladder:
    """Which tiles become cells of a state, at the newest event of all.

    Args:    newest: its tile of 5 minutes.
    """

    def __init__(self, table: Table, newest: int) -> None:
        self.table = table
        self.newest_ms = newest * TILE_MS
        self._series = shared(table)
        hour = np.array([newest // HOUR * HOUR * TILE_MS])  # as states age: by whole hours
        self._horizons: dict[int, list[int]] = {}
        for number, series in self._series.items():
            edges = [int(rung.horizon(hour)[0]) for rung in series.rungs]
            self._horizons[number] = np.minimum.accumulate(edges).tolist()
        self._known: dict[Tile, dict[int, Less]] = {}

    def cells(self, tile: Tile) -> dict[int, Less]:
        """The series of which a tile becomes a cell, and which finer tiles' sums are then not part of it."""
        found = self._known.get(tile)
        if found is None:
            found = self._known[tile] = {
                number: less for number in self._series if (less := self._less(number, tile)) is not None
            }
        return found

    def asks(self, tile: Tile, field: str) -> Less | None:
        """The same of one field; None: its tile is no cell."""
        return self.cells(tile).get(int(field[: field.index(":")]))

    def needs(self, tiles: Iterable[Tile]) -> set[Tile]:
        """The tiles without those that no cell is set from."""
        wanted = set()
        for tile in tiles:
            found = self.cells(tile)
            if found:
                wanted |= {tile, *(each for less in found.values() for each in less)}
        return wanted

    def _less(self, number: int, tile: Tile) -> Less | None:
        step, start = tile
        finer, finer_step = 2**62, 0
        for rung, horizon in zip(self._series[number].rungs, self._horizons[number], strict=True):
            if rung.step == step:
                if not horizon <= start < finer:
                    return None
                return tuple((finer_step, at) for at in range(finer, start + step, finer_step)) if finer_step else ()
            finer, finer_step = horizon, rung.step
        return None


def set_cells(ladder: Ladder, states: States, asked: list[Asked], sums: Sums) -> States:
    """The states with these cells as the sums have them, aged to the ladder's moment.

    Args:    sums: of the fields asked for, and of the same fields in the tiles that are not part of them.
    """
    table = ladder.table
    known = {field: place_of(table, field) for field in {each.field for each in asked}}
    places = [known[each.field] for each in asked]
    needs = [table.series[place.series].need for place in places]
    subs = [sub_of_field(need, place.key) for need, place in zip(needs, places, strict=True)]
    owner = np.array([each.owner for each in asked], np.int64)
    sub = np.array(subs, np.int64)
    series = np.array([place.series for place in places], np.int64)
    key = key_of(series, sub, np.array([each.tile[1] for each in asked], np.int64))
    value = np.array([_value(ladder, *pair, sums) for pair in zip(asked, places, strict=True)], np.int64)
    everyone, newest = np.arange(states.n), np.full(states.n, ladder.newest_ms)
    cells = merge(table, states.cells, Deltas(everyone, np.zeros(states.n, np.uint64), newest))[0]
    at, found = find(cells, owner, key)
    before = np.where(found, np.append(cells.value, 0)[at], 0)
    cells = merge(table, cells, Deltas(owner, key, value - before))[0]
    cells = select(cells, (cells.value != 0) | (series_of(cells.key) == 0))
    texts = [(o, s, p) for o, s, p, n in zip(owner.tolist(), subs, places, needs, strict=True) if s and named(n)]
    return states._replace(cells=cells, names=_names(table, states.names, cells, texts))


def _value(ladder: Ladder, each: Asked, place: Place, sums: Sums) -> int:
    value = sums[each.tile].get(each.field, 0)
    for tile in ladder.cells(each.tile)[place.series]:
        value -= sums.get(tile, {}).get(each.field, 0)
    return value


def _names(table: Table, names: Names, cells: Cells, texts: list[tuple[int, int, Place]]) -> Names:
    """The names of the keys that the cells have, and no other ones."""
    keys = np.array([owner << SUB_BITS | sub for owner, sub, _ in texts], np.int64)
    names = add_names(names, keys, [place.key for _, _, place in texts])
    if not len(names.sub):
        return names
    with_names = np.array([named(each.need) for each in table.series])
    look = with_names[series_of(cells.key)]
    used = cells.owner()[look] << SUB_BITS | sub_of_key(cells.key[look])
    owner: Ints = owners(names.ends)
    keep = within(owner << SUB_BITS | names.sub, used)
    at, heap = ragged(names.heap, names.at[:-1][keep], np.diff(names.at)[keep])
    return Names(ends_of(owner[keep], len(names.ends) - 1), names.sub[keep], at, heap)
