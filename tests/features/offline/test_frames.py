"""Frames: what was known when, each interaction once."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.events import decode, iso
from features.offline import EventLog, LoggedEvent, append_events, interactions, known_messages, message_keys, summary

T = 1_767_225_600_000


def viewed(offset: int, customer: str, item: str, at: int, known: int | None = None, **fields: Any) -> LoggedEvent:
    message = {"type": "track", "userId": customer, "event": "Product Viewed", "timestamp": iso(at)}
    raw = json.dumps(message | {"messageId": f"m{offset}", "properties": {"product_id": item}} | fields).encode()
    known = at if known is None else known
    return LoggedEvent(0, offset, known, decode(raw, known), False, raw)


def log_of(folder: Path, *rows: LoggedEvent) -> EventLog:
    log = EventLog(folder)
    append_events(log.source("events.a.p1"), 0, 0, len(rows), list(rows))
    return log


def test_an_empty_log_gives_an_empty_frame_with_its_columns(tmp_path: Path) -> None:
    frame = interactions(EventLog(tmp_path))
    assert list(frame.columns) == ["user_id", "item_id", "timestamp", "event", "quantity"]
    assert len(frame) == 0
    assert summary(EventLog(tmp_path)) == {"events": 0, "customers": 0, "since": 0, "until": 0}
    assert len(known_messages(EventLog(tmp_path))) == 0
    assert len(message_keys([], [])) == 0


def test_interactions_come_by_time_and_then_ids(tmp_path: Path) -> None:
    lines = [{"product_id": "b", "quantity": 2, "price": 1.5}, {"product_id": "a"}, {"product_id": "b"}]
    order: Any = {"event": "Order Completed", "properties": {"order_id": "o", "products": lines}}
    log = log_of(tmp_path, viewed(0, "u2", "x", T + 1), viewed(1, "u1", "", T, **order), viewed(2, "u1", "x", T + 1))
    assert [tuple(row) for row in interactions(log).itertuples(index=False)] == [
        ("u:u1", "a", T, "Order Completed", 1.0),
        ("u:u1", "b", T, "Order Completed", 1.0),
        ("u:u1", "b", T, "Order Completed", 2.0),
        ("u:u1", "x", T + 1, "Product Viewed", 1.0),
        ("u:u2", "x", T + 1, "Product Viewed", 1.0),
    ]
    assert interactions(log).dtypes["timestamp"] == np.int64
    assert interactions(log).dtypes["quantity"] == np.float64


def test_countries_and_devices_come_when_they_are_asked_for(tmp_path: Path) -> None:
    told: Any = {"context": {"locale": "en-GB", "device": {"type": "iPhone"}}}
    log = log_of(tmp_path, viewed(0, "u1", "x", T, **told), viewed(1, "u2", "y", T + 1))
    frame = interactions(log, contexts=True)
    assert frame["country"].cat.categories.tolist() == ["GB"]
    assert frame["device"].cat.codes.tolist() == [0, -1]
    assert list(interactions(EventLog(tmp_path / "none"), contexts=True)["country"]) == []


def test_the_window_holds_its_first_moment_and_not_its_last(tmp_path: Path) -> None:
    log = log_of(tmp_path, *(viewed(n, "u1", str(n), T + n) for n in range(5)))
    assert list(interactions(log, T + 1, T + 3)["item_id"]) == ["1", "2"]
    assert list(interactions(log, until=T + 2)["item_id"]) == ["0", "1"]
    assert list(interactions(log, since=T + 4)["item_id"]) == ["4"]


@pytest.mark.parametrize(("until", "seen"), [(T + 10, []), (T + 11, ["late"])])
def test_an_event_that_became_known_later_never_appears(tmp_path: Path, until: int, seen: list[str]) -> None:
    log = log_of(tmp_path, viewed(0, "u1", "late", T, known=T + 10))
    assert list(interactions(log, until=until)["item_id"]) == seen


def test_duplicates_never_appear(tmp_path: Path) -> None:
    log = log_of(tmp_path, viewed(0, "u1", "i", T), viewed(1, "u1", "i", T)._replace(duplicate=True))
    assert len(interactions(log)) == 1
    assert summary(log)["events"] == 1


def test_events_that_tie_nobody_to_an_item_are_left_out_and_counted(tmp_path: Path) -> None:
    searched: Any = {"event": "Products Searched", "properties": {"query": "spade"}}
    listed: Any = {"event": "Product List Viewed", "properties": {"products": [{"product_id": "i"}]}}
    log = log_of(
        tmp_path, viewed(0, "u1", "", T, **searched), viewed(1, "u1", "", T, **listed), viewed(2, "u1", "i", T)
    )
    assert list(interactions(log)["event"]) == ["Product Viewed"]
    assert summary(log) == {"events": 3, "customers": 1, "since": T, "until": T}


def test_offsets_that_two_segments_hold_are_read_once(tmp_path: Path) -> None:
    rows = [viewed(n, "u1", f"i{n}", T + n) for n in range(6)]
    log = EventLog(tmp_path)
    append_events(log.source("events.a.p1"), 0, 0, 4, rows[:4])
    append_events(log.source("events.a.p1"), 0, 2, 6, rows[2:])
    append_events(log.source("import.b.p1"), 0, 0, 1, [viewed(0, "u2", "i0", T)])
    assert list(interactions(log)["item_id"]) == ["i0", "i0", "i1", "i2", "i3", "i4", "i5"]


@pytest.mark.parametrize(
    "name", ["it's", 'a "b"', "*", "[ab]", "what?", "customer=eve", "event_time=5", "ü x", "$since"]
)
def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    log = log_of(tmp_path / name, viewed(0, "u1", "i", T))
    append_events(log.source("events.a.p1"), 0, 0, 2, [viewed(0, "u1", "i", T), viewed(1, "u1", "j", T)])
    append_events(log.source("events.a.p1"), 0, 1, 3, [viewed(1, "u1", "j", T), viewed(2, "u1", "k", T)])
    assert list(interactions(log)["item_id"]) == ["i", "j", "k"]
    assert list(interactions(log)["user_id"]) == ["u:u1"] * 3


@pytest.mark.parametrize("name", ["*", "[ab]", "?"])
def test_a_folder_name_that_reads_like_a_pattern_means_that_folder_alone(tmp_path: Path, name: str) -> None:
    log_of(tmp_path / "b", viewed(0, "u1", "of the neighbour", T))
    log = log_of(tmp_path / name, viewed(0, "u1", "i", T))
    assert list(interactions(log)["item_id"]) == ["i"]


def test_known_messages_are_told_by_customer_and_message_id(tmp_path: Path) -> None:
    log = log_of(tmp_path, viewed(0, "u1", "i", T), viewed(1, "u2", "i", T)._replace(duplicate=True))
    known = known_messages(log)
    assert known.dtype == np.uint64
    assert np.isin(message_keys(["u:u1", "u:u2", "u:u2", "u:u1"], ["m0", "m1", "m0", "m9"]), known).tolist() == [
        True,
        True,
        False,
        False,
    ]
