"""The fold: a state is a function of the events, whatever their order, and each counts once."""

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from features.definitions import FEATURES, bought
from features.events import Event, Line, OrderProperties, ProductProperties, decode
from features.folds import BOUGHT, CATEGORIES, MOST_MONEY, RECENT, SEEN, SEEN_MS, Profile, fold, pack, unpack
from features.properties import AnyProperties, Properties

T = 1_767_225_600_000  # 2026-01-01
HOUR = 3_600_000


def happened(
    name: str, at: int, properties: Properties, message_id: str | None = None, received_at: int | None = None
) -> Event:
    return Event(
        message_id=message_id or f"{name}-{at}",
        type="track",
        name=name,
        customer="u:u1",
        user_id="u1",
        anonymous_id=None,
        event_time=at,
        received_at=at if received_at is None else received_at,
        properties=properties,
    )


def viewed(item: str, at: int, category: str | None = None, **fields: Any) -> Event:
    return happened("Product Viewed", at, ProductProperties(product_id=item, category=category), **fields)


def ordered(at: int, *lines: Line, name: str = "Order Completed", currency: str | None = "GBP", **fields: Any) -> Event:
    return happened(name, at, OrderProperties(order_id=f"o{at}", currency=currency, products=lines), **fields)


def folded(*events: Event) -> Profile:
    profile = Profile()
    for event in events:
        fold(profile, event)
    return profile


def test_a_profile_computed_by_hand() -> None:
    spade = Line(product_id="spade", price=19.99, quantity=2, category="garden")
    lamp = Line(product_id="lamp", price=5.0, category="home")
    profile = folded(
        viewed("spade", T, "garden"),
        viewed("lamp", T + 1, "home"),
        happened("Product Added", T + 2, ProductProperties(product_id="spade", category="garden")),
        ordered(T + 3, spade, lamp),
        ordered(T + 4, Line(product_id="spade", price=19.99, quantity=1, category="garden"), name="Order Refunded"),
        happened("Products Searched", T + 5, AnyProperties()),
    )
    assert profile.counts == {
        "Product Viewed": 2,
        "Product Added": 1,
        "Order Completed": 1,
        "Order Refunded": 1,
        "Products Searched": 1,
    }
    assert profile.recent == [
        (T + 4, "spade", "Order Refunded"),
        (T + 3, "spade", "Order Completed"),
        (T + 3, "lamp", "Order Completed"),
        (T + 2, "spade", "Product Added"),
        (T + 1, "lamp", "Product Viewed"),
        (T, "spade", "Product Viewed"),
    ]
    assert profile.bought == {"spade": (2 - 1, T + 4), "lamp": (1, T + 3)}
    assert profile.affinity == {"garden": 1 + 3 + 5 - 5, "home": 1 + 5}
    assert profile.spend == {"GBP": 2 * 1_999 + 500 - 1_999}
    assert (profile.orders, profile.first_seen, profile.last_seen) == (1, T, T + 5)
    assert {name: feature.read(profile) for name, feature in FEATURES.items()}["bought_items"] == {
        "spade": 1,
        "lamp": 1,
    }


def test_a_duplicate_counts_once_and_changes_nothing() -> None:
    event = ordered(T, Line(product_id="i", price=1.0), message_id="m")
    profile = folded(event)
    once = pack(profile)
    assert not fold(profile, event)
    assert not fold(profile, viewed("another", T + HOUR, message_id="m"))
    assert pack(profile) == once
    assert profile.has_seen("m")
    assert not profile.has_seen("n")


def test_a_message_id_counts_again_after_a_day_and_not_before() -> None:
    profile = folded(viewed("i", T, message_id="m"))
    assert not fold(profile, viewed("i", T, message_id="m", received_at=T + SEEN_MS))
    assert fold(profile, viewed("i", T, message_id="m", received_at=T + SEEN_MS + 1))


def test_the_window_goes_by_arrival_whatever_the_event_says_of_itself() -> None:
    profile = folded(viewed("i", T - 400 * 24 * HOUR, message_id="m", received_at=T))
    assert not fold(profile, viewed("i", T, message_id="m", received_at=T + HOUR))


def test_more_message_ids_than_are_kept_forget_the_oldest() -> None:
    events = [viewed("i", T + n, message_id=str(n)) for n in range(SEEN + 1)]
    profile = folded(*events)
    assert len(profile.seen) == SEEN
    assert not fold(profile, events[1])
    assert fold(profile, events[0])


def test_a_late_event_counts_at_the_time_it_happened() -> None:
    profile = folded(viewed("b", T + HOUR), viewed("a", T, received_at=T + 2 * HOUR))
    assert profile.recent == [(T + HOUR, "b", "Product Viewed"), (T, "a", "Product Viewed")]
    assert (profile.first_seen, profile.last_seen) == (T, T + HOUR)


