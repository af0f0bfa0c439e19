"""Reads of states: sessions, sketches and quantiles, at their edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.contributions import bins, middle
from features.feature import count, distinct, quantile, recent, session, top
from features.table import table
from tests.features.folding import read
from tests.features.histories import DAY, HOUR, MINUTE, Happening, T, line

VIEW = "Product Viewed"
SESSIONS = table(
    (
        session("events", "events"),
        session("views", "events", VIEW),
        session("duration", "duration"),
        session("sessions", "sessions", (), "30d"),
        session("length", "mean duration", (), "30d"),
    )
)


def viewed(at: int, **columns: int | str) -> Happening:
    return Happening(VIEW, at, str(at), lines=(line("i", **columns),))


def test_a_session_ends_after_thirty_minutes_without_an_event() -> None:
    log = [viewed(T), viewed(T + 30 * MINUTE - 1), viewed(T + HOUR - 1), Happening("page", T + HOUR, "p")]
    found = read(SESSIONS, log)
    assert (found["events"], found["views"], found["duration"]) == (2, 1, 1)
    assert (found["sessions"], found["length"]) == (2, (30 * MINUTE - 1 + 1) / 2)


def test_a_session_is_over_once_nothing_came_for_thirty_minutes() -> None:
    log = [viewed(T), viewed(T + MINUTE)]
    assert read(SESSIONS, log, T + 31 * MINUTE - 1)["events"] == 2
    over = read(SESSIONS, log, T + 31 * MINUTE)
    assert (over["events"], over["duration"], over["sessions"]) == (0, 0, 1)


def test_a_session_of_more_than_a_day_is_seen_as_far_back_as_a_day() -> None:
    log = [viewed(T + n * 20 * MINUTE) for n in range(91)]
    now = T + 30 * HOUR + 10 * MINUTE
    seen = [event for event in log if event.time >= T + 6 * HOUR]  # 06:10 is in the half-hour that begins at 06:00
    found = read(SESSIONS, log, now)
    assert (found["views"], found["duration"]) == (len(seen), 24 * HOUR)


def test_a_late_event_joins_two_sessions() -> None:
    log = [viewed(T), viewed(T + 50 * MINUTE), viewed(T + 25 * MINUTE)]
    assert read(SESSIONS, log)["sessions"] == 1
    assert read(SESSIONS, log[:2])["sessions"] == 2


def test_distinct_values_are_exact_up_to_256_and_near_beyond() -> None:
    features = table((distinct("brands", VIEW, by="brand"),))
    log = [Happening(VIEW, T, str(n), lines=(line("i", brand=f"b{n}"),)) for n in range(5_000)]
    for number in (1, 255, 256):
        assert read(features, log[:number])["brands"] == number
    for number in (257, 1_000, 5_000):
        assert read(features, log[:number])["brands"] == pytest.approx(number, rel=0.18)


def test_distinct_values_leave_a_window_with_their_last_event() -> None:
    features = table((distinct("brands_7d", VIEW, "7d", by="brand"),))
    log = [viewed(T, brand="a"), viewed(T + 1, brand="b"), viewed(T + 6 * DAY, brand="a")]
    assert read(features, log)["brands_7d"] == 2
    assert read(features, log, T + 8 * DAY)["brands_7d"] == 1


@given(st.integers(1, 2**44))
def test_a_bin_is_within_a_thirtieth_of_every_number_in_it(number: int) -> None:
    found = middle(bins(np.array([number])))
    assert found[0] == pytest.approx(number, rel=1 / 31)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=60), st.floats(0.01, 0.99))
def test_a_quantile_is_near_the_true_one(prices: list[int], q: float) -> None:
    features = table((quantile("price", VIEW, "7d", of="price", q=q),))
    log = [Happening(VIEW, T, str(n), lines=(line("i", price=price),)) for n, price in enumerate(prices)]
    true = np.quantile(prices, q, method="inverted_cdf")
    assert read(features, log)["price"] == pytest.approx(float(true), rel=1 / 31)


def test_midnight_and_monday_are_habits_like_any_other() -> None:
    features = table(
        (top("hour", VIEW, "7d", by="hour", dtype="int"), top("day", VIEW, "7d", by="weekday", dtype="int"))
    )
    monday = T + 4 * DAY  # 2026-01-05
    assert read(features, [viewed(monday)]) == {"hour": 0, "day": 0}


def test_a_window_lets_go_without_another_event() -> None:
    features = table(tuple(count(f"views_{w}", VIEW, w) for w in ("1h", "24h", "7d", "90d")))
    for later, expected in ((0, 4), (2 * HOUR, 3), (2 * DAY, 2), (9 * DAY, 1), (92 * DAY, 0)):
        found = read(features, [viewed(T)], T + later)
        assert sum(found.values()) == expected


def test_on_the_first_of_a_month_older_tiles_are_still_there_for_other_windows() -> None:
    features = table((count("views_24h", VIEW, "24h"), count("views_month", VIEW, "month")))
    first = T + 31 * DAY  # 2026-02-01
    assert read(features, [viewed(first - HOUR), viewed(first + HOUR)]) == {"views_24h": 2, "views_month": 1}


def test_touches_of_one_moment_have_an_order_of_their_own() -> None:
    features = table((recent("touches", (VIEW, "Product Added"), 10),))
    log = [
        Happening(name, T, f"{name}{item}", lines=(line(item),)) for name in (VIEW, "Product Added") for item in "abc"
    ]
    assert read(features, log) == read(features, log[::-1])
