"""The fold: a state is a function of the events, whatever their order, and each counts once."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.aging import SKETCH
from features.contributions import sub_of
from features.definitions import FEATURES
from features.feature import count, distinct, first, latest, mean, recent, total
from features.folds import SEEN, SEEN_MS, fold, state_of
from features.packing import unpack
from features.states import RECENT, no_states
from features.table import table
from features.weights import WEIGHTS
from tests.features.folding import counts, folded, read
from tests.features.histories import DAY, HOUR, MINUTE, Happening, Line, T, columns, line

ORDER, REFUND, VIEW = "Order Completed", "Order Refunded", "Product Viewed"
TABLE = table(
    (
        count("views", VIEW),
        count("views_1h", VIEW, "1h"),
        count("orders", ORDER),
        count("event_counts", (), by="event"),
        total("spend", ORDER, of="cents", by="currency"),
        total("bought", ORDER, of="pieces", by="item"),
        total("returned", REFUND, of="pieces", by="item"),
        total("liked", tuple(WEIGHTS), of="weight", by="category"),
        latest("last_seen", ()),
        first("first_seen", ()),
        recent("touches", tuple(WEIGHTS), 100),
    )
)


def viewed(item: str, at: int, message: str | None = None, received: int = -1, **texts: str) -> Happening:
    return Happening(VIEW, at, message or f"view-{at}", received=received, lines=(line(item, **texts),))


def ordered(at: int, *lines: Line, name: str = ORDER, currency: str = "GBP", message: str | None = None) -> Happening:
    texts = {"currency": currency} if currency else {}
    return Happening(name, at, message or f"{name}-{at}", texts=texts, lines=lines)


def state(*log: Happening) -> bytes:
    (packed,) = folded(TABLE, {}, log).values()
    return packed


def test_features_computed_by_hand() -> None:
    spade, lamp = line("spade", price=1_999, pieces=2, category="garden"), line("lamp", price=500, category="home")
    found = read(
        TABLE,
        [
            viewed("spade", T, category="garden"),
            viewed("lamp", T + 1, category="home"),
            Happening("Product Added", T + 2, "add", lines=(line("spade", category="garden"),)),
            ordered(T + 3, spade, lamp),
            ordered(T + 4, line("spade", price=1_999, category="garden"), name=REFUND),
            Happening("Products Searched", T + 5, "search"),
        ],
    )
    assert found["event_counts"] == {
        "Order Completed": 1,
        "Order Refunded": 1,
        "Product Added": 1,
        "Product Viewed": 2,
        "Products Searched": 1,
    }
    assert found["touches"] == [
        (T + 4, "spade", "Order Refunded"),
        *[(T + 3, item, "Order Completed") for item in sorted(("spade", "lamp"), key=sub_of)],
        (T + 2, "spade", "Product Added"),
        (T + 1, "lamp", "Product Viewed"),
        (T, "spade", "Product Viewed"),
    ]
    assert (found["bought"], found["returned"]) == ({"lamp": 1, "spade": 2}, {"spade": 1})
    assert found["liked"] == {"garden": 1 + 3 + 5 - 5, "home": 1 + 5}
    assert found["spend"] == {"GBP": 2 * 1_999 + 500}
    assert (found["orders"], found["first_seen"], found["last_seen"]) == (1, T, T + 5)


def test_a_duplicate_counts_once_and_changes_nothing() -> None:
    event = ordered(T, line("i", price=100), message="m")
    once = state(event)
    assert not counts(TABLE, once, event)
    assert not counts(TABLE, once, viewed("another", T + HOUR, message="m"))
    assert state(event, event, viewed("another", T + HOUR, message="m")) == once


def test_a_message_id_counts_again_after_a_day_and_not_before() -> None:
    once = state(viewed("i", T, message="m"))
    assert not counts(TABLE, once, viewed("i", T, message="m", received=T + SEEN_MS))
    assert counts(TABLE, once, viewed("i", T, message="m", received=T + SEEN_MS + 1))


def test_the_window_goes_by_arrival_whatever_the_event_says_of_itself() -> None:
    once = state(viewed("i", T - 400 * DAY, message="m", received=T))
    assert not counts(TABLE, once, viewed("i", T, message="m", received=T + HOUR))


def test_more_message_ids_than_are_kept_forget_the_oldest() -> None:
    events = [viewed("i", T + n, message=str(n)) for n in range(SEEN + 1)]
    packed = state(*events)
    assert len(unpack([packed]).seen.message) == SEEN
    assert not counts(TABLE, packed, events[1])
    assert counts(TABLE, packed, events[0])


def test_another_customers_message_id_is_no_duplicate() -> None:
    mine, theirs = viewed("i", T, message="m"), replace(viewed("i", T, message="m"), customer="u:2")
    owner = np.array([0, 1, 1])
    counted = fold(TABLE, unpack([None, None]), columns([mine, theirs, theirs]), owner).counted
    assert counted.tolist() == [True, True, False]


def test_a_late_event_counts_at_the_time_it_happened() -> None:
    log = [viewed("b", T + 2 * HOUR), viewed("a", T, received=T + 3 * HOUR)]
    found = read(TABLE, log)
    assert found["touches"] == [(T + 2 * HOUR, "b", VIEW), (T, "a", VIEW)]
    assert (found["first_seen"], found["last_seen"], found["views"]) == (T, T + 2 * HOUR, 2)
    assert found["views_1h"] == 1


def test_an_event_at_the_very_beginning_of_1970_is_the_first_in_any_order() -> None:
    early, late = viewed("a", 0, received=T), viewed("b", 5, received=T)
    assert state(early, late) == state(late, early)
    assert read(TABLE, [late, early])["first_seen"] == 0


def test_a_refund_before_its_order_comes_to_the_same() -> None:
    lines = line("i", price=250, pieces=2, category="c")
    order, refund = ordered(T, lines), ordered(T + 1, lines, name=REFUND)
    assert state(order, refund) == state(refund, order)
    found = read(TABLE, [refund, order])
    assert (found["bought"], found["returned"], found["liked"]) == ({"i": 2}, {"i": 2}, {"c": 0})


def test_money_is_kept_by_currency_and_without_one_apart() -> None:
    lines = line("i", price=100)
    found = read(TABLE, [ordered(T, lines), ordered(T + 1, lines, currency="EUR"), ordered(T + 2, lines, currency="")])
    assert found["spend"] == {"": 100, "EUR": 100, "GBP": 100}


def test_an_unknown_name_moves_nothing_and_is_known_as_a_duplicate() -> None:
    event = Happening("Carried Home", T, "m", lines=(line("i"),))
    packed = state(event)
    assert not counts(TABLE, packed, event)
    assert unpack([packed]).cells.key.tolist() == []
    assert read(TABLE, [event])["last_seen"] is None
    assert not len(state_of(TABLE, no_states(1), columns([event]), np.zeros(1, np.int64)).cells.key)


def test_other_types_than_track_are_counted() -> None:
    assert read(TABLE, [Happening("identify", T, "m")])["event_counts"] == {"identify": 1}


def test_a_state_keeps_the_newest_hundred_touches_and_the_names_they_need() -> None:
    only_touches = table((recent("touches", tuple(WEIGHTS), 100),))
    log = [viewed(f"item-{n}", T + n) for n in range(RECENT + 20)]
    (packed,) = folded(only_touches, {}, log).values()
    found = unpack([packed])
    assert (len(found.touches.time), len(found.names.sub)) == (RECENT, RECENT)
    assert read(only_touches, log)["touches"][0] == (T + RECENT + 19, f"item-{RECENT + 19}", VIEW)


def test_names_go_with_the_last_cell_that_is_called_so() -> None:
    features = table((count("by_category_7d", VIEW, "7d", by="category"),))
    old = viewed("i", T, category="old")
    stays, late = viewed("i", T + 9 * DAY, category="new"), viewed("i", T + 1, "late", category="late")
    for log in ([old, stays, late], [stays, old, late], [late, stays]):
        packed: dict[str, bytes] = {}
        for event in log:  # a batch each
            packed |= folded(features, packed, [event])
        names = unpack(list(packed.values())).names
        assert b"old" not in names.heap.tobytes()
        assert b"late" not in names.heap.tobytes()
        assert packed == folded(features, {}, log)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(range(50, 1_000, 50)), min_size=1, max_size=5), st.integers(0, 2**32))
def test_a_flood_of_keys_is_bounded_whatever_the_batches(cuts: list[int], seed: int) -> None:
    features = table((count("by_category_7d", VIEW, "7d", by="category"), distinct("brands", VIEW, by="brand")))
    random = np.random.default_rng(seed)  # most keys come early and are forgotten before the end
    days = sorted([*random.integers(0, 3, 800).tolist(), *random.integers(3, 12, 200).tolist()])
    log = [viewed("i", T + day * DAY, str(n), T, category=f"c{n}", brand=f"b{n}") for n, day in enumerate(days)]
    whole = folded(features, {}, log)
    packed: dict[str, bytes] = {}
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(log)], strict=True):
        if begin < end:
            packed |= folded(features, packed, log[begin:end])
    assert packed == whole
    week = [f"c{n}" for n, day in enumerate(days) if day >= max(days) - 7]
    found = read(features, log)
    assert set(sorted(week, key=sub_of)[:SKETCH]) <= found["by_category_7d"].keys()
    assert found["brands"] == pytest.approx(1_000, rel=0.2)
    assert len(unpack(list(whole.values())).cells.key) < 6 * SKETCH


def test_a_category_of_any_length_survives() -> None:
    long = "c" * 100_000
    assert read(TABLE, [viewed("i", T, category=long)])["liked"] == {long: 1}


def test_absurd_prices_never_make_a_state_that_cannot_be_stored() -> None:
    lines = [line("i", cents=2**62)] * 2_000
    found = read(TABLE, [ordered(T + n, *lines) for n in range(3)])
    assert found["spend"] == {"GBP": 3 * 2_000 * 2**44}


def test_nobody_has_the_default_of_every_feature() -> None:
    found = read(TABLE, [Happening("Carried Home", T, "m")])
    assert found == {name: feature.default for name, feature in TABLE.features.items()}


def test_a_feature_is_one_more_line_of_the_table() -> None:
    extra = mean("mean_discount_7d", ORDER, "7d", of="discount", unit="minor units")
    features = table((*FEATURES.features.values(), extra))
    log = [Happening(ORDER, T + n * MINUTE, str(n), numbers={"discount": 100 * n}) for n in range(4)]
    assert read(features, log)["mean_discount_7d"] == (0 + 100 + 200 + 300) / 4
    assert features.generation != FEATURES.generation
