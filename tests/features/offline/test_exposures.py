"""Frames of exposures: what was served, and what became of it."""

from pathlib import Path

import numpy as np
import pandas as pd

from features.exposures import Assigned, ServedBy
from features.offline import (
    EventLog,
    ExposureLog,
    LoggedEvent,
    LoggedExposure,
    append_events,
    append_exposures,
    exposures,
    outcomes,
)
from tests.features.offline.exposure_rows import AT, answer, exposure, logged

DAY = 86_400_000


def log_of(folder: Path, *rows: LoggedExposure) -> ExposureLog:
    log = ExposureLog(folder)
    append_exposures(log.source("exposures.a.p1"), {0: (0, len(rows))}, list(rows))
    return log


def events_of(folder: Path, *rows: LoggedEvent) -> EventLog:
    log = EventLog(folder)
    append_events(log.source("events.a.p1"), 0, 0, len(rows), list(rows))
    return log


def became(frame: pd.DataFrame) -> dict[str, str]:
    """By item, the first letters of what became of it."""
    names = ("seen", "clicked", "bought")
    return {row.item_id: "".join(name[0] for name in names if getattr(row, name)) for row in frame.itertuples()}


def test_an_empty_log_gives_empty_frames_with_their_columns(tmp_path: Path) -> None:
    shown, asked = exposures(ExposureLog(tmp_path)), outcomes(ExposureLog(tmp_path), EventLog(tmp_path))
    assert len(shown) == len(asked) == 0
    assert list(asked.columns) == [*shown.columns, "seen", "clicked", "bought"]


def test_every_place_of_a_slate_is_a_row_with_what_it_was_drawn_with(tmp_path: Path) -> None:
    first = exposure(
        "r1", "i1", "i2", placement="home", policy="plackett-luce(rate=0.1,top=5)", seed=7,
        eligible=("i1", "i2", "i3"), model=ServedBy(name="als", version="3"),
        experiment=Assigned(key="e", variant="b"), variant="canary",
    )  # fmt: skip
    frame = exposures(log_of(tmp_path, logged(0, first), logged(1, exposure("r0", "i9", user_id=None))))
    assert list(frame["request_id"]) == ["r0", "r1", "r1"]
    assert frame.iloc[1].to_dict() == {
        "request_id": "r1", "timestamp": AT, "customer": "u:u1", "placement": "home",
        "policy": "plackett-luce(rate=0.1,top=5)", "seed": 7, "model": "als", "model_version": "3", "experiment": "e",
        "experiment_variant": "b", "variant": "canary", "item_id": "i1", "position": 1, "score": 1.0, "propensity": 1.0,
        "source": "als", "eligible": 3,
    }  # fmt: skip
    assert list(frame["propensity"]) == [1.0, 1.0, 0.5]
    assert frame.iloc[0]["customer"] == ""
    assert frame.dtypes["timestamp"] == np.int64


def test_the_window_holds_its_first_moment_and_not_its_last(tmp_path: Path) -> None:
    log = log_of(tmp_path, *(logged(n, exposure(f"r{n}", "i1", at=AT + n)) for n in range(4)))
    assert list(exposures(log, AT + 1, AT + 3)["request_id"]) == ["r1", "r2"]
    assert list(exposures(log, until=AT + 1)["request_id"]) == ["r0"]


def test_segments_that_overlap_count_each_exposure_once(tmp_path: Path) -> None:
    log = ExposureLog(tmp_path)
    rows = [logged(n, exposure(f"r{n}", "i1")) for n in range(5)]
    for start, end in ((0, 2), (0, 4), (3, 5)):
        append_exposures(log.source("exposures.a.p1"), {0: (start, end)}, rows[start:end])
    assert list(exposures(log)["request_id"]) == ["r0", "r1", "r2", "r3", "r4"]


def test_what_became_of_a_slate_is_what_events_with_its_request_id_say(tmp_path: Path) -> None:
    log = log_of(tmp_path, logged(0, exposure("r1", "i1", "i2", "i3")), logged(1, exposure("r2", "i1")))
    events = events_of(
        tmp_path,
        answer(0, "Product List Viewed", "r1", "i1", "i2"),
        answer(1, "Product Clicked", "r1", "i2"),
        answer(2, "Product Clicked", "r1", "i2"),
        answer(3, "Order Completed", "r1", "i2", "i9"),
        answer(4, "Product Clicked", None, "i1"),
        answer(5, "Product Viewed", "r2", "i1"),
    )
    frame = outcomes(log, events)
    assert became(frame[frame["request_id"] == "r1"]) == {"i1": "s", "i2": "scb", "i3": ""}
    assert became(frame[frame["request_id"] == "r2"]) == {"i1": ""}
    assert list(frame["position"]) == [1, 2, 3, 1]
    assert list(frame["propensity"]) == [1.0, 0.5, 1 / 3, 1.0]


def test_a_list_that_names_no_items_was_seen_whole(tmp_path: Path) -> None:
    log = log_of(tmp_path, logged(0, exposure("r1", "i1", "i2")))
    events = events_of(tmp_path, answer(0, "Product List Viewed", "r1"), answer(1, "Order Completed", "r1", "i2"))
    assert became(outcomes(log, events)) == {"i1": "s", "i2": "sb"}


def test_what_comes_too_late_or_twice_or_of_a_browser_does_not_count(tmp_path: Path) -> None:
    log = log_of(tmp_path, logged(0, exposure("r1", "i1", "i2")))
    late = answer(0, "Product Clicked", "r1", "i1", at=AT + DAY)
    twice = answer(1, "Product Clicked", "r1", "i2")._replace(duplicate=True)
    events = events_of(tmp_path, late, twice, answer(2, "Order Completed", "r1", "i1", keyId="wk"))
    assert became(outcomes(log, events, within=DAY)) == {"i1": "b", "i2": ""}
    assert became(outcomes(log, events, within=DAY + 1, trusted_orders=True)) == {"i1": "c", "i2": ""}


def test_one_event_that_is_no_json_takes_no_frame_away(tmp_path: Path) -> None:
    log = log_of(tmp_path, logged(0, exposure("r1", "i1")))
    good = answer(0, "Product Clicked", "r1", "i1")
    bad = answer(1, "Product Clicked", "r1", "i1")._replace(value=b"\xff{")
    assert became(outcomes(log, events_of(tmp_path, good, bad))) == {"i1": "c"}
