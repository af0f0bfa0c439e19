"""Parquet segments by source and date, each named by the offsets that it holds.

A segment covers the offsets [start, end) of one partition of one source. Its rows are a function of the source, so when
two writers (a worker and the one that took over from it) write overlapping segments, they agree on every offset: `plan`
counts each offset once, whatever files there are. That makes a log exactly-once with no lock and no coordinator.
"""

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

COMPACT_ROWS = 200_000


class Segment(NamedTuple):
    """A file with the offsets [start, end) of a partition; a plan reads it from `first` on."""

    partition: int
    start: int
    end: int
    path: Path
    first: int


class Segments:
    """The segments of one source; every row has the columns `partition` and `offset`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name

    def plan(self) -> list[Segment]:
        """The segments to read so that every offset counts once, by (partition, offset)."""
        planned: list[Segment] = []
        covered: dict[int, int] = {}
        for segment in sorted(self._all(), key=lambda s: (s.partition, s.start, -s.end, s.path)):
            reached = covered.get(segment.partition, 0)
            if segment.end > reached:
                planned.append(segment._replace(first=max(reached, segment.start)))
                covered[segment.partition] = segment.end
        return planned

    def ends(self) -> dict[int, int]:
        """The offset after the last one held, by partition."""
        ends: dict[int, int] = {}
        for segment in self._all():
            ends[segment.partition] = max(ends.get(segment.partition, 0), segment.end)
        return ends

    def append(self, start: int, end: int, partition: int, date_ms: int, table: pa.Table) -> None:
        """Write the offsets [start, end) durably: when this returns, a crash of the machine loses none of them."""
        _write(self._path(partition, start, end, date_ms), table)

    def tables(self, positions: dict[int, int], batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Batches of one partition each, in offset order, from the given position of each partition on."""
        for segment in self.plan():
            first = max(segment.first, positions.get(segment.partition, 0))
            if segment.end > first:
                with pq.ParquetFile(segment.path) as file:
                    for batch in file.iter_batches(batch_size=batch_rows):
                        yield batch.filter(pc.greater_equal(batch.column("offset"), first))

    def compact(self) -> int:
        """Merge runs of small segments and drop files that a larger one has replaced before; returns files merged.

        Replaced files stay until the next call, so that a reader that planned with them can still open them.
        """
        planned = self.plan()
        live = {segment.path for segment in planned}
        for segment in list(self._all()):
            if segment.path not in live:
                segment.path.unlink(missing_ok=True)
        merged = 0
        for run in _runs(planned):
            table = pa.concat_tables([_read(segment) for segment in run])
            _write(run[0].path.parent / _name(run[0].partition, run[0].first, run[-1].end), table)
            merged += len(run)
        return merged

    def _all(self) -> Iterator[Segment]:
        for path in self.folder.glob("date=*/[0-9]*.parquet"):
            partition, start, end = (int(part) for part in path.stem.split("-"))
            yield Segment(partition, start, end, path, start)

    def _path(self, partition: int, start: int, end: int, date_ms: int) -> Path:
        date = datetime.fromtimestamp(date_ms / 1000, UTC).date()
        return self.folder / f"date={date}" / _name(partition, start, end)


def sources(folder: Path) -> list[Segments]:
    """Every source that has a folder, by name."""
    return [Segments(path) for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []


def _name(partition: int, start: int, end: int) -> str:
    return f"{partition:03d}-{start:015d}-{end:015d}.parquet"


def _write(path: Path, table: pa.Table) -> None:
    """Write under another name, flush to the disk, then rename: a reader never sees half a segment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        pq.write_table(table, temporary, compression="zstd")
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _read(segment: Segment) -> pa.Table:
    with pq.ParquetFile(segment.path) as file:
        table = file.read()
    return table.filter(pc.greater_equal(table["offset"], segment.first))


def _runs(planned: list[Segment]) -> Iterator[list[Segment]]:
    """Neighbouring small segments of one partition and date that are worth one file."""
    run: list[Segment] = []
    for segment in planned:
        if not (run and _joins(run, segment)):
            if len(run) > 1:
                yield run
            run = []
        run.append(segment)
    if len(run) > 1:
        yield run


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
