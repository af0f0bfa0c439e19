"""Frames for training say what serving would have read at each label's moment, and never more."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.errors import BadInput
from features.events import decode, iso
from features.feature import about, count, distinct, last, mean, ratio, recent, since, top, total
from features.folds import fold
from features.identity import Edge
from features.offline import (
    EventLog,
    LoggedEvent,
    append_columns,
    append_events,
    replay,
    scan,
    training,
    training_frame,
)
from features.offline import asks as asks_module
from features.states import no_states
from features.table import Table, table
from tests.features import naive
from tests.features.histories import DAY, HOUR, ITEMS, STEPS, Happening, T, columns, line, logs
from tests.features.offline.test_log import append_without
from tests.features.test_parity import Ask, Store, Values, check_parity, tables, worlds

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
VIEW, ORDER = "Product Viewed", "Order Completed"
EDGE = Edge(event_time=0, left="a:x", right="u:x", available_at=0, message_id="x", trusted=True)


def duplicates(log: Sequence[Happening]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    ids = sorted({event.customer for event in log})
    owner = np.array([ids.index(event.customer) for event in log], np.int64)
    return ~fold(table([]), no_states(len(ids)), columns(log), owner).counted


def written(folder: Path, log: Sequence[Happening], cut: int = 0) -> EventLog:
    """The log as Parquet, in two segments."""
    events, again = columns(log), duplicates(log)
    source = EventLog(folder).source("events.a.p1")
    for start, end in ((0, cut), (cut, len(log))):
        if start < end:
            rows = np.arange(start, end)
            names = [event.name for event in log[start:end]]
            ids = [event.message for event in log[start:end]]
            raws = [b"{}"] * (end - start)
            append_columns(source, 0, start, end, events.take(rows), names, ids, rows, again[start:end], raws)
    return EventLog(folder)


def labels_of(*rows: tuple[str, int]) -> pd.DataFrame:
    return pd.DataFrame({"user_id": [user for user, _ in rows], "as_of": np.array([at for _, at in rows], np.int64)})


@contextmanager
def small(parts: int) -> Iterator[None]:
    """Everything in small pieces: parts on disk, batches, chunks and blocks of the replay."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_parts", lambda *_: parts)
        for module, name, size in (
            (scan, "BATCH", 5),
            (replay, "WORK", 60),
            (replay, "PIECE", 3),
            (replay, "_ROUND", 2),
        ):
            patch.setattr(module, name, size)
        yield


