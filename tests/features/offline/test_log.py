"""The event log: what was accepted, as it came, with what is read most in columns of its own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from features.columns import Events, concat
from features.decoded import from_events
from features.events import EVENTS, decode
from features.offline import (
    EventLog,
    ItemLog,
    LoggedEvent,
    LoggedItem,
    Segments,
    append_events,
    append_items,
    arrow,
    interactions,
    read_columns,
    read_events,
    read_items,
)
from features.offline.arrow import EVENT_SCHEMA
from tests.features.test_columns import SOME, rows

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


def logged(raws: list[bytes], first: int = 0) -> list[LoggedEvent]:
    return [LoggedEvent(0, first + n, T + n, decode(raw, T + n), n % 2 == 1, raw) for n, raw in enumerate(raws)]


def columns_of(rows: list[LoggedEvent]) -> Events:
    return from_events([row.event for row in rows], [row.available_at for row in rows])


def all_of(log: Segments, **how: Any) -> Events:
    return concat([events for _, _, _, events in read_columns(log, **how)])


def append_without(log: Segments, rows: list[LoggedEvent], *columns: str) -> None:
    """A segment as it was written before there were these columns, and before lines had more than four."""
    start, end = rows[0].offset, rows[-1].offset + 1
    append_events(log, 0, start, end, rows)
    (segment,) = [segment for segment in log.plan() if segment.start == start]
    table = pa.parquet.read_table(segment.path).drop_columns([*columns, "items"])
    four = [field.name for field in list(EVENT_SCHEMA.field("items").type.value_type)[:4]]
    items = [[{name: line[name] for name in four} for line in lines] for lines in lines_of(segment.path)]
    segment.path.unlink()
    log.append(start, end, 0, T, table.append_column("items", pa.array(items)))


def lines_of(path: Path) -> Any:
    return pa.parquet.read_table(path)["items"].to_pylist()


def test_columns_come_back_as_they_were_written(tmp_path: Path) -> None:
    log = EventLog(tmp_path).source("events.a.p1")
    written = logged(SOME)
    append_events(log, 0, 0, 3, written[:3])
    append_events(log, 0, 3, 9, written[3:])
    ((partition, offsets, duplicates, events),) = read_columns(log)
    assert (partition, offsets.tolist(), offsets.dtype) == (0, [0, 1, 2, 3, 4], np.int64)
    assert duplicates.tolist() == [row.duplicate for row in written]
    assert rows(events) == rows(columns_of(written))
    assert [column.dtype for column in events[1:6]] == [column.dtype for column in columns_of(written)[1:6]]
    assert events.line_of.dtype == events.customer.codes.dtype == np.int32


def test_columns_are_read_from_a_position_in_batches_of_one_partition(tmp_path: Path) -> None:
    log = EventLog(tmp_path).source("events.a.p2")
    append_events(log, 0, 0, 5, logged(SOME))
    append_events(log, 1, 0, 2, logged(SOME[:2]))
    append_events(log, 1, 2, 4, [])
    read = [(partition, offsets.tolist()) for partition, offsets, _, _ in read_columns(log, {0: 3, 1: 0})]
    assert read == [(0, [3, 4]), (1, [0, 1])]
    read = [(partition, offsets.tolist()) for partition, offsets, _, _ in read_columns(log, batch_rows=2)]
    assert read == [(0, [0, 1]), (0, [2, 3]), (0, [4]), (1, [0, 1])]
    assert rows(all_of(log, positions={0: 3})) == rows(columns_of(logged(SOME)))[3:]


def test_only_the_named_columns_are_read_and_lines_still_belong_to_their_events(tmp_path: Path) -> None:
    log = EventLog(tmp_path).source("events.a.p1")
    append_without(log, logged(SOME), "layout")
    append_events(log, 0, 5, 10, logged(SOME, 5))
    named = {"total", "device", "brand"}
    events, whole = all_of(log, columns=named), all_of(log)
    for _, _, _, batch in read_columns(log, batch_rows=5, columns=named):
        assert {*batch.numbers, *batch.texts, *batch.line_numbers, *batch.line_texts} == named
    assert events.numbers["total"].tolist() == whole.numbers["total"].tolist()
    assert events.line_texts["brand"].texts() == whole.line_texts["brand"].texts()
    assert all_of(log, columns=()).line_of.tolist() == events.line_of.tolist() == whole.line_of.tolist()


def test_a_segment_from_before_a_column_is_read_as_if_it_had_been_written_today(tmp_path: Path) -> None:
    log = EventLog(tmp_path).source("events.a.p1")
    append_without(log, logged(SOME), "layout", "received_at", "message_hash", "device", "total", "currency", "trusted")
    append_events(log, 0, 5, 10, logged(SOME, 5))
    expected = rows(columns_of(logged(SOME))) * 2
    assert rows(all_of(log)) == expected
    assert rows(all_of(log, batch_rows=3)) == expected
    before = interactions(EventLog(tmp_path))
    assert log.compact(T) == 2
    assert len(log.plan()) == 1
    assert rows(all_of(log)) == expected
    assert interactions(EventLog(tmp_path)).equals(before)
    assert [row.value for batch in read_events(log) for row in batch] == SOME * 2


def test_an_event_whose_name_means_something_since_is_read_with_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EventLog(tmp_path).source("events.a.p1")
    raw = json.dumps({"type": "track", "userId": "u1", "event": "Product Viewed", "properties": {"product_id": "i"}})
    (now,) = logged([raw.encode()])
    with monkeypatch.context() as then:
        then.delitem(EVENTS, "Product Viewed")
        then.setattr("features.decoded._TRACKED", {})
        (row,) = logged([raw.encode()])
        assert row.event.lines == ()
        append_events(log, 0, 0, 1, [row])
    assert rows(all_of(log)) == rows(columns_of([now]))


def test_columns_are_made_again_when_what_they_mean_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EventLog(tmp_path).source("events.a.p1")
    wrong = logged([SOME[0]])[0]
    append_events(log, 0, 0, 1, [wrong._replace(event=decode(SOME[3], T))])
    assert rows(all_of(log)) == rows(columns_of([wrong._replace(event=decode(SOME[3], T))]))
    monkeypatch.setattr(arrow, "_LAYOUTS", arrow._LAYOUTS + np.uint32(1))
    assert rows(all_of(log)) == rows(columns_of([wrong]))


def test_the_log_keeps_who_is_trusted(tmp_path: Path) -> None:
    sent = {"type": "track", "event": "Product Viewed", "userId": "u", "properties": {"product_id": "i"}}
    keys: list[dict[str, Any]] = [{}, {"keyId": "k"}, {"keyId": "k", "trusted": True}]
    log = EventLog(tmp_path).source("events.a.p1")
    append_events(log, 0, 0, 3, logged([json.dumps(sent | key).encode() for key in keys]))
    assert all_of(log).trusted.tolist() == all_of(log, columns=()).trusted.tolist() == [True, False, True]
