"""Parquet segments by source and date, each named by the offsets that it holds.

A segment covers the offsets [start, end) of one partition of one source. Its rows are a function of the source, so when
two writers (a worker and the one that took over from it) write overlapping segments, they agree on every offset: `plan`
counts each offset once, whatever files there are. That makes a log exactly-once with no lock and no coordinator.
"""

import os
import re
import uuid
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

COMPACT_ROWS = 200_000
KEEP_MS = 5 * 60_000
MUCH = 4
WRITERS, ALONE = 4, 3

_NAME = re.compile(r"(\d{3,})-(\d{15})-(\d{15})\.parquet")

Columns = Callable[[pq.ParquetFile], list[str]]
T = TypeVar("T")


class Segment(NamedTuple):
    """A file with the offsets [start, end) of a partition; a plan reads it from `first` on."""

    partition: int
    start: int
    end: int
    path: Path
    first: int


class Piece(NamedTuple):
    """The offsets [start, end) of a partition, to be filed under the day of `date_ms` (ms UTC)."""

    partition: int
    start: int
    end: int
    date_ms: int
    table: pa.Table


class Segments:
    """The segments of one source; every row has the columns `partition` and `offset`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name

    def plan(self, since: Segment | None = None) -> list[Segment]:
        """The segments to read so that every offset counts once, by (partition, offset).

        Args:    since: one of an earlier plan, that compaction has taken away: what is left from its `first` on.
        """
        planned = _planned(self._all())
        if since is None:
            return planned
        here, reached = since.partition, (since.partition, since.first)
        left = (s._replace(first=max(s.first, since.first)) if s.partition == here else s for s in planned)
        return [segment for segment in left if (segment.partition, segment.end) > reached]

    def each(self, read: Callable[[Segment], T]) -> Iterator[tuple[Segment, T]]:
        """What is read of each segment of the plan; where compaction has taken one away, of those that replaced it."""
        waiting = deque(self.plan())
        while waiting:
            segment = waiting.popleft()
            try:
                found = read(segment)
            except FileNotFoundError:
                waiting = deque(self.plan(since=segment))
                continue
            yield segment, found

    def ends(self) -> dict[int, int]:
        """The offset after the last one held, by partition."""
        ends: dict[int, int] = {}
        for segment in self._all():
            ends[segment.partition] = max(ends.get(segment.partition, 0), segment.end)
        return ends

    def append(self, start: int, end: int, partition: int, date_ms: int, table: pa.Table) -> None:
        """Write the offsets [start, end) durably: when this returns, a crash of the machine loses none of them."""
        self.append_all([Piece(partition, start, end, date_ms, table)])

    def append_all(self, pieces: Sequence[Piece]) -> None:
        """Write several pieces, each as `append` does; a crash in between leaves some of them."""
        files = [(self._path(each.partition, each.start, each.end, each.date_ms), each.table) for each in pieces]
        writing: list[Future[None]] = []
        if len(files) < ALONE:
            for file in files:
                _put(*file)
        else:  # the disk is waited for by all of them at once
            writing = [self._writers.submit(_put, *file) for file in files]
        wait(writing)  # what was written is made to last before a failure is told
        for folder in {path.parent for path, _ in files if path.parent.is_dir()}:
            _flush(folder)
        for each in writing:
            each.result()

    @cached_property
    def _writers(self) -> ThreadPoolExecutor:
        """Kept, since starting threads for every batch takes as long as writing it."""
        return ThreadPoolExecutor(WRITERS, thread_name_prefix="segments")

    def tables(
        self, positions: dict[int, int] | None, batch_rows: int, columns: Columns | None = None
    ) -> Iterator[pa.Table]:
        """Tables of one partition each, in offset order, of about `batch_rows` rows however small the segments are.

        Args:    positions: where to start each partition, leaving out the others; None is all of everything.
                 columns: which of a file's columns to read; `offset` is one of them. A column that some files have is
                 null in the rows of the others.
        """
        waiting: list[pa.Table] = []
        partition, rows = -1, 0
        for segment, piece in self._pieces(positions, batch_rows, columns):
            if waiting and (segment.partition != partition or rows >= batch_rows):
                yield pa.concat_tables(waiting, promote_options="default")
                waiting, rows = [], 0
            partition = segment.partition
            waiting.append(piece)
            rows += piece.num_rows
        if waiting:
            yield pa.concat_tables(waiting, promote_options="default")

    def compact(self, now_ms: int, partitions: Collection[int] | None = None) -> int:
        """Merge runs of small segments, and drop files that were replaced a while ago; returns files merged.

        A replaced file stays for five minutes, so that a reader that planned with it can still open it.

        Args:    partitions: the only ones to look at; None is all.
        """
        there = [s for s in self._all() if partitions is None or s.partition in partitions]
        planned = _planned(there)
        dead = {segment.path for segment in there} - {segment.path for segment in planned}
        over = [s.path for s in there if s.path in dead and _replaced_at(s, there) < now_ms - KEEP_MS]
        for path in over:
            path.unlink(missing_ok=True)
        merged = 0
        for run in _runs(planned):
            table = pa.concat_tables([_read(segment) for segment in run], promote_options="default")
            _write(run[0].path.parent / _name(run[0].partition, run[0].first, run[-1].end), table)
            merged += len(run)
        return merged

    def _pieces(
        self, positions: dict[int, int] | None, batch_rows: int, columns: Columns | None
    ) -> Iterator[tuple[Segment, pa.Table]]:
        """A file that compaction has taken away since it was planned is read from the one that replaced it."""
        waiting = deque(self.plan())
        while waiting:
            segment = waiting.popleft()
            first = segment.first
            if positions is not None:
                first = max(first, positions.get(segment.partition, segment.end))
            if segment.end <= first:
                continue
            try:
                opened = pq.ParquetFile(segment.path)
            except FileNotFoundError:
                waiting = deque(self.plan(since=segment._replace(first=first)))
                continue
            with opened as file:
                names = None if columns is None else columns(file)
                for batch in file.iter_batches(batch_size=batch_rows, columns=names):
                    late = first > segment.start
                    rows = batch.filter(pc.greater_equal(batch.column("offset"), first)) if late else batch
                    yield segment, pa.Table.from_batches([rows])

    def _all(self) -> Iterator[Segment]:
        for path in self.folder.glob("date=*/*.parquet"):
            if name := _NAME.fullmatch(path.name):
                partition, start, end = (int(part) for part in name.groups())
                yield Segment(partition, start, end, path, start)

    def _path(self, partition: int, start: int, end: int, date_ms: int) -> Path:
        date = datetime.fromtimestamp(date_ms / 1000, UTC).date()
        return self.folder / f"date={date}" / _name(partition, start, end)


def sources(folder: Path) -> list[Segments]:
    """Every source that has a folder, by name."""
    return [Segments(path) for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []


def _planned(segments: Iterable[Segment]) -> list[Segment]:
    planned: list[Segment] = []
    covered: dict[int, int] = {}
    for segment in sorted(segments, key=lambda s: (s.partition, s.start, -s.end, s.path)):
        reached = covered.get(segment.partition, 0)
        if segment.end > reached:
            planned.append(segment._replace(first=max(reached, segment.start)))
            covered[segment.partition] = segment.end
    return planned


def _name(partition: int, start: int, end: int) -> str:
    return f"{partition:03d}-{start:015d}-{end:015d}.parquet"


def _write(path: Path, table: pa.Table) -> None:
    """Write a segment durably."""
    _put(path, table)
    _flush(path.parent)


def _put(path: Path, table: pa.Table) -> None:
    """Write under another name, flush to the disk, then rename: a reader never sees half a segment.

    That it is there outlives a crash once its folder is flushed too.
    """
    _make(path.parent)
    temporary = path.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        large = table.num_rows > 1_000  # dictionaries cost a small file more time than they save it room
        pq.write_table(table, temporary, compression="zstd", use_dictionary=large)
        _flush(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _make(folder: Path) -> None:
    """Make a folder whose name outlives a crash too."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        _flush(folder.parent)


