"""Frames for training by example: a purchase after as_of never reaches training, and the rest of what one relies on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.errors import BadInput
from features.events import decode, iso
from features.feature import count, distinct, last, recent, since, top
from features.offline import (
    EventLog,
    LoggedEvent,
    append_events,
    identity,
    scan,
    training_frame,
)
from features.table import table
from tests.features.histories import DAY, HOUR, Happening, T, line
from tests.features.offline.frame_logs import labels_of, small, written
from tests.features.offline.test_log import append_without

VIEW, ORDER = "Product Viewed", "Order Completed"


def ordered(offset: int, user: str | None, at: int, known: int, **message: Any) -> LoggedEvent:
    products = [{"product_id": "spade", "price": 5, "quantity": 2}]
    raw = {"type": "track", "event": ORDER, "messageId": f"m{offset}", "timestamp": iso(at)}
    raw |= {"userId": user} if user else {}
    raw |= {"properties": {"order_id": "o", "currency": "GBP", "products": products}} | message
    value = json.dumps(raw).encode()
    return LoggedEvent(0, offset, known, decode(value, known), False, value)


def real_log(folder: Path, *rows: LoggedEvent) -> EventLog:
    log = EventLog(folder)
    append_events(log.source("events.a.p1"), 0, 0, len(rows), list(rows))
    return log


def test_a_purchase_after_as_of_never_reaches_training(tmp_path: Path) -> None:
    log = real_log(
        tmp_path,
        ordered(0, "kim", T, T),
        ordered(1, "kim", T + HOUR, T + HOUR),
        ordered(2, "kim", T, T + 2 * HOUR),  # happened early, known late
    )
    labels = labels_of(*[("kim", T + shift) for shift in (-1, 0, HOUR - 1, HOUR, 2 * HOUR - 1, 2 * HOUR)])
    names = ["orders", "since_order", "bought_items"]
    frame = training_frame(log, labels, names)
    assert frame["orders"].tolist() == [0, 1, 1, 2, 2, 3]
    assert frame["since_order"].fillna(-1).tolist() == [-1, 0, HOUR - 1, 0, HOUR - 1, HOUR]
    assert [each.get("spade", 0) for each in frame["bought_items"]] == [0, 2, 2, 4, 4, 6]
    final = training_frame(log, labels, names, knowledge="final")
    assert final["orders"].tolist() == [0, 2, 2, 3, 3, 3]


def test_ids_count_together_from_the_moment_it_was_known_that_they_are_one(tmp_path: Path) -> None:
    identify = {"type": "identify", "anonymousId": "b", "userId": "kim", "messageId": "i"}
    log = real_log(
        tmp_path,
        ordered(0, None, T, T, anonymousId="b"),
        ordered(1, "kim", T + 1, T + 1),
        ordered(2, "kim", T + 2, T + 5, **identify),
    )
    labels = labels_of(("kim", T + 4), ("a:b", T + 4), ("u:kim", T + 5), ("a:b", T + 5))
    assert training_frame(log, labels, ["orders", "bought_items"])["orders"].tolist() == [1, 1, 2, 2]
    assert training_frame(log, labels, ["orders"], identity=False)["orders"].tolist() == [1, 1, 1, 1]
    assert training_frame(log, labels, ["orders"], knowledge="final")["orders"].tolist() == [2, 2, 2, 2]
    assert [each["spade"] for each in training_frame(log, labels, ["bought_items"])["bought_items"]] == [2, 2, 4, 4]


def test_labels_keep_their_order_columns_index_and_repetitions(tmp_path: Path) -> None:
    log = real_log(tmp_path, ordered(0, "kim", T, T), ordered(1, "7", T, T))
    labels = pd.DataFrame(
        {
            "bought": [True, False, True, False],
            "as_of": pd.to_datetime([T + 1, T, T + 1, T - 1], unit="ms", utc=True).tz_convert("Europe/London"),
            "user_id": ["kim", "7", "kim", "nobody"],
            "item_id": ["spade", "lamp", "spade", "spade"],
        },
        index=[3, 3, 0, 7],
    )
    before = labels.copy()
    frame = training_frame(
        log, labels, ["orders", "item_orders_24h", "first_order", "spend", "recent_items", "since_order"]
    )
    pd.testing.assert_frame_equal(labels, before)
    pd.testing.assert_frame_equal(frame[list(before.columns)], before)
    assert frame["orders"].tolist() == [1, 1, 1, 0]
    assert frame["item_orders_24h"].tolist() == [2, 0, 2, 0]
    assert frame["spend"].tolist() == [{"GBP": 1000}] * 3 + [{}]
    assert [len(each) for each in frame["recent_items"]] == [1, 1, 1, 0]
    kinds = frame.dtypes.astype(str).to_dict()
    assert [kinds[name] for name in ("orders", "first_order", "since_order", "spend")] == [
        "int64",
        "float64",
        "float64",
        "object",
    ]
    numbers = labels_of(("7", T)).assign(user_id=[7])
    assert training_frame(log, numbers, ["orders"])["orders"].tolist() == [1]


def test_no_labels_or_no_log_give_a_frame_all_the_same(tmp_path: Path) -> None:
    log = real_log(tmp_path / "some", ordered(0, "kim", T, T))
    names = ["orders", "since_order", "spend", "item_views_24h", "all_orders_24h"]
    nobody = pd.DataFrame({"user_id": [], "item_id": [], "as_of": []})
    frame = training_frame(log, nobody, names)
    assert list(frame.columns) == ["user_id", "item_id", "as_of", *names]
    assert frame.empty
    labels = labels_of(("kim", T)).assign(item_id="spade")
    empty = training_frame(EventLog(tmp_path / "none"), labels, names)
    assert empty[names].fillna(-1).to_numpy().tolist() == [[0, -1, {}, 0, 0]]


@pytest.mark.parametrize(
    ("change", "features", "field"),
    [
        ({"as_of": None}, ["orders"], "as_of"),
        ({"as_of": [0.5]}, ["orders"], "as_of"),
        ({"as_of": pd.to_datetime(["2026-01-01"])}, ["orders"], "as_of"),
        ({"as_of": [-1]}, ["orders"], "as_of"),
        ({"as_of": [T * 1000]}, ["orders"], "as_of"),
        ({"as_of": pd.array([None], "Int64")}, ["orders"], "as_of"),
        ({"user_id": None}, ["orders"], "user_id"),
        ({"user_id": [""]}, ["orders"], "user_id"),
        ({"user_id": [1.5]}, ["orders"], "user_id"),
        ({"user_id": pd.Series([None], dtype=object)}, ["orders"], "user_id"),
        ({}, ["item_views_24h"], "item_id"),
        ({}, ["orders", "ordres"], "features"),
        ({"orders": [1]}, ["orders"], "orders"),
    ],
)
def test_a_bad_label_is_refused_by_the_name_of_its_column(
    tmp_path: Path, change: dict[str, Any], features: list[str], field: str
) -> None:
    labels = labels_of(("kim", T))
    for name, values in change.items():
        labels = labels.drop(columns=name) if values is None else labels.assign(**{name: values})
    with pytest.raises(BadInput) as error:
        training_frame(EventLog(tmp_path), labels, features)
    assert error.value.field == field


def test_progress_goes_through_the_rows_of_the_log_once(tmp_path: Path) -> None:
    logged = written(tmp_path, [Happening(VIEW, T + n, f"{n}") for n in range(7)], 3)
    steps: list[tuple[int, int]] = []
    training_frame(logged, labels_of(("1", T)), ["views_1h"], progress=lambda *step: steps.append(step))
    assert steps == [(3, 7), (7, 7)]


def test_a_crowd_of_labels_of_one_customer_is_answered_like_each_alone(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    log = [
        Happening(
            VIEW,
            T + int(at),
            f"{n}",
            available=T + int(at) + int(random.integers(0, DAY)) * (n % 5 == 0),
            lines=(line(f"i{random.integers(400)}"),),
        )
        for n, at in enumerate(np.sort(random.integers(0, 40 * DAY, 600)))
    ]
    log.sort(key=lambda event: event.available)
    names = table(
        [distinct("items", VIEW, by="item"), top("best", VIEW, "7d", by="item"), last("newest", VIEW, by="item"),
         since("ago", VIEW), recent("touched", VIEW, 100), count("views", VIEW, "7d")]
    )  # fmt: skip
    logged = written(tmp_path, log)
    labels = labels_of(*[("u:1", T + int(at)) for at in random.integers(0, 45 * DAY, 80)])
    frame = training_frame(logged, labels, names.features, names)
    alone = pd.concat([training_frame(logged, labels.iloc[[n]], names.features, names) for n in range(0, 80, 9)])
    pd.testing.assert_frame_equal(frame.iloc[::9], alone, check_dtype=False)
    with small(2):
        pd.testing.assert_frame_equal(frame, training_frame(logged, labels, names.features, names))


def test_offsets_that_two_segments_hold_are_counted_once(tmp_path: Path) -> None:
    rows = [ordered(n, "kim", T + n, T + n) for n in range(4)]
    source = EventLog(tmp_path).source("events.a.p1")
    append_events(source, 0, 0, 3, rows[:3])
    append_events(source, 0, 1, 4, rows[1:])
    frame = training_frame(EventLog(tmp_path), labels_of(("kim", T + 9)), ["orders", "bought_items"])
    assert frame[["orders", "bought_items"]].to_numpy().tolist() == [[4, {"spade": 8}]]


def test_segments_older_than_a_column_are_read_too(tmp_path: Path) -> None:
    rows = [ordered(n, "kim", T + n, T + n) for n in range(4)]
    source = EventLog(tmp_path).source("events.a.p1")
    append_without(source, rows[:2], "layout", "total", "currency")
    append_events(source, 0, 2, 4, rows[2:])
    frame = training_frame(EventLog(tmp_path), labels_of(("kim", T + 9)), ["spend"])
    assert frame["spend"].tolist() == [{"GBP": 4000}]


def compacting_before_the_third(log: EventLog, read: Callable[..., Any]) -> Callable[..., Any]:
    """What reads a segment, where all files that are replaced are gone when it comes to the third."""
    calls: list[Any] = []

    def reading(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            for source in log.sources():
                source.compact(2**62)
                source.compact(2**62)
        return read(*arguments)

    return reading


@pytest.mark.parametrize(("module", "read"), [(scan, "_read"), (identity, "_drawn")])
def test_a_log_that_is_compacted_while_it_is_read_gives_the_same_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, read: str
) -> None:
    identify = {"type": "identify", "anonymousId": "b", "userId": "kim", "messageId": "i"}
    log = EventLog(tmp_path)
    for name in ("events.a.p1", "events.b.p1"):
        source = log.source(name)
        for n in range(8):
            message = identify if n == 3 else {"messageId": f"{name}{n}"}
            append_events(source, 0, n, n + 1, [ordered(n, "kim", T + n, T + n, **message)])
        append_events(source, 0, 8, 9, [ordered(8, None, T, T, anonymousId="b", messageId=f"{name}b")])
    labels = labels_of(("kim", T + 9), ("a:b", T + 9))
    right = training_frame(log, labels, ["orders", "bought_items"])
    monkeypatch.setattr(module, read, compacting_before_the_third(log, getattr(module, read)))
    pd.testing.assert_frame_equal(training_frame(log, labels, ["orders", "bought_items"]), right)
    assert [len(source.plan()) for source in log.sources()] == [1, 1]
