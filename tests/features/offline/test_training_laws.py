"""Laws of frames for training: whatever the log, what serving would have read at each label's moment."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.checks import OTHERS
from features.feature import about, count, mean, ratio, total
from features.identity import Edge
from features.offline import asks as asks_module
from features.offline import (
    training,
    training_frame,
)
from features.table import Table, table
from tests.features import naive
from tests.features.histories import DAY, HOUR, ITEMS, STEPS, Happening, logs
from tests.features.offline.frame_logs import duplicates, labels_of, plain, small, written
from tests.features.test_parity import Ask, Store, Values, check_parity, tables, worlds

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
VIEW, ORDER = "Product Viewed", "Order Completed"
EDGE = Edge(event_time=0, left="a:x", right="u:x", available_at=0, message_id="x", trusted=True)


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
            count("viewed_together", VIEW, "7d", by="beside"),
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
    features = {name: each for name, each in SHARED.features.items() if each.entity == "item" and each.by not in OTHERS}
    found = {name: naive.value(features, name, [e for e in alone if e.name in naive.NAMES], now) for name in features}
    pairs: dict[str, int] = {}
    for event in log:
        items = sorted({each.texts["item"] for each in event.lines})
        inside = (now - 90 * DAY) // DAY * DAY <= event.time
        if event.name == ORDER and item in items and inside:
            pairs |= {other: pairs.get(other, 0) + 1 for other in items if other != item}
    beside = naive.viewed_together(log, item, now, 7)
    return found | {"together": dict(sorted(pairs.items())), "viewed_together": beside}


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
