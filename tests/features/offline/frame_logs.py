"""Logs and labels for the tests of frames, and how a row of a frame reads as a state would."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.folds import fold
from features.offline import (
    EventLog,
    append_columns,
    replay,
    scan,
    training,
)
from features.states import no_states
from features.table import Table, table
from tests.features.histories import Happening, columns


def duplicates(log: Sequence[Happening]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    ids = sorted({event.customer for event in log})
    owner = np.array([ids.index(event.customer) for event in log], np.int64)
    return ~fold(table([]), no_states(len(ids)), columns(log), owner).counted


def written(folder: Path, log: Sequence[Happening], cut: int = 0) -> EventLog:
    """The log as Parquet, in two segments."""
    events, again = columns(log), duplicates(log)
    source = EventLog(folder).source("events.a.p1")
    for start, end in ((0, cut), (cut, len(log))):
        if start < end:
            rows = np.arange(start, end)
            names = [event.name for event in log[start:end]]
            ids = [event.message for event in log[start:end]]
            raws = [b"{}"] * (end - start)
            append_columns(source, 0, start, end, events.take(rows), names, ids, rows, again[start:end], raws)
    return EventLog(folder)


def labels_of(*rows: tuple[str, int]) -> pd.DataFrame:
    return pd.DataFrame({"user_id": [user for user, _ in rows], "as_of": np.array([at for _, at in rows], np.int64)})


@contextmanager
def small(parts: int) -> Iterator[None]:
    """Everything in small pieces: parts on disk, batches, chunks and blocks of the replay."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_parts", lambda *_: parts)
        for module, name, size in (
            (scan, "BATCH", 5),
            (replay, "WORK", 60),
            (replay, "PIECE", 3),
            (replay, "_ROUND", 2),
        ):
            patch.setattr(module, name, size)
        yield


def plain(features: Table, row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row of a frame in the values that a state is asked for."""
    found = {}
    for name, feature in features.features.items():
        value = row[name]
        if isinstance(value, float) and np.isnan(value):
            value = None
        elif feature.dtype == "int" and isinstance(value, float):
            value = int(value)
        found[name] = value
    return found
