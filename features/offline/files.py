"""Files of a log: the name of each says what it holds, so that nobody has to open one to know.

`007-000000000000100-000000000000220.parquet` holds the offsets [100, 220) of partition 7. A file of several partitions
is called `mixed-7.64.78-8.0.1f.parquet`: partition, first offset and how many, in hexadecimal; its rows are by
partition and offset.
"""

import os
import re
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

FEW = 20_000  # rows of a group at least
SMALL = 1_000  # rows that dictionaries and compression cost more time than they save room
MIXED = "mixed"  # what the name of a file of several partitions begins with
LONGEST = 230  # letters of a name; file systems take 255 bytes
_ONE = re.compile(r"(\d{3,})-(\d{15})-(\d{15})\.parquet")
_SEVERAL = re.compile(MIXED + r"((?:-[0-9a-f]+\.[0-9a-f]+\.[0-9a-f]+){2,})\.parquet")


class Part(NamedTuple):
    """The offsets [start, end) of a partition."""

    partition: int
    start: int
    end: int


def name_of(parts: Sequence[Part]) -> str:
    """The name of a file with these parts, by partition, each once."""
    if len(parts) == 1:
        partition, start, end = parts[0]
        return f"{partition:03d}-{start:015d}-{end:015d}.parquet"
    return f"{MIXED}{''.join(map(_mixed, parts))}.parquet"


def parts_of(name: str) -> list[Part]:
    """What a file holds; nothing where it isn't one of a log."""
    if found := _ONE.fullmatch(name):
        return [Part(*(int(number) for number in found.groups()))]
    if not (several := _SEVERAL.fullmatch(name)):
        return []
    numbers = [[int(number, 16) for number in part.split(".")] for part in several[1][1:].split("-")]
    return [Part(partition, start, start + count) for partition, start, count in numbers]


def fitting(parts: Sequence[Part]) -> Iterator[range]:
    """Runs of parts whose names together aren't too long, as few as can be."""
    begin, length = 0, 0
    for at, part in enumerate(parts):
        longer = len(_mixed(part))
        if at > begin and length + longer > LONGEST:
            yield range(begin, at)
            begin, length = at, 0
        length += longer
    if begin < len(parts):
        yield range(begin, len(parts))


def write(path: Path, table: pa.Table) -> None:
    """Write a file durably."""
    put(path, table)
    flush(path.parent)


def put(path: Path, table: pa.Table) -> None:
    """Write under another name, flush to the disk, then rename: a reader never sees half a file.

    That it is there outlives a crash once its folder is flushed too.
    """
    _make(path.parent)
    temporary = path.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("xb") as file:
            if table.num_rows > SMALL:
                _large(table, path.name, file)
            else:
                file.write(_small(table))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _small(table: pa.Table) -> pa.Buffer:
    """What costs least: it is merged into a larger file soon."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="none", use_dictionary=False)
    return sink.getvalue()


def _large(table: pa.Table, name: str, file: BinaryIO) -> None:
    parts = len(parts_of(name))
    # Who reads one partition of many finds it in few groups.
    group = max(FEW, table.num_rows // parts) if parts > 1 else None
    pq.write_table(table, file, compression="zstd", row_group_size=group)


def flush(path: Path) -> None:
    """Return once the disk has a file, or what a folder lists."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mixed(part: Part) -> str:
    return f"-{part.partition:x}.{part.start:x}.{part.end - part.start:x}"


def _make(folder: Path) -> None:
    """Make a folder whose name outlives a crash too."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        flush(folder.parent)
