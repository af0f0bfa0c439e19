"""Parquet segments by source and date, each named by the offsets that it holds.

A segment covers the offsets [start, end) of one partition of one source; a file holds one, or one each of several
partitions. Its rows are a function of the source, so when two writers (a worker and the one that took over from it)
write overlapping segments, they agree on every offset: `plan` counts each offset once, whatever files there are. That
makes a log exactly-once with no lock and no coordinator.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from features.offline import compaction
from features.offline.files import Part, fitting, flush, name_of, parts_of, put
from features.offline.planning import Segment, planned_of

WRITERS, ALONE = 4, 3

Columns = Callable[[pq.ParquetFile], list[str]]
T = TypeVar("T")


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
        planned = planned_of(self._all())
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
        """Write several pieces, each as `append` does, in as few files as can be; a crash may leave some of them.

        Args:    pieces: of different partitions, by partition; one without rows is filed with the others.
        """
        files = [(path, pa.concat_tables(tables)) for path, tables in self._files(pieces)]
        writing: list[Future[None]] = []
        if len(files) < ALONE:
            for file in files:
                put(*file)
        else:  # the disk is waited for by all of them at once
            writing = [self._writers.submit(put, *file) for file in files]
        wait(writing)  # what was written is made to last before a failure is told
        for folder in {path.parent for path, _ in files if path.parent.is_dir()}:
            flush(folder)
        for each in writing:
            each.result()

    def _files(self, pieces: Sequence[Piece]) -> Iterator[tuple[Path, list[pa.Table]]]:
        """The pieces of each date together."""
        newest = max((piece.date_ms for piece in pieces), default=0)
        dated: dict[str, list[Piece]] = {}
        for piece in pieces:
            dated.setdefault(_date(piece.date_ms if piece.table.num_rows else newest), []).append(piece)
        for date, mine in dated.items():
            parts = [Part(piece.partition, piece.start, piece.end) for piece in mine]
            for run in fitting(parts):
                name = name_of(parts[run.start : run.stop])
                yield self.folder / f"date={date}" / name, [piece.table for piece in mine[run.start : run.stop]]

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
        """Merge runs of small files, and drop files that were replaced a while ago; returns files merged.

        Args:    partitions: the only ones to look at; None is all. A file of several goes with its first.
        """
        return compaction.compact(list(self._all()), now_ms, partitions)

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
                if segment.mixed and names is not None and "partition" not in names:
                    names = ["partition", *names]
                groups = segment.groups(file.metadata)
                for batch in file.iter_batches(batch_size=batch_rows, row_groups=groups, columns=names):
                    rows = segment._replace(first=first).of(pa.Table.from_batches([batch]))
                    if rows.num_rows:
                        yield segment, rows

    def _all(self) -> Iterator[Segment]:
        for path in self.folder.glob("date=*/*.parquet"):
            parts = parts_of(path.name)
            for partition, start, end in parts:
                yield Segment(partition, start, end, path, start, sum(part.end - part.start for part in parts))


def sources(folder: Path) -> list[Segments]:
    """Every source that has a folder, by name."""
    return [Segments(path) for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []


def _date(ms: int) -> str:
    return str(datetime.fromtimestamp(ms / 1000, UTC).date())
