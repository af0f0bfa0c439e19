"""Whatever the features and the log: what a store says of a customer at a moment is what the definitions mean.

The suite runs over stores. A store is a function of a table, a log and asks that gives the values of each ask; an ask
is of what had arrived by then, at that moment or later.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.checks import COMPARISONS, TEXTS
from features.columns import EVENT_NUMBERS, LINE_NUMBERS
from features.errors import BadFeature
from features.feature import (
    Feature,
    count,
    decayed,
    distinct,
    first,
    last,
    latest,
    least,
    mean,
    most,
    quantile,
    ratio,
    recent,
    session,
    share,
    since,
    top,
    total,
)
from features.packing import unpack
from features.profiles import Profile
from features.reading import evaluate, value_of
from features.states import merged
from features.table import Table, table
from features.weights import WEIGHTS
from tests.features import naive
from tests.features.folding import folded, values
from tests.features.histories import DAY, HOUR, MINUTE, Happening, logs


class Ask(NamedTuple):
    """All features of a customer (raw ids) at a moment, when the first `known` events of the log had arrived."""

    known: int
    now: int
    ids: tuple[str, ...]


Values = list[dict[str, Any]]
Store = Callable[[Table, Sequence[Happening], Sequence[Ask], Sequence[int]], Values]


def in_memory(features: Table, log: Sequence[Happening], asks: Sequence[Ask], cuts: Sequence[int]) -> Values:
    """States packed after every batch; batches end at the cuts and wherever something is asked."""
    found: dict[int, dict[str, bytes]] = {}
    packed: dict[str, bytes] = {}
    for begin, end in pairwise(sorted({0, *cuts, *(ask.known for ask in asks)})):
        packed = packed | folded(features, packed, log[begin:end])
        found[end] = packed
    return [_asked(features, found.get(ask.known, {}), ask) for ask in asks]


def alone(features: Table, log: Sequence[Happening], asks: Sequence[Ask], cuts: Sequence[int]) -> Values:
    """The same states read as requests read them."""
    found = []
    for ask in asks:
        packed: dict[str, bytes] = {}
        for begin, end in pairwise(sorted({0, ask.known, *(cut for cut in cuts if cut < ask.known)})):
            packed = packed | folded(features, packed, log[begin:end])
        profile = Profile([packed.get(each) for each in ask.ids], features)
        found.append(profile.features(ask.now, features.features))
    return found


def _asked(features: Table, packed: dict[str, bytes], ask: Ask) -> dict[str, Any]:
    parts = unpack([packed.get(each) for each in ask.ids])
    state = parts if parts.n == 1 else merged(features, parts, np.zeros(parts.n, np.int64), 1)
    return values(features, state, ask.now)


def among_others(features: Table, log: Sequence[Happening], asks: Sequence[Ask], cuts: Sequence[int]) -> Values:
    """The same, with all asks evaluated at once, as frames of the past are."""
    parts, group = [], []
    for number, ask in enumerate(asks):
        packed: dict[str, bytes] = {}
        for begin, end in pairwise(sorted({0, ask.known, *(cut for cut in cuts if cut < ask.known)})):
            packed = packed | folded(features, packed, log[begin:end])
        parts += [packed.get(each) for each in ask.ids]
        group += [number] * len(ask.ids)
    states = merged(features, unpack(parts), np.array(group, np.int64), len(asks))
    found = evaluate(features, states, np.array([ask.now for ask in asks]), features.features)
    return [
        {name: value_of(feature, found[name], row) for name, feature in features.features.items()}
        for row in range(len(asks))
    ]


STORES: dict[str, Store] = {"alone": alone, "in memory": in_memory, "among others": among_others}
EVENTS = st.sampled_from(
    ["Product Viewed", "Product Added", "Order Completed", "Order Refunded", "page", "Checkout Started", "Email Opened"]
)
NAMED = st.lists(EVENTS, max_size=2, unique=True).map(tuple)  # none at all are all events
WINDOWS = st.sampled_from(
    ["5m", "30m", "1h", "24h", "25h", "2d", "7d", "30d", "32d", "90d", "365d", "month", "last month", "7d before 7d",
     "1h before 1h", "30m before 20d", "5m before 40d", "30d before 335d"]
)  # fmt: skip
PLAIN = st.sampled_from(["5m", "1h", "24h", "7d", "30d", "90d", "365d", "month"])
NUMBER = st.sampled_from([*EVENT_NUMBERS, *LINE_NUMBERS])
TEXT = st.sampled_from(TEXTS)
NUMERIC = st.tuples(NUMBER, st.sampled_from(COMPARISONS), st.sampled_from([0, 1, 2, 100, 250]))
TEXTUAL = st.tuples(TEXT, st.sampled_from(["==", "!="]), st.sampled_from(["", "GBP", "garden", "mobile", "spade"]))
WHERE = st.none() | NUMERIC | TEXTUAL
OPTIONS = st.fixed_dictionaries({"where": WHERE})
NAME = st.just("")
CALENDAR = st.sampled_from(["hour", "weekday"])
KEY = TEXT | st.just("event")
HOURS = st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True).map(tuple)  # of a day, or days of a week
HALF_LIVES = st.sampled_from([0.5, 7.0, 14.0])


def _with(make: Callable[..., Feature], *arguments: st.SearchStrategy[Any], **named: Any) -> st.SearchStrategy[Feature]:
    options = st.fixed_dictionaries({"where": WHERE, **named})
    made = st.tuples(st.tuples(NAME, NAMED, *arguments), options).map(lambda given: make(*given[0], **given[1]))
    return made.map(_countable)


def _countable(feature: Feature) -> Feature:
    """Of all events, where those that it names can't have what it asks for: that is refused."""
    try:
        table([replace(feature, name="f")])
    except BadFeature:
        return replace(feature, events=())
    return feature


