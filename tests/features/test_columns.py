"""Events as columns: what each one holds, and that taking and joining them loses nothing."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from features.columns import (
    EVENT_NUMBERS,
    EVENT_TEXTS,
    LINE_NUMBERS,
    LINE_TEXTS,
    MISSING,
    NAMES,
    Events,
    Text,
    concat,
    empty,
)
from features.decoded import from_events
from features.events import ProductProperties, decode, message_hash

T = 1_767_225_600_000


def track(name: str = "Product Viewed", **message: Any) -> bytes:
    return json.dumps({"type": "track", "userId": "u1", "messageId": "m", "event": name} | message).encode()


def order(*lines: dict[str, Any], **properties: Any) -> bytes:
    return track("Order Completed", properties={"order_id": "o", "currency": "GBP", "products": lines} | properties)


def columns(*raws: bytes) -> Events:
    return from_events([decode(raw, T) for raw in raws], [T] * len(raws))


def rows(events: Events) -> list[tuple[Any, ...]]:
    """The same events in plain values, whatever codes their texts have."""
    line_columns = [column.tolist() for _, column in sorted(events.line_numbers.items())]
    line_columns += [column.texts() for _, column in sorted(events.line_texts.items())]
    lines: list[list[tuple[Any, ...]]] = [[] for _ in range(events.n)]
    for at, *line in zip(events.line_of.tolist(), *line_columns, strict=True):
        lines[at].append(tuple(line))
    flat = [events.customer.texts(), events.name.tolist(), events.time.tolist(), events.received.tolist()]
    flat += [events.available.tolist(), events.message.tolist()]
    flat += [column.tolist() for _, column in sorted(events.numbers.items())]
    flat += [column.texts() for _, column in sorted(events.texts.items())]
    return list(zip(*flat, lines, strict=True))


def line(event: Events) -> dict[str, Any]:
    numbers = {name: column.tolist() for name, column in event.line_numbers.items()}
    return numbers | {name: column.texts() for name, column in event.line_texts.items()}


def test_each_column_holds_what_the_event_says() -> None:
    raw = order(
        {"product_id": 7, "price": 1.25, "quantity": 3, "category": "c", "brand": "b", "variant": "v"},
        {"sku": "s", "quantity": 0.4},
        {"name": "no item"},
        total=10, discount="0.5", shipping=2.5, tax=0, coupon="WINTER",
    )  # fmt: skip
    events = columns(track(messageId="x", properties={"product_id": "i"}), raw)
    assert events.customer.texts() == ["u:u1", "u:u1"]
    assert [NAMES[code] for code in events.name] == ["Product Viewed", "Order Completed"]
    assert events.message.tolist() == [message_hash("x"), message_hash("m")]
    assert {name: column.tolist() for name, column in events.numbers.items()} == {
        "total": [MISSING, 1_000], "discount": [MISSING, 50], "shipping": [MISSING, 250], "tax": [MISSING, 0],
    }  # fmt: skip
    assert (events.texts["currency"].texts(), events.texts["coupon"].texts()) == (["", "GBP"], ["", "WINTER"])
    assert events.line_of.tolist() == [0, 1, 1]
    assert line(events) == {
        "pieces": [1, 3, 1], "cents": [MISSING, 375, MISSING], "price": [MISSING, 125, MISSING],
        "item": ["i", "7", "s"], "category": ["", "c", ""], "brand": ["", "b", ""], "variant": ["", "v", ""],
        "name": ["", "", ""],
    }  # fmt: skip


def test_an_event_about_no_item_has_no_lines() -> None:
    event = structs.replace(decode(track(properties={"product_id": "i"}), T), properties=ProductProperties())
    assert from_events([event], [T]).line_texts["item"].texts() == [line.item_id for line in event.lines] == []


def test_the_total_is_the_revenue_where_there_is_no_total() -> None:
    assert columns(order(total=3, revenue=2), order(revenue=2), order()).numbers["total"].tolist() == [
        300,
        200,
        MISSING,
    ]


@pytest.mark.parametrize(
    ("currency", "price", "quantity", "cents"),
    [
        ("JPY", 1500, 2, 3_000),
        ("jpy", 0.5, 1, 0),  # half to even
        ("KWD", 1.2345, 1, 1_234),  # the nearest float lies below 1.2345
        ("GBP", 0.29, 1, 29),
        ("GBP", 2.0, 2.5, 500),
        ("", 19.99, 3, 5_997),
        ("XYZ", 1e9, 1e6, 10**17),
        ("KWD", 1e9, 999_999, 10**12 * 999_999),
        ("GBP", 999_999_999.99, 999_999, 99_999_999_999 * 999_999),  # more digits than a float holds
    ],
)
def test_a_line_has_the_minor_units_of_its_currency_in_columns_as_alone(
    currency: str, price: float, quantity: float, cents: int
) -> None:
    event = decode(order({"product_id": "i", "price": price, "quantity": quantity}, currency=currency), T)
    assert [alone.cents(event.currency) for alone in event.lines] == [cents]
    assert from_events([event], [T]).line_numbers["cents"].tolist() == [cents]


@given(st.floats(0, 1e9), st.floats(0.001, 1e6), st.sampled_from(["GBP", "JPY", "KWD", ""]))
def test_money_in_columns_is_money_alone(price: float, quantity: float, currency: str) -> None:
    event = decode(order({"product_id": "i", "price": price, "quantity": quantity}, currency=currency), T)
    events, alone = from_events([event], [T]), event.lines[0]
    assert events.line_numbers["cents"].tolist() == [alone.cents(event.currency)]
    assert events.line_numbers["pieces"].tolist() == [alone.pieces]


IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148 Safari/604.1"
IPAD = "Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) Mobile/15E148"
ANDROID_TABLET = "Mozilla/5.0 (Linux; Android 13; SM-X700) Chrome/120"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120"


@pytest.mark.parametrize(
    ("context", "column", "read"),
    [
        ({"device": {"type": "TABLET"}, "userAgent": WINDOWS}, "device", "tablet"),
        ({"device": {"type": "ios"}}, "device", "mobile"),
        ({"device": {"type": None}, "userAgent": IPHONE}, "device", "mobile"),
        ({"userAgent": IPAD}, "device", "tablet"),
        ({"userAgent": ANDROID_TABLET}, "device", "tablet"),
        ({"userAgent": WINDOWS}, "device", "desktop"),
        ({"userAgent": "python-requests/2"}, "device", ""),
        ({"location": {"country": "gb"}, "locale": "de-DE"}, "country", "GB"),
        ({"location": {"country": "United Kingdom"}}, "country", "United Kingdom"),
        ({"location": None, "locale": "de_at"}, "country", "AT"),
        ({"locale": "de"}, "country", ""),
        ({"locale": "en-GB"}, "locale", "en-GB"),
        ({"campaign": {"source": "news", "medium": None}}, "source", "news"),
        ({"campaign": {"medium": "email", "name": 7}}, "medium", "email"),
        (None, "locale", ""),
    ],
)
def test_a_context_says_what_with_where_and_whence(context: object, column: str, read: str) -> None:
    assert columns(track(context=context, properties={"product_id": "i"})).texts[column].texts() == [read]


@pytest.mark.parametrize("context", [[], 7, "x", {"locale": 7}, {"device": "phone"}, {"campaign": [1]}])
def test_a_wrong_context_is_as_if_absent(context: object) -> None:
    events = columns(track(context=context, properties={"product_id": "i"}))
    assert [events.texts[name].texts() for name in ("device", "country", "locale", "source", "medium")] == [[""]] * 5


def test_an_unknown_name_has_no_index_even_where_it_is_called_like_a_type() -> None:
    page = b'{"type":"page","userId":"u1"}'
    assert columns(track("Carried Home"), track("page"), page).name.tolist() == [-1, -1, NAMES.index("page")]


texts = st.lists(st.sampled_from(["", "a", "b", "c"]) | st.text(max_size=3))


@given(texts)
def test_a_text_column_gives_back_its_texts(first: list[str]) -> None:
    column = Text.of(first)
    assert column.texts() == first
    assert len(set(column.values)) == len(column.values)
    assert column.present().tolist() == [text != "" for text in first]
    changed = column.map(str.upper)
    assert (changed.texts(), len(set(changed.values))) == ([text.upper() for text in first], len(changed.values))
    rows = np.flatnonzero(np.arange(len(first)) % 2)
    assert column.take(rows).texts() == first[1::2]


def test_texts_that_become_equal_become_one() -> None:
    changed = Text.of(["b", "a", "B", "c", "b"]).map(str.upper)
    assert (changed.texts(), changed.values) == (["B", "A", "B", "C", "B"], ["B", "A", "C"])


def test_a_text_column_of_no_rows_has_no_values() -> None:
    assert Text.of([]).present().tolist() == Text.of([]).texts() == []


SOME = [
    track(userId="u2", properties={"product_id": "a", "price": 1}),
    order({"product_id": "b", "price": 2}, {"product_id": "c"}, total=4, currency="JPY"),
    track("Unheard Of", userId=None, anonymousId="a1", context={"locale": "en-GB"}),
    order(),
    order({"product_id": "a", "brand": "x"}, {"product_id": "d"}, {"product_id": "b"}),
]
EVENTS = columns(*SOME)


@given(st.lists(st.integers(0, len(SOME) - 1)))
def test_taken_events_are_those_events_with_their_lines(chosen: list[int]) -> None:
    taken = EVENTS.take(np.array(chosen, np.int64))
    assert rows(taken) == [rows(EVENTS)[at] for at in chosen]
    assert np.all(np.diff(taken.line_of) >= 0)
    mask = np.isin(np.arange(EVENTS.n), chosen)
    assert rows(EVENTS.take(mask)) == [rows(EVENTS)[at] for at in sorted(set(chosen))]


@given(st.lists(st.lists(st.integers(0, len(SOME) - 1), max_size=4), max_size=4))
def test_joined_events_are_one_after_the_other(parts: list[list[int]]) -> None:
    joined = concat([EVENTS.take(np.array(part, np.int64)) for part in parts])
    assert rows(joined) == [rows(EVENTS)[at] for part in parts for at in part]
    for column in (joined.customer, *joined.texts.values(), *joined.line_texts.values()):
        assert len(set(column.values)) == len(column.values)


def test_no_events_have_all_columns_with_their_types() -> None:
    for none in (empty(), concat([]), EVENTS.take(np.zeros(EVENTS.n, bool))):
        assert (none.n, len(none.line_of)) == (0, 0)
        assert (tuple(none.numbers), sorted(none.texts)) == (EVENT_NUMBERS, sorted(EVENT_TEXTS))
        assert (tuple(none.line_numbers), tuple(none.line_texts)) == (LINE_NUMBERS, LINE_TEXTS)
        assert [none.time.dtype, none.line_of.dtype, none.message.dtype, none.name.dtype] == [
            np.int64, np.int32, np.uint64, np.int16,
        ]  # fmt: skip
        assert none.customer.codes.dtype == none.line_texts["item"].codes.dtype == np.int32
