"""Frames say which items were viewed one after the other as far as was known then."""

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.feature import about, count
from features.offline import training_frame
from features.table import table
from tests.features import naive
from tests.features.histories import ITEMS, MINUTE, Happening, T, line, logs
from tests.features.offline.frame_logs import duplicates, plain, small, written

BESIDE = table(about("item", count("beside", "Product Viewed", "7d", by="beside")))


def view(item: str, time: int, available: int = -1) -> Happening:
    return Happening("Product Viewed", time, item, "u:1", time, max(time, available), lines=(line(item),))


def beside(frame: pd.DataFrame) -> dict[tuple[str, int], Any]:
    return {(str(row["item_id"]), int(row["as_of"])): plain(BESIDE, row)["beside"] for row in frame.to_dict("records")}


def asked(*moments: int) -> pd.DataFrame:
    return pd.DataFrame([(item, at) for at in moments for item in (*ITEMS, "none")], columns=["item_id", "as_of"])


@pytest.mark.parametrize("parts", [0, 3])
def test_a_late_view_takes_two_apart_once_it_is_known(tmp_path: Path, parts: int) -> None:
    spade, lamp, pot = view("spade", T), view("lamp", T + MINUTE, T + 9 * MINUTE), view("pot", T + 2 * MINUTE)
    log, moments = written(tmp_path, [spade, pot, lamp]), (T, T + 3 * MINUTE, T + 9 * MINUTE)
    with small(parts or 1):
        found = beside(training_frame(log, asked(*moments), ["beside"], BESIDE))
        final = beside(training_frame(log, asked(*moments), ["beside"], BESIDE, "final"))
    before, after, late = moments
    assert [found[item, before] for item in ("spade", "lamp", "pot")] == [{}, {}, {}]
    assert [found[item, after] for item in ("spade", "lamp", "pot")] == [{"pot": 1}, {}, {"spade": 1}]
    assert [found[item, late] for item in ("spade", "pot")] == [{"lamp": 1}, {"lamp": 1}]
    assert found["lamp", late] == final["lamp", after] == {"pot": 1, "spade": 1}
    assert final["spade", after] == {"lamp": 1}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(log=logs(within_a_day=True, size=40), parts=st.sampled_from([0, 3]))
def test_at_any_moment_they_are_what_the_definition_means_of_all_that_was_known(
    log: list[Happening], parts: int
) -> None:
    moments = sorted({event.available for event in log})
    with tempfile.TemporaryDirectory() as folder, small(parts or 1):
        found = beside(training_frame(written(Path(folder), log, len(log) // 2), asked(*moments), ["beside"], BESIDE))
    counted = [event for event, again in zip(log, duplicates(log), strict=True) if not again]
    for (item, now), value in found.items():
        known = [event for event in counted if event.available <= now and event.name in naive.NAMES]
        assert value == naive.viewed_together(known, item, now, 7)
