"""The jobs `kindred import events` and `kindred import items`: a file to the log, then the log to Redis."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
import numpy.typing as npt

from features.events import partition_key
from features.kafka.producer import Producer
from features.offline import (
    EventLog,
    ItemLog,
    LoggedEvent,
    LoggedItem,
    append_events,
    append_items,
    known_messages,
    message_keys,
)
from features.online import Client
from features.settings import Settings
from pipelines.backfill import IMPORTED, restore_items, restore_source, source_name
from pipelines.imports.catalogue import items_from
from pipelines.imports.columns import Mapping
from pipelines.imports.lines import Refused
from pipelines.imports.mapping import SetAside, events_from
from pipelines.imports.orders import Accepted
from pipelines.imports.rows import Rows

CHUNK = 10_000
RECENT_MESSAGES = 500_000

Progress = Callable[[int, int], None]  # (bytes read, bytes in all)


@dataclass
class Report:
    """What became of a file's rows; `rejects` is where the refused ones are, with their reasons.

    `accepted` and `known` count events or items; `rows` is how many rows this run has read.
    """

    rows: int = 0
    accepted: int = 0
    known: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    set_aside: dict[str, int] = field(default_factory=dict)
    rejects: str = ""


def import_events(
    settings: Settings, client: Client, path: Path, mapping: Mapping, now: int, progress: Progress
) -> Report:
    """Append a file's events to the log and fold them into Redis; what the log holds already is left alone.

    A run that was interrupted is completed by running it again; one that was completed isn't read again.
    """
    log = EventLog(settings.data)
    source = log.source(source_name("import", _digest(path), 1))
    with Rows(path) as rows, Rejects(settings.data, path) as rejects:
        made = events_from(rows, mapping, now)
        note = source.folder / f"complete-{hashlib.sha256(repr(mapping).encode()).hexdigest()[:16]}.json"
        if note.is_file():
            _fold_imports(client, log, settings.buckets)
            return _again(note)
        report = Report(rejects=str(rejects.path))
        write_events(log, source.name, _kept(made, rejects, report), report, lambda: progress(rows.position, rows.size))
        report.rows = rows.read
    _fold_imports(client, log, settings.buckets)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_bytes(msgspec.json.encode(report))
    return report


def produce_events(
    settings: Settings, producer: Producer, path: Path, mapping: Mapping, now: int, progress: Progress
) -> Report:
    """Send a file's events to Kafka, as any producer would; the stream processor does the rest."""
    with Rows(path) as rows, Rejects(settings.data, path) as rejects:
        report = Report(rejects=str(rejects.path))
        for event in _kept(events_from(rows, mapping, now), rejects, report):
            producer.send("events", partition_key(event.event), event.raw)
            report.accepted += 1
            if report.accepted % 1_000 == 0:
                producer.flush(60)
                progress(rows.position, rows.size)
        report.rows = rows.read
    producer.flush(60)
    return report


def write_events(
    log: EventLog, source: str, events: Iterable[Accepted], report: Report, progress: Callable[[], None]
) -> None:
    """Append events that the log doesn't hold yet to one source of it."""
    target = log.source(source)
    known = KnownMessages(known_messages(log))
    end = target.ends().get(0, 0)
    stream = iter(events)
    while chunk := list(islice(stream, CHUNK)):
        fresh = known.unseen(chunk)
        rows = [
            LoggedEvent(0, end + place, event.event.received_at, event.event, False, event.raw)
            for place, event in enumerate(fresh)
        ]
        if rows:
            append_events(target, 0, end, end + len(rows), rows)
        end += len(rows)
        report.accepted += len(rows)
        report.known += len(chunk) - len(rows)
        progress()


def import_items(
    settings: Settings, client: Client, path: Path, columns: dict[str, str], now: int, progress: Progress
) -> Report:
    """Append a file's items to the item log and take them into Redis."""
    with Rows(path) as rows, Rejects(settings.data, path) as rejects:
        report = Report(rejects=str(rejects.path))
        made = items_from(rows, columns)
        write_items(settings, _kept(made, rejects, report), now, report, lambda: progress(rows.position, rows.size))
        report.rows = rows.read
    restore_items(client, ItemLog(settings.data))
    return report


def write_items(
    settings: Settings, items: Iterable[dict[str, Any]], now: int, report: Report, progress: Callable[[], None]
) -> None:
    """Append items in the shape of the `items` topic to the item log."""
    source = ItemLog(settings.data).source(source_name("import", "items", 1))
    end = source.ends().get(0, 0)
    stream = iter(items)
    while chunk := list(islice(stream, CHUNK)):
        rows = [LoggedItem(0, end + at, row["item_id"], msgspec.json.encode(row)) for at, row in enumerate(chunk)]
        append_items(source, 0, end, end + len(rows), rows, now)
        end += len(rows)
        report.accepted += len(rows)
        progress()


class KnownMessages:
    """Which (customer, messageId) have been logged: sorted hashes, and a set of the newest."""

    def __init__(self, hashes: npt.NDArray[np.uint64]) -> None:
        self._sorted = hashes
        self._recent: set[int] = set()

    def unseen(self, events: list[Accepted]) -> list[Accepted]:
        """Those of the events that weren't there, each once; they are from now on."""
        keys = message_keys([e.event.customer for e in events], [e.event.message_id for e in events])
        places = np.searchsorted(self._sorted, keys)
        places[places == len(self._sorted)] = 0
        old = self._sorted[places] == keys if len(self._sorted) else np.zeros(len(keys), dtype=np.bool_)
        fresh = []
        for event, key, known in zip(events, keys.tolist(), old.tolist(), strict=True):
            if not known and key not in self._recent:
                self._recent.add(key)
                fresh.append(event)
        if len(self._recent) > RECENT_MESSAGES:
            recent = np.fromiter(self._recent, dtype=np.uint64, count=len(self._recent))
            self._sorted = np.sort(np.concatenate([self._sorted, recent]))
            self._recent.clear()
        return fresh


class Rejects:
    """The file of refused rows; it appears with the first of them."""

    def __init__(self, data: Path, source: Path) -> None:
        self._path = data / "rejects" / f"{source.name}.jsonl"
        self._file: IO[bytes] | None = None

    @property
    def path(self) -> Path:
        """Where refused rows go."""
        return self._path

    def __enter__(self) -> "Rejects":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, refused: Refused) -> None:
        """Keep a refused row with its number and reason."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb")  # what an earlier import of the file left is replaced
        row = {"row": refused.number, "reason": refused.reason, "raw": refused.raw}
        self._file.write(msgspec.json.encode(row) + b"\n")


def _kept(made: Iterable[Any], rejects: Rejects, report: Report) -> Iterator[Any]:
    """What can be used; the rest is counted by reason."""
    for each in made:
        if isinstance(each, Refused):
            rejects.add(each)
            report.refused[each.reason] = report.refused.get(each.reason, 0) + each.rows
        elif isinstance(each, SetAside):
            report.set_aside[each.reason] = report.set_aside.get(each.reason, 0) + 1
        else:
            yield each


def _fold_imports(client: Client, log: EventLog, buckets: int) -> None:
    """This file and any that broke off before; what comes by Kafka is left to the stream processor."""
    for source in log.sources():
        if source.name.startswith(IMPORTED):
            restore_source(client, source, buckets)


def _again(note: Path) -> Report:
    """The report of a completed import, of which everything is known now."""
    before = msgspec.json.decode(note.read_bytes(), type=Report)
    return replace(before, rows=0, accepted=0, known=before.accepted + before.known)


def _digest(path: Path) -> str:
    """Names the file's part of the log; the same content has the same name."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