def test_an_event_at_the_very_beginning_of_1970_is_the_first_in_any_order() -> None:
    early, late = viewed("a", 0), viewed("b", 5)
    assert pack(folded(early, late)) == pack(folded(late, early))
    assert folded(early, late).first_seen == 0


def test_a_refund_before_its_order_comes_to_the_same() -> None:
    order = ordered(T, Line(product_id="i", price=2.5, quantity=2, category="c"))
    refund = ordered(T + 1, Line(product_id="i", price=2.5, quantity=2, category="c"), name="Order Refunded")
    profile = folded(refund, order)
    assert pack(profile) == pack(folded(order, refund))
    assert (profile.spend, profile.orders, profile.bought["i"][0]) == ({"GBP": 0}, 1, 0)
    assert bought(profile) == set()


def test_money_is_kept_by_currency_and_without_one_apart() -> None:
    line = Line(product_id="i", price=1.0)
    profile = folded(ordered(T, line), ordered(T + 1, line, currency="eur"), ordered(T + 2, line, currency=None))
    assert profile.spend == {"GBP": 100, "EUR": 100, "": 100}


def test_an_unknown_name_moves_nothing_and_is_known_as_a_duplicate() -> None:
    profile = Profile()
    event = happened("Carried Home", T, AnyProperties())
    assert fold(profile, event)
    assert not fold(profile, event)
    assert (profile.counts, profile.recent, profile.last_seen) == ({}, [], 0)


def test_other_types_than_track_are_counted() -> None:
    event = decode(b'{"type":"identify","userId":"u1","messageId":"m"}', T)
    assert folded(event).counts == {"identify": 1}


def test_every_list_and_map_has_its_bound_and_keeps_the_newest_or_largest() -> None:
    lines = [Line(product_id=f"i{n:05}", category=f"c{n % (2 * CATEGORIES):03}") for n in range(BOUGHT)]
    profile = folded(ordered(T, *lines), ordered(T + 1, Line(product_id="new", category="c001")))
    assert (len(profile.recent), len(profile.bought), len(profile.affinity)) == (RECENT, BOUGHT, CATEGORIES)
    assert profile.recent[0] == (T + 1, "new", "Order Completed")
    assert "new" in profile.bought
    assert f"i{BOUGHT - 1:05}" not in profile.bought  # of equally old ones the last id goes
    assert max(profile.affinity, key=lambda category: profile.affinity[category]) == "c001"


def test_a_category_of_any_length_takes_little_room() -> None:
    assert len(pack(folded(viewed("i", T, "c" * 100_000)))) < 1_000


def test_absurd_prices_never_make_a_state_that_cannot_be_stored() -> None:
    lines = [Line(product_id="i", price=1e9, quantity=1e6)] * 2_000
    profile = folded(*(ordered(T + n, *lines) for n in range(3)))
    assert unpack(pack(profile)).spend == {"GBP": MOST_MONEY}


def test_a_state_survives_packing_and_nobody_has_an_empty_one() -> None:
    profile = folded(viewed("i", T, "c"), ordered(T, Line(product_id="i", price=1.0)))
    assert unpack(pack(profile)) == profile
    assert unpack(None) == Profile()
    assert fold(unpack(pack(profile)), viewed("i", T, "c")) is False


names = st.sampled_from(["Product Viewed", "Product Added", "Order Completed", "Order Refunded", "Unheard Of", "page"])
lines = st.builds(
    Line,
    product_id=st.sampled_from(["a", "b", "c"]),
    category=st.sampled_from([None, "x", "y"]),
    price=st.none() | st.floats(0, 100),
    quantity=st.none() | st.integers(1, 3).map(float),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Events that arrived within a day, each with a messageId of its own."""
    events = []
    for number in range(draw(st.integers(0, 30))):
        name, at = draw(names), draw(st.integers(0, 5) | st.integers(T - 90 * 24 * HOUR, T))
        properties: Properties = OrderProperties(currency="GBP", products=tuple(draw(st.lists(lines, max_size=3))))
        if name.startswith("Product"):
            properties = ProductProperties(product_id=draw(st.sampled_from(["a", "b"])), category="x")
        received = T + draw(st.integers(0, SEEN_MS))
        events.append(happened(name, at, properties, message_id=str(number), received_at=received))
    return events


@given(histories(), st.randoms(use_true_random=False))
def test_a_shuffled_log_with_duplicates_folds_to_the_same_bytes(events: list[Event], shuffler: random.Random) -> None:
    expected = pack(folded(*events))
    shuffled = events + shuffler.choices(events, k=len(events) // 2) if events else []
    shuffler.shuffle(shuffled)
    assert pack(folded(*shuffled)) == expected


@given(histories(), st.integers(0, 30))
def test_storing_a_state_in_between_changes_nothing(events: list[Event], cut: int) -> None:
    profile = unpack(pack(folded(*events[:cut])))
    for event in events[cut:]:
        fold(profile, event)
    assert pack(profile) == pack(folded(*events))
