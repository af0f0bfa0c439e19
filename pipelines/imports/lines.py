"""Text files of rows: CSV and JSON Lines, line by line in bounded memory."""

import csv
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from features.errors import BadInput

MAX_RECORD = 1 << 20  # bytes of one line
MAX_QUOTED_LINES = 100  # lines that one quoted CSV record may span, before its quote counts as never closed
MAX_SHOWN = 2_000  # characters of a refused row that are kept
SAMPLE = 100  # JSON lines whose keys make the list of columns


class Row(Struct, frozen=True, gc=False):
    """One row; `number` is its line in a text file (the header is line 1), its place from 1 in Parquet.

    The values are text in CSV, and whatever the file holds (numbers, times, lists, None) elsewhere.
    """

    number: int
    values: dict[str, Any]


class Refused(Struct, frozen=True):
    """What could not be taken and why; `rows` source rows are behind it, `raw` shows (the first of) them."""

    number: int
    reason: str
    raw: str
    rows: int = 1


class Lines:
    """Physical lines with their numbers; some may be given back."""

    def __init__(self, stream: BinaryIO) -> None:
        self.number = 0
        self._stream = stream
        self._ahead: deque[bytes] = deque()

    def take(self) -> bytes:
        """The next line with its end, empty at the end of the file; MAX_RECORD bytes may be a longer one's start."""
        line = self._ahead.popleft() if self._ahead else self._stream.readline(MAX_RECORD)
        if line:
            self.number += 1
        return line

    def give_back(self, lines: list[bytes]) -> None:
        self._ahead.extendleft(reversed(lines))
        self.number -= len(lines)

    def too_long(self, line: bytes) -> Refused | None:
        """The refusal of a line without an end in sight, whose rest is skipped; None for any other line."""
        if len(line) < MAX_RECORD:
            return None
        number, rest = self.number, line
        while rest and not rest.endswith(b"\n"):
            rest = self.take()
        self.number = number
        return Refused(number, f"the line is longer than {MAX_RECORD} bytes", _shown(line))


def read_csv(lines: Lines, path: Path) -> tuple[tuple[str, ...], Iterator[Row | Refused]]:
    line = lines.take()
    if not line:
        raise BadInput(f"{path} is empty", "file")
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadInput(f"{path} is UTF-16; save it as UTF-8", "file")
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise BadInput(f"the header of {path} is not UTF-8: {error.reason} at byte {error.start}", "file") from error
    delimiter = max(",;\t", key=text.count)
    fields = _fields(lines, text, delimiter, 0)
    if isinstance(fields, str) or len(line) >= MAX_RECORD or not text.strip():
        raise BadInput(f"the header of {path} can't be read; its first line must name the columns", "file")
    header = tuple(field.strip() for field in fields)
    for name in header:
        if header.count(name) > 1:
            raise BadInput(f"{path} has two columns named {name!r}", "file")
    return header, _csv_rows(lines, header, delimiter)


def _csv_rows(lines: Lines, header: tuple[str, ...], delimiter: str) -> Iterator[Row | Refused]:
    width = len(header)
    for line in iter(lines.take, b""):
        number = lines.number
        if long := lines.too_long(line):
            yield long
            continue
        try:
            whole = line.decode()
        except UnicodeDecodeError as error:
            yield Refused(number, f"not UTF-8: {error.reason} at byte {error.start}", _shown(line))
            continue
        text = whole.rstrip("\r\n")
        if not text:
            continue
        fields = _fields(lines, whole, delimiter, width) if '"' in text else text.split(delimiter)
        if isinstance(fields, str):
            yield Refused(number, fields, _shown(line))
        elif len(fields) != width:
            yield Refused(number, f"{len(fields)} fields where the header has {width}", _shown(line))
        else:
            yield Row(number, dict(zip(header, fields, strict=True)))


def _fields(lines: Lines, text: str, delimiter: str, width: int) -> list[str] | str:
    """The fields of a record with quotes, or the reason why there are none; a quoted field may span lines.

    A quote that is never closed would swallow the file: after MAX_QUOTED_LINES, or when what follows doesn't make a
    record, the lines are given back, and only the first of them is refused.
    """
    taken: list[bytes] = []
    while True:
        try:
            fields = next(csv.reader([text], delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            more = _more(lines, taken) if "unexpected end of data" in str(error) else ""
            if more:
                text += more
                continue
            lines.give_back(taken)
            return f"the quotes don't match: {error}"
        if taken and len(fields) != width:
            lines.give_back(taken)
            return "the quotes don't match: a quoted field runs on over the next lines"
        return fields


def _more(lines: Lines, taken: list[bytes]) -> str:
    """The lines up to the next one with a quote, appended to `taken`; empty where none comes soon enough."""
    start, size = len(taken), sum(map(len, taken))
    while len(taken) < MAX_QUOTED_LINES and size < MAX_RECORD and (line := lines.take()):
        taken.append(line)
        size += len(line)
        if b'"' in line:
            try:
                return b"".join(taken[start:]).decode()
            except UnicodeDecodeError:
                return ""
    return ""


def read_jsonl(lines: Lines, path: Path) -> tuple[tuple[str, ...], Iterator[Row | Refused]]:
    sample = [line for line in (lines.take() for _ in range(SAMPLE)) if line]
    if not sample:
        raise BadInput(f"{path} is empty", "file")
    sample[0] = sample[0].removeprefix(b"\xef\xbb\xbf")
    columns: dict[str, None] = {}
    for line in sample:
        if isinstance(value := _object(line), dict):
            columns |= dict.fromkeys(value)
    lines.give_back(sample)
    return tuple(columns), _jsonl_rows(lines)


def _jsonl_rows(lines: Lines) -> Iterator[Row | Refused]:
    for line in iter(lines.take, b""):
        if long := lines.too_long(line):
            yield long
        elif not line.isspace():
            value = _object(line)
            yield Refused(lines.number, value, _shown(line)) if isinstance(value, str) else Row(lines.number, value)


def _object(line: bytes) -> dict[str, Any] | str:
    """The JSON object of a line, or the reason why there is none."""
    try:
        value = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return f"not JSON: {error}"
    return value if isinstance(value, dict) else "not a JSON object"


def _shown(line: bytes) -> str:
    return line[: MAX_SHOWN * 4].decode(errors="replace").rstrip("\r\n")[:MAX_SHOWN]
