"""Edges of the event log, and components as they were known at each label's time."""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.components import Knowledge, resolve
from features.events import decode, iso
from features.identity import Edge, edges_of
from features.offline import EventLog, LoggedEvent, append_events
from features.offline.identity import component_ids, read_edges
from features.online import IdentityStore, ProfileReader, connect, connect_async
from tests.features.test_identity import IDS, edge, edges, removal

T = 1_767_225_600_000
BUCKETS = 4


def row(
    offset: int, message: dict[str, Any], at: int, known: int | None = None, duplicate: bool = False
) -> LoggedEvent:
    raw = json.dumps({"messageId": f"m{offset}", "timestamp": iso(at)} | message).encode()
    known = at if known is None else known
    return LoggedEvent(0, offset, known, decode(raw, known), duplicate, raw)


def identify(user: str, anonymous: str) -> dict[str, Any]:
    return {"type": "identify", "userId": user, "anonymousId": anonymous, "keyId": "k"}


def log_of(folder: Path, *rows: LoggedEvent) -> EventLog:
    log = EventLog(folder)
    append_events(log.source("events.a.p1"), 0, 0, len(rows), list(rows))
    return log


def labels_of(*rows: tuple[str, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user", "as_of"]).astype({"user": "str", "as_of": np.int64})


def test_an_empty_log_has_no_edges(tmp_path: Path) -> None:
    assert read_edges(EventLog(tmp_path)) == []
    assert read_edges(log_of(tmp_path)) == []


@pytest.mark.parametrize("name", ["plain", "event=track", "it's [a] *"])
def test_the_edges_of_a_log_are_those_its_events_drew(tmp_path: Path, name: str) -> None:
    track = {"type": "track", "event": "identify", "userId": "u", "anonymousId": "a"}
    alias = {"type": "alias", "userId": "v", "previousId": "u"}
    log = log_of(
        tmp_path / name,
        row(0, identify("u", "a"), T, T + 5),
        row(1, identify("u", "b"), T, duplicate=True),
        row(2, track, T),
        row(3, alias, T + 1),
        row(4, alias | {"keyId": "k", "trusted": True, "properties": {"remove": True}}, T + 2),
        row(5, alias | {"keyId": "k", "previousId": "w"}, T + 3),
    )
    assert read_edges(log) == [
        edge("a:a", "u:u", T, available_at=T + 5, message_id="m0"),
        edge("a:u", "u:v", T + 1, message_id="m3", trusted=True),
        edge("u:u", "u:v", T + 1, message_id="m3", trusted=True),
        edge("a:u", "u:v", T + 2, message_id="m4", trusted=True, removed=True),
        edge("u:u", "u:v", T + 2, message_id="m4", trusted=True, removed=True),
        edge("a:w", "u:v", T + 3, message_id="m5"),
    ]


def test_offsets_that_two_segments_hold_are_read_once_and_all_sources_are_read(tmp_path: Path) -> None:
    rows = [row(n, identify("u", f"a{n}"), T + n) for n in range(6)]
    log = EventLog(tmp_path)
    append_events(log.source("events.a.p1"), 0, 0, 4, rows[:4])
    append_events(log.source("events.a.p1"), 0, 2, 6, [rows[2]._replace(duplicate=True), *rows[3:]])
    append_events(log.source("import.b.p1"), 0, 0, 1, [row(0, identify("v", "z"), T)])
    assert [each.left for each in read_edges(log)] == ["a:a0", "a:z", "a:a1", "a:a2", "a:a3", "a:a4", "a:a5"]


def test_each_label_has_the_ids_of_its_customer_at_its_time() -> None:
    known = [edge("a:1", "u:1", T, available_at=T + 5), edge("a:2", "u:1", T + 10), removal("a:1", "u:1", T + 20)]
    labels = labels_of(("u:9", T), ("u:1", T + 10), ("u:1", T + 4), ("a:2", T + 25), ("u:9", T))
    labels.index = pd.Index([7, 7, 3, 2, 1])
    found = component_ids(labels, known)
    assert [tuple(each) for each in found.itertuples(index=False)] == [
        (0, "u:9"),
        (1, "a:1"),
        (1, "a:2"),
        (1, "u:1"),
        (2, "u:1"),
        (3, "a:2"),
        (3, "u:1"),
        (4, "u:9"),
    ]
    assert list(found.columns) == ["label", "customer"]
    assert found.dtypes["label"] == np.int64
    final = component_ids(labels, known, "final")
    assert list(final[final["label"] == 2]["customer"]) == ["a:1", "u:1"]


def test_no_labels_and_no_edges_give_frames_of_the_same_form() -> None:
    nothing, alone = component_ids(labels_of(), []), component_ids(labels_of(("u:1", T)), [])
    assert len(nothing) == 0
    assert alone.to_dict("list") == {"label": [0], "customer": ["u:1"]}
    assert list(nothing.dtypes) == list(alone.dtypes)


@given(
    st.lists(edges(), max_size=14),
    st.lists(st.tuples(st.sampled_from((*IDS, "u:9")), st.integers(0, 20)), max_size=6),
    st.sampled_from(["then", "final"]),
)
def test_a_frame_of_labels_says_what_resolve_says(
    known: list[Edge], labels: list[tuple[str, int]], knowledge: Knowledge
) -> None:
    expected = [
        (label, member)
        for label, (raw_id, as_of) in enumerate(labels)
        for member in resolve(raw_id, known, as_of, knowledge).members
    ]
    found = component_ids(labels_of(*labels), known, knowledge)
    assert [tuple(each) for each in found.itertuples(index=False)] == expected


@st.composite
def rows(draw: st.DrawFn) -> list[LoggedEvent]:
    found = []
    for offset in range(draw(st.integers(0, 12))):
        user, other = draw(st.sampled_from("xyz")), draw(st.sampled_from("axy"))
        key: dict[str, Any] = draw(st.sampled_from([{}, {"keyId": "k"}, {"keyId": "k", "trusted": True}]))
        kind: dict[str, Any] = draw(st.sampled_from([{"anonymousId": other}, {"previousId": other}]))
        message = kind | key | {"type": "identify" if "anonymousId" in kind else "alias", "userId": user}
        message["properties"] = {"remove": draw(st.integers(0, 3)) == 0}
        at = T + draw(st.integers(0, 9))
        found.append(row(offset, message, at, at + draw(st.integers(0, 5))))
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows(), st.integers(0, 14))
def test_a_frame_as_of_a_time_has_the_components_that_were_live_then(
    redis_server: str, logged: list[LoggedEvent], later: int
) -> None:
    as_of = T + later
    with tempfile.TemporaryDirectory() as folder:
        known = read_edges(log_of(Path(folder), *logged))
    client = connect(redis_server)
    client.flushall()
    come = [each for each in logged if each.available_at <= as_of]
    for each in come:
        IdentityStore(client, BUCKETS).add(edges_of(each.event, each.value, each.available_at))
    ids = [f"{kind}:{name}" for kind in "au" for name in "axyz"]

    async def live() -> list[tuple[int, str]]:
        async with ProfileReader(connect_async(redis_server, timeout_s=5.0), BUCKETS) as reader:
            return [(n, member) for n, raw_id in enumerate(ids) for member in (await reader.members(raw_id)).members]

    frame = component_ids(labels_of(*((raw_id, as_of) for raw_id in ids)), known)
    assert [tuple(each) for each in frame.itertuples(index=False)] == asyncio.run(live())
