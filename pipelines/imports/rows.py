"""Files of rows, read once from front to back in bounded memory: CSV, JSON Lines and Parquet.

A row that can't be read is refused with its number and the reason, and the rest goes on; a file that can't be read is
BadInput. Nothing is held but one block of the file: a line of at most MAX_RECORD bytes, or one batch of Parquet rows.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Self

import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import BadInput
from pipelines.imports.lines import Lines, Refused, Row, read_csv, read_jsonl

BATCH = 2_048  # Parquet rows decoded at a time

KINDS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
# ValueError and OverflowError: Parquet cells that Python has no value for (a year beyond 9999, text that isn't UTF-8).
BROKEN = (EOFError, OSError, zlib.error, pa.ArrowException, ValueError, OverflowError)


class Rows:
    """An open file of rows: its columns, its size and the position reached, both in bytes of the file as it lies there.

    Iterated once; `read` counts the rows so far. JSON Lines have no header: their columns are the keys of the first
    SAMPLE objects.
    Raises:  BadInput: while opening or reading, when the file is missing, empty, of unknown kind, cut short or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.read = 0
        self.size = _size(path)
        self.kind, packing = _kind(path)
        self._raw = path.open("rb")
        try:
            self.columns, self._source, self._position = self._opened(packing)
        except BROKEN as error:
            self._raw.close()
            raise BadInput(f"{path} can't be read as {self.kind}: {_sentence(error)}", "file") from error
        except BadInput:
            self._raw.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    @property
    def position(self) -> int:
        """Bytes of the file that have been read so far, for a progress bar; equals `size` at the end."""
        return min(self.size, self._position())

    def __iter__(self) -> Iterator[Row | Refused]:
        number = 0
        try:
            for row in self._source:
                number = row.number
                self.read += 1
                yield row
        except BROKEN as error:
            raise BadInput(f"{self.path} can't be read on after row {number}: {_sentence(error)}", "file") from error

    def _opened(self, packing: str) -> tuple[tuple[str, ...], Iterable[Row | Refused], Callable[[], int]]:
        if self.kind == "parquet":
            return _parquet(self._raw, self.size)
        self._text = Lines(_unpacked(self._raw, packing))  # held, since an unpacking stream closes the file when let go
        opener = read_csv if self.kind == "csv" else read_jsonl
        columns, source = opener(self._text, self.path)
        return columns, source, self._raw.tell


def _kind(path: Path) -> tuple[str, str]:
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    packing = suffixes.pop() if suffixes and suffixes[-1] in {".gz", ".zst"} else ""
    kind = KINDS.get(suffixes[-1], "") if suffixes else ""
    if not kind or (packing and kind == "parquet"):
        raise BadInput(f"{path} ends in none of {', '.join(KINDS)} (text also with .gz or .zst)", "file")
    return kind, packing


def _size(path: Path) -> int:
    try:
        if path.is_dir():
            raise BadInput(f"{path} is a directory, a file is needed", "file")
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except OSError as error:
        raise BadInput(f"{path} can't be opened: {_sentence(error)}", "file") from error
    if size == 0:
        raise BadInput(f"{path} is empty", "file")
    return size


def _unpacked(raw: BinaryIO, packing: str) -> BinaryIO:
    if packing == ".gz":
        return io.BufferedReader(gzip.GzipFile(fileobj=raw), 1 << 16)
    if packing == ".zst":
        return io.BufferedReader(pa.CompressedInputStream(raw, "zstd"), 1 << 16)
    return raw


def _parquet(raw: BinaryIO, size: int) -> tuple[tuple[str, ...], Iterator[Row | Refused], Callable[[], int]]:
    file = pq.ParquetFile(raw, buffer_size=1 << 16, pre_buffer=False)
    total = file.metadata.num_rows
    done = 0

    def rows() -> Iterator[Row | Refused]:
        nonlocal done
        for batch in file.iter_batches(BATCH):
            for values in batch.to_pylist():
                done += 1
                yield Row(done, values)

    return tuple(file.schema_arrow.names), rows(), lambda: size * done // total if total else size


def _sentence(error: BaseException) -> str:
    """The system's reason without the path, which the message already names."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
