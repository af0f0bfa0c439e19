"""Windows: where each begins and ends, and that the tiles kept are enough for all of them at any moment."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import BadFeature
from features.windows import DAY, HOUR, TILE_MS, Window, window

T = int(datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC).timestamp() * 1000)


def edges(text: str, now: int) -> tuple[str, str | None]:
    """Both edges of a window; no end where it ends now."""
    span = window(text)
    start, end = int(span.start(np.array([now]))[0]), int(span.end(np.array([now]))[0])
    return clock(start), None if end == 2**24 - 1 else clock(end)


def clock(tile: int) -> str:
    return datetime.fromtimestamp(tile * TILE_MS / 1000, UTC).strftime("%m-%d %H:%M")


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("5m", "03-01 12:25", None),
        ("1h", "03-01 11:30", None),
        ("24h", "02-28 12:30", None),
        ("25h", "02-28 11:00", None),
        ("7d", "02-22 12:00", None),
        ("31d", "01-29 12:00", None),
        ("32d", "01-28 00:00", None),
        ("month", "03-01 00:00", None),
        ("last month", "02-01 00:00", "03-01 00:00"),
        ("7d before 7d", "02-15 12:00", "02-22 12:00"),
        ("1h before 1h", "03-01 10:30", "03-01 11:30"),
    ],
)
def test_a_window_is_a_sawtooth_with_a_hop_that_suits_its_length(text: str, start: str, end: str | None) -> None:
    assert edges(text, T) == (start, end)


@pytest.mark.parametrize("text", ["0m", "4m", "7m", "367d", "7d before 400d", "-1d", "1w", "7d before", "d", "7 d"])
def test_a_window_that_cannot_be_kept_is_refused(text: str) -> None:
    with pytest.raises(BadFeature) as refused:
        window(text)
    assert refused.value.field == "window"


windows = st.one_of(
    st.builds(lambda n: window(f"{n * 5}m"), st.integers(1, 288)),
    st.builds(lambda n, ago: window(f"{n}d before {ago}d"), st.integers(1, 366), st.integers(1, 366)),
    st.sampled_from([window("month"), window("last month")]),
)


@given(windows, st.integers(T, T + 800 * DAY * TILE_MS), st.integers(0, 800 * DAY * TILE_MS))
def test_a_window_never_moves_back_and_lies_on_its_hop(span: Window, now: int, later: int) -> None:
    first, last = (int(span.start(np.array([at]))[0]) for at in (now, now + later))
    assert first <= last
    assert first % span.hop == 0
    assert span.hop in {1, HOUR, DAY}


@given(windows | st.just(window("")), st.integers(0, T + 800 * DAY * TILE_MS))
def test_the_edges_of_one_moment_are_those_of_many(span: Window, now: int) -> None:
    assert span.edges(now) == (span.start(np.array([now]))[0], span.end(np.array([now]))[0])