def plain(features: Table, row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row of a frame in the values that a state is asked for."""
    found = {}
    for name, feature in features.features.items():
        value = row[name]
        if isinstance(value, float) and np.isnan(value):
            value = None
        elif feature.dtype == "int" and isinstance(value, float):
            value = int(value)
        found[name] = value
    return found


def check_frame(features: Table, log: Sequence[Happening], frame: pd.DataFrame, knowledge: str = "then") -> None:
    for row in frame.to_dict("records"):
        now = int(row["as_of"])
        ids = (str(row["user_id"]),)
        counted = [event for event, again in zip(log, duplicates(log), strict=True) if not again]
        known = [e for e in counted if e.time <= now and (e.available <= now or knowledge == "final")]
        store: Store = lambda *_, row=row: [plain(features, row)]  # noqa: E731
        check_parity(store, (features, known, [Ask(len(known), now, ids)], []))


@st.composite
def frames(draw: st.DrawFn) -> tuple[Table, list[Happening], pd.DataFrame]:
    """Labels between, at and after arrivals, some twice."""
    log = draw(logs())
    moments = st.sampled_from([event.available for event in log] + [event.time for event in log])
    shifts = st.just(0) | STEPS | STEPS.map(lambda step: -step)
    row = st.tuples(st.sampled_from(["u:1", "u:2", "a:1", "u:nobody"]), moments, shifts)
    rows = draw(st.lists(row, min_size=1, max_size=12))
    return draw(tables()), log, labels_of(*((user, at + shift) for user, at, shift in rows))


@QUICK
@given(world=frames(), parts=st.sampled_from([0, 1, 3]), knowledge=st.sampled_from(["then", "final"]))
def test_a_frame_says_what_the_definitions_mean_of_the_events_known_then(
    world: tuple[Table, list[Happening], pd.DataFrame], parts: int, knowledge: Any
) -> None:
    features, log, labels = world
    with tempfile.TemporaryDirectory() as folder:
        logged = written(Path(folder), log, len(log) // 2)
        if parts:
            with small(parts):
                frame = training_frame(logged, labels, features.features, features, knowledge)
        else:
            frame = training_frame(logged, labels, features.features, features, knowledge)
        assert [path.name for path in Path(folder).iterdir()] == ["events"]
    check_frame(features, log, frame, knowledge)


def offline(features: Table, log: Sequence[Happening], asks: Sequence[Ask], cuts: Sequence[int]) -> Values:
    """A store of the suite of parity: frames of the log as far as it had come; several ids are a user of their own."""
    users = [ask.ids[0] if len(ask.ids) == 1 else f"u:ask {number}" for number, ask in enumerate(asks)]
    ids = {user: ask.ids for user, ask in zip(users, asks, strict=True)}

    def component_ids(labels: pd.DataFrame, *_: Any) -> pd.DataFrame:
        rows = [(label, each) for label, user in enumerate(labels["user"]) for each in ids[user]]
        return pd.DataFrame(rows, columns=["label", "customer"])

    found: dict[int, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(asks_module, "component_ids", component_ids)
        patch.setattr(training, "read_edges", lambda _: [EDGE])
        for known in {ask.known for ask in asks}:
            mine = [number for number, ask in enumerate(asks) if ask.known == known]
            labels = labels_of(*((users[number], asks[number].now) for number in mine))
            logged = written(Path(folder) / str(known), log[:known], min((known, *cuts)))
            frame = training_frame(logged, labels, features.features, features)
            rows = frame.to_dict("records")
            found |= {number: plain(features, row) for number, row in zip(mine, rows, strict=True)}
    return [found[number] for number in range(len(asks))]


@QUICK
@given(world=worlds())
def test_a_frame_says_of_several_ids_what_the_definitions_mean_of_all_their_events(
    world: tuple[Table, list[Happening], list[Ask], list[int]],
) -> None:
    check_parity(offline, world)


SHARED = table(
    [
        *about(
            "item",
            count("views_24h", VIEW, "24h"),
            total("sold_30d", ORDER, "30d", of="pieces"),
            mean("price_7d", ORDER, "7d", of="price"),
            ratio("rate", "sold_30d", "views_24h", entity="item"),
            count("brands", (), "90d", by="brand"),
            count("names", VIEW, "30d", by="event"),
            count("devices", VIEW, "30d", by="device"),
            count("together", ORDER, "90d", by="with"),
        ),
        *about(
            "global",
            count("all_orders", ORDER, "7d"),
            total("all_pieces", (), "24h", of="pieces"),
            count("all_devices", (), "30d", by="device"),
        ),
    ]
)


def of_item(log: Sequence[Happening], item: str, now: int) -> dict[str, Any]:
    """The customers' definitions over the lines of one item, each a log entry of its own."""
    lines = [(event, each) for event in log for each in event.lines if each.texts["item"] == item]
    alone = [Happening(e.name, e.time, f"{n}", "u:1", numbers=e.numbers, texts=e.texts, lines=(each,)) for n, (e, each) in enumerate(lines)]  # fmt: skip  # noqa: E501
    features = {name: each for name, each in SHARED.features.items() if each.entity == "item" and each.by != "with"}
    found = {name: naive.value(features, name, [e for e in alone if e.name in naive.NAMES], now) for name in features}
    pairs: dict[str, int] = {}
    for event in log:
        items = sorted({each.texts["item"] for each in event.lines})
        inside = (now - 90 * DAY) // DAY * DAY <= event.time
        if event.name == ORDER and item in items and inside:
            pairs |= {other: pairs.get(other, 0) + 1 for other in items if other != item}
    return found | {"together": dict(sorted(pairs.items()))}


@QUICK
@given(log=logs(), shift=st.sampled_from([0, 1, HOUR, DAY, 20 * DAY]), parts=st.sampled_from([0, 2]))
def test_features_of_items_and_of_all_customers_count_what_was_known_then(
    log: list[Happening], shift: int, parts: int
) -> None:
    moments = sorted({event.available + shift for event in log})
    labels = pd.DataFrame([(item, at) for at in moments for item in (*ITEMS, "none")], columns=["item_id", "as_of"])
    with tempfile.TemporaryDirectory() as folder:
        logged = written(Path(folder), log)
        if parts:
            with small(parts):
                frame = training_frame(logged, labels, SHARED.features, SHARED)
        else:
            frame = training_frame(logged, labels, SHARED.features, SHARED)
    counted = [event for event, again in zip(log, duplicates(log), strict=True) if not again]
    for row in frame.to_dict("records"):
        now = int(row["as_of"])
        known = [event for event in counted if event.available <= now]
        expected = of_item(known, str(row["item_id"]), now)
        shared = {name: each for name, each in SHARED.features.items() if each.entity == "global"}
        events = [event for event in known if event.name in naive.NAMES]
        expected |= {name: naive.value(shared, name, events, now) for name in shared}
        assert plain(SHARED, row) == expected


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