def _replaced_at(dead: Segment, there: list[Segment]) -> float:
    """When the first file that holds all of a replaced one was written, ms UTC; never, where it took several."""
    whole = [s for s in there if s.partition == dead.partition and s.start <= dead.start and s.end >= dead.end]
    written = [segment.path.stat().st_mtime * 1000 for segment in whole if segment != dead]
    return min(written, default=float("inf"))


def _read(segment: Segment) -> pa.Table:
    with pq.ParquetFile(segment.path) as file:
        table = file.read()
    return table.filter(pc.greater_equal(table["offset"], segment.first))


def _runs(planned: list[Segment]) -> Iterator[list[Segment]]:
    """Neighbouring small segments of one partition and date that are worth one file."""
    run: list[Segment] = []
    for segment in planned:
        if not (run and _joins(run, segment)):
            yield from _worth(run)
            run = []
        run.append(segment)
    yield from _worth(run)


def _worth(run: list[Segment]) -> Iterator[list[Segment]]:
    """The part of a run after segments that are much larger than all that follows: not to write them every time."""
    at = 0
    while at < len(run) and run[at].end - run[at].first > MUCH * (run[-1].end - run[at].end):
        at += 1
    if len(run) - at > 1:
        yield run[at:]


def _joins(run: list[Segment], segment: Segment) -> bool:
    last = run[-1]
    follows = segment.partition == last.partition and segment.first == last.end
    small = segment.end - run[0].first <= COMPACT_ROWS
    return follows and small and segment.path.parent == last.path.parent


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
