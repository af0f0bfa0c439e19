"""A glance at a state says what its features say, and refuses other bytes as they do."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.cells import Cells
from features.definitions import FEATURES
from features.errors import BrokenState
from features.feature import count
from features.glance import Glance
from features.packing import pack
from features.profiles import Profile
from features.states import no_states
from features.table import Table, table
from tests.features.folding import folded
from tests.features.histories import DAY, Happening, T, line, logs

QUICK = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=60)


def said(profile: Profile) -> tuple[object, ...]:
    """Everything that a slate asks of a profile."""
    last = tuple(profile.last(name) for name in ("country", "device"))
    return profile.last_seen, profile.recent, profile.bought(), profile.history(), last


def said_by_features(packed: bytes, features: Table = FEATURES) -> tuple[object, ...]:
    """The same by reading features of the whole state."""
    slow = Profile([packed], features)
    slow._glance = None
    return said(slow)


@QUICK
@given(logs())
def test_a_glance_says_what_the_features_say(log: list[Happening]) -> None:
    for packed in folded(FEATURES, {}, log).values():
        assert said(Profile([packed])) == said_by_features(packed)


def test_where_and_with_what_somebody_was_seen_last_is_told_at_a_glance() -> None:
    log = [
        Happening("page", T + at, f"m{at}", texts={"country": country, "device": "mobile"})
        for at, country in ((0, "FR"), (9, "GB"), (5, "DE"))
    ]
    (packed,) = folded(FEATURES, {}, log).values()
    assert [Profile([packed]).last(name) for name in ("country", "device", "no such feature")] == ["GB", "mobile", ""]
    assert Profile().last("country") == ""


@QUICK
@given(logs())
def test_what_a_state_has_nothing_of_has_the_default(log: list[Happening]) -> None:
    names = [name for name, plan in FEATURES.plans.items() if plan and FEATURES.features[name].entity == "customer"]
    for packed in folded(FEATURES, {}, log).values():
        profile = Profile([packed])
        absent = [name for name in names if not profile.has(name)]
        assert profile.features(T, absent) == {name: FEATURES.features[name].default for name in absent}
        assert profile.has("last_seen") == (profile.last_seen > 0)  # an event of an unknown name moves nothing


def test_many_items_long_and_foreign_names_and_old_touches_are_read_alike() -> None:
    texts = ["c" * 254, "c" * 255, "é" * 300, *(f"item {n}" for n in range(400))]
    log = [
        Happening("Order Completed", T - 60 * DAY, "m", lines=tuple(line(text, pieces=3) for text in texts)),
        Happening("Order Refunded", T - 59 * DAY, "r", lines=tuple(line(text, pieces=3) for text in texts[::3])),
        Happening("Product Viewed", T, "n", lines=(line("item 1"), line("é" * 300))),
    ]
    for some in (log, log[:1], log[2:]):
        (packed,) = folded(FEATURES, {}, some).values()
        assert said(Profile([packed])) == said_by_features(packed)
    assert Profile([packed]).history()[0][3] == T


@QUICK
@given(
    st.dictionaries(st.integers(1, 2**64 - 1), st.integers(-(2**63), 2**63 - 1), max_size=60),
    st.integers(-(2**41), 2**41),
)
def test_the_newest_event_of_any_cells_is_found(cells: dict[int, int], newest: int) -> None:
    key = np.array([0, *sorted(cells)], np.uint64)
    value = np.array([newest, *(cells[each] for each in sorted(cells))], np.int64)
    states = no_states(1)._replace(cells=Cells(np.array([0, len(key)]), key, value))
    assert Glance(pack(states)[0]).newest == newest


def test_nobody_did_nothing() -> None:
    for profile in (Profile(), Profile([None]), Profile(pack(no_states(1)))):
        assert said(profile) == (0, [], set(), [], ("", ""))


def test_definitions_that_mean_something_else_are_read_as_they_say() -> None:
    features = FEATURES.features
    within = {"bought_items": replace(features["bought_items"], window="30d")}
    viewed = {"recent_items": replace(features["recent_items"], events=("Product Viewed",))}
    log = [
        Happening("Order Completed", T - 60 * DAY, "m", lines=(line("old"),)),
        Happening("Product Added", T, "n", lines=(line("new"),)),
    ]
    for changed, expected in ((within, ({"new", "old"}, set())), (viewed, (set(), {"old"}))):
        other = table((features | changed).values())
        (packed,) = folded(other, {}, log).values()
        profile = Profile([packed], other)
        assert ({item for _, item, _ in profile.recent}, profile.bought()) == expected
    assert not table([count("views_1h", "Product Viewed", "1h")]).glanced


@pytest.mark.parametrize("part", range(0, 40, 5))
def test_bytes_that_end_early_or_were_changed_are_refused_or_read(part: int) -> None:
    log = [
        Happening("Order Completed", T, "m", lines=tuple(line(f"item {n}") for n in range(20))),
        Happening("Product Viewed", T, "n", lines=(line("x"),)),
    ]
    (packed,) = folded(FEATURES, {}, log).values()
    with pytest.raises(BrokenState):
        Profile([packed[: len(packed) * part // 40 or 1]])
    random = np.random.default_rng(part)
    for _ in range(50):
        wrong = bytearray(packed)
        wrong[random.integers(len(wrong))] = random.integers(256)
        with suppress(BrokenState):
            said(Profile([bytes(wrong)]))
