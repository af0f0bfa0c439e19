"""How far back tiles of each size are kept, by the hour of a state's newest event: what ages cells in a kernel."""

from typing import NamedTuple

import numpy as np

from features.aging import coarser, horizon
from features.columns import Numbers
from features.table import Table
from features.windows import HOUR, TILE_MS, Ints

HOUR_MS = HOUR * TILE_MS


class Ladders(NamedTuple):
    """By hour h, kind of ladder k and rung r."""

    kind: Numbers  # (series,) the kind of each
    coarser: Numbers  # (k, r) the step of the next coarser tiles: 0 all time, -1 none at all
    horizon: Numbers  # (h, k, r) tiles that start before it are made coarser
    first: Numbers  # (h, series) the horizon of each one's finest tiles
    hour: Numbers  # (states,) the row of each state's hour


def ladders_of(table: Table, newest: Ints) -> Ladders:
    """For states with these newest events, ms UTC."""
    kinds, kind_of = table.ladders
    hours, hour = np.unique(newest // HOUR_MS, return_inverse=True)
    rungs = range(max(1, *(len(series.rungs) for series in kinds)))
    now = hours * HOUR_MS
    horizons = np.array([[horizon(series, rung, now) for rung in rungs] for series in kinds], np.int64)
    horizons = np.ascontiguousarray(np.moveaxis(horizons.reshape(len(kinds), len(rungs), len(hours)), 2, 0))
    return Ladders(
        kind_of.astype(np.int64),
        np.array([[coarser(series, rung) for rung in rungs] for series in kinds], np.int64).reshape(len(kinds), -1),
        horizons,
        np.ascontiguousarray(horizons[:, kind_of, 0]),
        hour.astype(np.int64),
    )
