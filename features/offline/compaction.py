"""Small files of a log become large ones: runs of them are merged, and those that were replaced go after a while."""

import os
from collections import defaultdict, deque
from collections.abc import Collection, Iterator
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.offline.files import Part, fitting, name_of, write
from features.offline.planning import Segment, planned_of

COMPACT_ROWS = 200_000
KEEP_MS = 5 * 60_000  # a reader that planned with a file that was replaced can still open it
MUCH = 4


class File(NamedTuple):
    """A file that a plan reads, with all that it reads of it, by partition."""

    path: Path
    segments: tuple[Segment, ...]

    @property
    def rows(self) -> int:
        """How many there are at most."""
        return sum(segment.end - segment.first for segment in self.segments)


def compact(there: list[Segment], now_ms: int, partitions: Collection[int] | None = None) -> int:
    """Merge runs of small files, and drop files that were replaced a while ago; returns files merged.

    Args:    there: every segment of a source; partitions: as `Segments.compact`.
    """
    mine = _of(there, partitions)
    planned = planned_of(there)
    read = {segment.path for segment in planned}
    for path in mine.keys() - read:
        if _replaced_at(path) < now_ms - KEEP_MS:
            path.unlink(missing_ok=True)
    merged = 0
    dated: dict[Path, list[File]] = defaultdict(list)
    for path, segments in _grouped(planned).items():
        if path in mine:
            dated[path.parent].append(File(path, tuple(segments)))
    for files in dated.values():
        for run in _runs(_in_order(files)):
            _merge(run)
            merged += len(run)
    return merged


def _of(there: list[Segment], partitions: Collection[int] | None) -> dict[Path, list[Segment]]:
    """The files whose first partition is among these, with what they hold."""
    held = _grouped(there)
    return {path: mine for path, mine in held.items() if partitions is None or mine[0].partition in partitions}


def _grouped(segments: list[Segment]) -> dict[Path, list[Segment]]:
    found: dict[Path, list[Segment]] = defaultdict(list)
    for segment in segments:
        found[segment.path].append(segment)
    return found


def _replaced_at(path: Path) -> float:
    """When a file was merged into another, ms UTC; when it was written, where other writers' files cover it."""
    try:
        return path.stat().st_mtime * 1000
    except FileNotFoundError:  # another worker was faster
        return float("inf")


def _in_order(files: list[File]) -> Iterator[File]:
    """Each after those that hold earlier offsets of a partition of its own."""
    after: dict[int, deque[Path]] = defaultdict(deque)
    for segment in sorted(segment for file in files for segment in file.segments):
        after[segment.partition].append(segment.path)
    by_path = {file.path: file for file in files}
    ready = [(file.segments[0].partition, file.segments[0].first, file.path) for file in files if _is_next(file, after)]
    heapify(ready)
    while ready:
        file = by_path[heappop(ready)[2]]
        for segment in file.segments:
            after[segment.partition].popleft()
        freed = {after[segment.partition][0] for segment in file.segments if after[segment.partition]}
        for other in (by_path[path] for path in freed):
            if _is_next(other, after):
                heappush(ready, (other.segments[0].partition, other.segments[0].first, other.path))
        yield file


def _is_next(file: File, after: dict[int, deque[Path]]) -> bool:
    return all(after[segment.partition][0] == file.path for segment in file.segments)


def _runs(files: Iterator[File]) -> Iterator[list[File]]:
    """Files that are worth one, and whose offsets follow each other in each of their partitions."""
    run: list[File] = []
    ends: dict[int, int] = {}
    for file in files:
        follows = all(ends.get(segment.partition, segment.first) == segment.first for segment in file.segments)
        if run and not (follows and sum(each.rows for each in run) + file.rows <= COMPACT_ROWS):
            yield from _worth(run)
            run, ends = [], {}
        run.append(file)
        ends |= {segment.partition: segment.end for segment in file.segments}
    yield from _worth(run)


def _worth(run: list[File]) -> Iterator[list[File]]:
    """The part of a run after files that are much larger than all that follows: not to write them every time."""
    at, rows = 0, [file.rows for file in run]
    while at < len(run) and rows[at] > MUCH * sum(rows[at + 1 :]):
        at += 1
    if len(run) - at > 1:
        yield run[at:]


def _merge(run: list[File]) -> None:
    parts: dict[int, Part] = {}
    for segment in (segment for file in run for segment in file.segments):
        start = parts[segment.partition].start if segment.partition in parts else segment.first
        parts[segment.partition] = Part(segment.partition, start, segment.end)
    table = pa.concat_tables([_read(file) for file in run], promote_options="default")
    table = table.take(np.lexsort((table["offset"].to_numpy(), table["partition"].to_numpy())))
    ordered = [parts[partition] for partition in sorted(parts)]
    for file in run:
        os.utime(file.path)  # from now on it counts as replaced
    for some in fitting(ordered):
        mine = ordered[some.start : some.stop]
        begin, end = np.searchsorted(
            table["partition"].to_numpy(), [mine[0].partition, mine[-1].partition + 1]
        ).tolist()
        write(run[0].path.parent / name_of(mine), table.slice(begin, end - begin))


def _read(file: File) -> pa.Table:
    """What a plan reads of a file."""
    with pq.ParquetFile(file.path) as opened:
        table = opened.read()
    most = max(segment.partition for segment in file.segments)
    firsts = np.full(max(most, int(max(table["partition"].to_numpy(), default=0))) + 1, np.iinfo(np.int64).max)
    for segment in file.segments:
        firsts[segment.partition] = segment.first
    keep = table["offset"].to_numpy() >= firsts[table["partition"].to_numpy()]
    return table if keep.all() else table.filter(pa.array(keep))
