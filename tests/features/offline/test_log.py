"""The event log: what was accepted, as it came, with what is read most in columns of its own."""

import json
from pathlib import Path
from typing import Any

from features.events import decode
from features.offline import (
    EventLog,
    ItemLog,
    LoggedEvent,
    LoggedItem,
    append_events,
    append_items,
    read_events,
    read_items,
)

T = 1_767_225_600_000


def row(partition: int, offset: int, **message: Any) -> LoggedEvent:
    raw = json.dumps({"type": "track", "userId": "u1", "event": "x"} | message).encode()
    return LoggedEvent(partition, offset, T + offset, decode(raw, T + offset), offset % 2 == 1, raw)


def test_events_come_back_as_they_were_written_and_in_order(tmp_path: Path) -> None:
    log = EventLog(tmp_path).source("events.a.p2")
    rows = [row(0, 0), row(0, 2), row(0, 3)]
    append_events(log, 0, 0, 5, rows)
    append_events(log, 1, 0, 1, [row(1, 0)])
    assert [row for rows in read_events(log) for row in rows] == [*rows, row(1, 0)]
    assert [row for rows in read_events(log, {0: 3}) for row in rows] == rows[2:]
    assert log.ends() == {0: 5, 1: 1}


def test_offsets_without_any_accepted_event_count_as_held(tmp_path: Path) -> None:
    log = EventLog(tmp_path).source("events.a.p1")
    append_events(log, 0, 0, 3, [])
    assert log.ends() == {0: 3}
    assert list(read_events(log)) == []


def test_events_lie_in_the_folder_of_the_day_they_became_known(tmp_path: Path) -> None:
    log = EventLog(tmp_path).source("events.a.p1")
    append_events(log, 0, 0, 1, [row(0, 0)])
    assert [path.name for path in (tmp_path / "events" / "events.a.p1").iterdir()] == ["date=2026-01-01"]


def test_sources_are_listed_by_name_and_items_are_kept_apart(tmp_path: Path) -> None:
    for name in ("b.x.p1", "a.x.p1"):
        append_events(EventLog(tmp_path).source(name), 0, 0, 1, [row(0, 0)])
    assert [source.name for source in EventLog(tmp_path).sources()] == ["a.x.p1", "b.x.p1"]
    assert ItemLog(tmp_path).sources() == []


def test_items_come_back_with_when_they_became_known_and_deletions_have_no_value(tmp_path: Path) -> None:
    log = ItemLog(tmp_path).source("items.a.p4")
    append_items(log, 0, 0, 2, [LoggedItem(0, 0, "i1", b"{}"), LoggedItem(0, 1, "i1", None)], now=T)
    append_items(log, 0, 2, 3, [LoggedItem(0, 2, "i2", b"{}")], now=T + 1)
    assert [row for rows in read_items(log) for row in rows] == [
        LoggedItem(0, 0, "i1", b"{}", T),
        LoggedItem(0, 1, "i1", None, T),
        LoggedItem(0, 2, "i2", b"{}", T + 1),
    ]
