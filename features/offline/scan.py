"""One pass over the event log, for frames: events in large batches, and which of the asked customers each is of."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pandas.util import hash_array

from features.columns import EVENT_TEXTS, LINE_TEXTS, Bools, Events
from features.offline.arrow import paths, stale, to_events
from features.offline.log import EventLog
from features.offline.planning import Segment
from features.offline.segments import Segments
from features.windows import Ints

BATCH = 500_000  # rows, about, that are worked on at once
AHEAD = 2  # segments that are read meanwhile
_TEXTS = {"customer", "event", *({*paths((*EVENT_TEXTS, *LINE_TEXTS))} - {*paths(())})}

Progress = Callable[[int, int], None]  # (rows done, in all)
_Piece = tuple[pa.Table, Ints]


class Batch(NamedTuple):
    """n events, without their customers' ids."""

    events: Events
    duplicates: Bools  # (n,)
    customer: Ints  # (n,) which of the ids asked for, -1 for any other one; the hash of its id where none was


def scan(
    log: EventLog, ids: Sequence[str] | None, columns: Collection[str], progress: Progress | None = None
) -> Iterator[Batch]:
    """All events of all sources.

    Args:    ids: raw ids of customers to look for, None tells all of them apart; columns: the numbers and texts of
             Events that are needed.
    """
    wanted = None if ids is None else pa.array(ids, pa.string())
    total, done, held = row_count(log), 0, 0
    waiting: list[_Piece] = []
    for segment, piece in _ahead(log, lambda segment: _read(segment, columns, wanted)):
        waiting.append(piece)
        held += piece[0].num_rows
        done += segment.end - segment.first
        if held >= BATCH:
            yield _batch(waiting, columns)
            waiting, held = [], 0
        if progress:
            progress(done, total)
    if held:
        yield _batch(waiting, columns)


def row_count(log: EventLog) -> int:
    """How many rows there are at most."""
    return sum(segment.end - segment.first for source in log.sources() for segment in source.plan())


def _ahead(log: EventLog, read: Callable[[Segment], _Piece]) -> Iterator[tuple[Segment, _Piece]]:
    """Segments in order, some being read while the caller works on another one.

    A file that compaction has taken away since it was planned is read from the one that replaced it.
    """
    reading: deque[tuple[Segments, Segment, Future[_Piece]]] = deque()
    waiting = deque((source, segment) for source in log.sources() for segment in source.plan())
    with ThreadPoolExecutor(1) as worker:
        while waiting or reading:
            while waiting and len(reading) <= AHEAD:
                source, segment = waiting.popleft()
                reading.append((source, segment, worker.submit(read, segment)))
            source, segment, found = reading.popleft()
            try:
                piece = found.result()
            except FileNotFoundError:
                later = [(other, each) for other, each, _ in reading if other is not source]
                later += [(other, each) for other, each in waiting if other is not source]
                waiting = deque([*((source, each) for each in source.plan(since=segment)), *later])
                reading.clear()
                continue
            yield segment, piece


def _read(segment: Segment, columns: Collection[str], ids: Any) -> _Piece:
    """The rows of a segment, customers looked up once for each text of its dictionary."""
    names = paths(columns)
    metadata = pq.read_metadata(segment.path)
    texts = [column.path for column in metadata.schema if column.path in _TEXTS]
    with pq.ParquetFile(segment.path, metadata=metadata, read_dictionary=texts) as file:
        groups = segment.groups(metadata)
        table = file.read_row_groups(groups, columns=names)
        if stale(table).any():
            table = file.read_row_groups(groups, columns=[*names, "value"])
    table = segment.of(table)
    found = [_found(chunk, ids) for chunk in table["customer"].chunks]
    blank = pa.DictionaryArray.from_arrays(pa.array(np.zeros(table.num_rows, np.int32)), pa.array([""]))
    table = table.set_column(table.column_names.index("customer"), "customer", blank)
    return table, np.concatenate([np.empty(0, np.int64), *found])


def _found(customers: Any, ids: Any) -> Ints:
    if ids is None:
        place = hash_array(customers.dictionary.to_numpy(zero_copy_only=False), categorize=False).view(np.int64)
    else:
        place = pc.fill_null(pc.index_in(customers.dictionary, value_set=ids), -1).to_numpy().astype(np.int64)
    found: Ints = place[customers.indices.to_numpy()]
    return found


def _batch(pieces: list[_Piece], columns: Collection[str]) -> Batch:
    table = pa.concat_tables([table for table, _ in pieces], promote_options="default")
    found = np.concatenate([customer for _, customer in pieces])
    return Batch(to_events(table, columns), table["duplicate"].to_numpy(), found)