WEIGHED = st.sampled_from(["one", "weight"]) | NUMBER
ALWAYS = st.just("") | WINDOWS
SINGLE: st.SearchStrategy[Feature] = st.one_of(
    _with(count, ALWAYS),
    _with(count, ALWAYS, by=KEY),
    _with(count, PLAIN, by=CALENDAR),
    _with(total, ALWAYS, of=WEIGHED),
    _with(total, ALWAYS, of=WEIGHED, by=KEY),
    _with(least, ALWAYS, of=NUMBER),
    _with(most, ALWAYS, of=NUMBER),
    _with(mean, ALWAYS, of=NUMBER),
    _with(quantile, ALWAYS, of=NUMBER, q=st.sampled_from([0.1, 0.25, 0.5, 0.9])),
    _with(distinct, st.just("") | PLAIN, by=TEXT),
    _with(top, ALWAYS, by=KEY, of=WEIGHED),
    _with(top, WINDOWS, by=CALENDAR, of=WEIGHED),
    _with(share, WINDOWS, by=CALENDAR, keys=HOURS),
    _with(last, by=TEXT),
    _with(since),
    _with(latest),
    _with(first),
    _with(decayed, WINDOWS, by=TEXT, half_life_days=HALF_LIVES),
    st.builds(recent, NAME, st.sampled_from([tuple(WEIGHTS), ("Product Viewed",)]), st.integers(1, 100)),
    st.builds(session, NAME, st.just("events"), NAMED),
    st.builds(session, NAME, st.just("duration")),
    st.builds(
        session, NAME, st.sampled_from(["sessions", "mean duration"]), st.just(()), st.sampled_from(["2d", "30d"])
    ),
)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Any features of customers, some over several windows of the same series, some computed from others."""
    features = draw(st.lists(SINGLE, min_size=6, max_size=16))
    for feature in [each for each in features if each.kind in {"sum", "min", "max", "top"} and each.window]:
        features += [replace(feature, window=each) for each in draw(st.lists(WINDOWS, max_size=2))]
    features = [_named(feature, at) for at, feature in enumerate(features)]
    numbers = [feature.name for feature in features if feature.dtype in {"int", "float"}]
    for number in range(draw(st.integers(0, 2)) if numbers else 0):
        parts = draw(st.tuples(st.sampled_from(numbers), st.sampled_from(numbers)))
        features.append(ratio(f"r{number}", *parts, scale=draw(st.sampled_from([1.0, 1000.0]))))
    return table(features)


def _named(feature: Feature, number: int) -> Feature:
    return replace(feature, name=f"f{number}")


@st.composite
def asked(draw: st.DrawFn, log: Sequence[Happening]) -> list[Ask]:
    """Asks between arrivals and up to 400 days after the last one."""
    later = st.sampled_from([0, 1, 5 * MINUTE, 29 * MINUTE, HOUR, DAY, 8 * DAY, 31 * DAY, 95 * DAY, 400 * DAY])
    ids = st.sampled_from([("u:1",), ("u:2",), ("u:1", "a:1"), ("a:1", "u:1", "u:2"), ("u:nobody",)])
    asks = []
    for _ in range(draw(st.integers(1, 4))):
        known = draw(st.integers(1, len(log)))
        now = log[known - 1].available + draw(later)
        asks.append(Ask(known, now, draw(ids)))
    return asks


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Table, list[Happening], list[Ask], list[int]]:
    """A table, a log, asks, and where batches end."""
    log = draw(logs())
    return draw(tables()), log, draw(asked(log)), draw(st.lists(st.integers(1, len(log)), max_size=4))


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(_same(left[k], right[k]) for k in left)
    if isinstance(left, float) and isinstance(right, int | float):
        return left == pytest.approx(right, rel=1e-9, abs=1e-9)
    return type(left) is type(right) and bool(left == right)


def check_parity(store: Store, world: tuple[Table, list[Happening], list[Ask], list[int]]) -> None:
    """The store says what the definitions mean."""
    features, log, asks, cuts = world
    for ask, found in zip(asks, store(features, log, asks, cuts), strict=True):
        events = naive.known(log[: ask.known], ask.ids)
        for name, feature in features.features.items():
            expected = naive.value(features.features, name, events, ask.now)
            assert _same(found[name], expected), f"{feature}\nat {ask}: {found[name]!r}, should be {expected!r}"


QUICK = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(QUICK, max_examples=250)


@pytest.mark.parametrize("store", STORES.values(), ids=STORES)
@QUICK
@given(world=worlds())
def test_a_store_says_what_the_definitions_mean(
    store: Store, world: tuple[Table, list[Happening], list[Ask], list[int]]
) -> None:
    check_parity(store, world)


@pytest.mark.slow
@pytest.mark.parametrize("store", STORES.values(), ids=STORES)
@LONG
@given(world=worlds())
def test_a_store_says_what_the_definitions_mean_in_many_more_worlds(
    store: Store, world: tuple[Table, list[Happening], list[Ask], list[int]]
) -> None:
    check_parity(store, world)


@QUICK
@given(features=tables(), log=logs(), cuts=st.lists(st.integers(1, 24), max_size=6))
def test_where_batches_end_cannot_be_seen_in_a_state(features: Table, log: list[Happening], cuts: list[int]) -> None:
    whole = folded(features, {}, log)
    packed: dict[str, bytes] = {}
    for begin, end in pairwise(sorted({0, *(cut for cut in cuts if cut < len(log)), len(log)})):
        packed |= folded(features, packed, log[begin:end])
    assert packed == whole


@QUICK
@given(features=tables(), log=logs(within_a_day=True), shuffler=st.randoms(use_true_random=False))
def test_the_order_of_a_log_cannot_be_seen_in_a_value(
    features: Table, log: list[Happening], shuffler: random.Random
) -> None:
    shuffled = [*log, *shuffler.choices(log, k=len(log) // 2)]
    shuffler.shuffle(shuffled)
    states = [folded(features, {}, each) for each in (log, shuffled)]
    for ids in (("u:1",), ("u:1", "u:2", "a:1")):
        one, other = (_asked(features, packed, Ask(0, log[-1].available, ids)) for packed in states)
        assert _same(one, other)
