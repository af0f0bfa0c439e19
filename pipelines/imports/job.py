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

from features.definitions import FEATURES
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
from features.online import Client, Merger
from features.settings import Settings
from pipelines.backfill import IMPORTED, restore_items, restore_source, source_name
from pipelines.imports.catalogue import items_from
from pipelines.imports.columns import Mapping
from pipelines.imports.lines import Refused
from pipelines.imports.mapping import SetAside, events_from
from pipelines.imports.orders import Accepted
from pipelines.imports.rows import Rows
from pipelines.imports.sending import Sent
from pipelines.processes import exclusive

CHUNK = 10_000
RECENT_MESSAGES = 500_000
LIVE_CHUNK = 1_000
ITEM_SOURCE = source_name("import", "items", 1)

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
    digest = digest_of(path)
    source = log.source(source_name("import", digest, 1))
    with exclusive(settings.data / "import.lock"), Rows(path) as rows:
        made = events_from(rows, mapping, now)
        note = Note(source.folder, repr(mapping))
        report = note.report()
        if report is None:
            with Rejects(settings.data, path, digest) as rejects:
                report = Report(rejects=str(rejects.path))
                kept = _kept(made, rejects, report)
                write_events(log, source.name, kept, report, lambda: progress(rows.position, rows.size))
            report.rows = rows.read
            note.keep(report)
        _fold_imports(client, log, settings.buckets)
    return report


def produce_events(
    settings: Settings, producer: Producer, path: Path, mapping: Mapping, now: int, progress: Progress
) -> Report:
    """Send a file's events to Kafka, as any producer would; the stream processor does the rest.

    Raises:  Unavailable: Kafka didn't take an event, or the embedded broker forgot some that nothing had read.
    """
    sent = Sent(settings, producer)
    with Rows(path) as rows, Rejects(settings.data, path, digest_of(path)) as rejects:
        report = Report(rejects=str(rejects.path))
        for event in _kept(events_from(rows, mapping, now), rejects, report):
            sent.send(partition_key(event.event), event.raw)
            report.accepted += 1
            if report.accepted % LIVE_CHUNK == 0:
                sent.check()
                progress(rows.position, rows.size)
        report.rows = rows.read
    sent.check(last=True)
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
    """Append a file's items to the item log and take them into Redis; a file that was completed isn't read again."""
    digest = digest_of(path)
    with exclusive(settings.data / "import.lock"), Rows(path) as rows:
        made = items_from(rows, columns)
        note = Note(ItemLog(settings.data).source(ITEM_SOURCE).folder, f"{digest} {columns}")
        report = note.report()
        if report is None:
            with Rejects(settings.data, path, digest) as rejects:
                report = Report(rejects=str(rejects.path))
                kept = _kept(made, rejects, report)
                write_items(settings, kept, now, report, lambda: progress(rows.position, rows.size))
            report.rows = rows.read
            note.keep(report)
        restore_items(client, ItemLog(settings.data))
    return report


def write_items(
    settings: Settings, items: Iterable[dict[str, Any]], now: int, report: Report, progress: Callable[[], None]
) -> None:
    """Append items in the shape of the `items` topic to the item log."""
    source = ItemLog(settings.data).source(ITEM_SOURCE)
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


class Note:
    """Says that a file was completely imported under a mapping, beside the log that holds it."""

    def __init__(self, folder: Path, what: str) -> None:
        self._path = folder / f"complete-{hashlib.sha256(what.encode()).hexdigest()[:16]}.json"

    def report(self) -> Report | None:
        """What that import reported, of which everything is known now; None where there was none."""
        if not self._path.is_file():
            return None
        before = msgspec.json.decode(self._path.read_bytes(), type=Report)
        return replace(before, rows=0, accepted=0, known=before.accepted + before.known)

    def keep(self, report: Report) -> None:
        """Write it whole or not at all."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(report))
        draft.replace(self._path)


class Rejects:
    """The file of refused rows; it appears with the first of them, and replaces that of an earlier run."""

    def __init__(self, data: Path, source: Path, digest: str) -> None:
        self._path = data / "rejects" / f"{source.name}-{digest[:8]}.jsonl"
        self._file: IO[bytes] | None = None

    @property
    def path(self) -> Path:
        """Where refused rows go."""
        return self._path

    def __enter__(self) -> "Rejects":
        self._path.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, refused: Refused) -> None:
        """Keep a refused row with its number and reason."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb")
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
    Merger(client, buckets, FEATURES).merge()  # so that something trends before a stream processor runs


def digest_of(path: Path) -> str:
    """Names the file's part of the log; the same content has the same name."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
