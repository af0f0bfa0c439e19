"""Events as plain values, and random logs of them, for tests of what is computed from events."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from features.columns import (
    EVENT_NUMBERS,
    EVENT_TEXTS,
    LINE_NUMBERS,
    LINE_TEXTS,
    MISSING,
    NAMES,
    Events,
    Text,
    message_hashes,
)

T = 1_767_225_600_000  # 2026-01-01
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


@dataclass(frozen=True)
class Line:
    """One line: numbers and texts by column; what is absent isn't there."""

    numbers: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Happening:
    """One event; `received` and `available` are its own time unless given."""

    name: str
    time: int
    message: str
    customer: str = "u:1"
    received: int = -1
    available: int = -1
    numbers: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()

    def __post_init__(self) -> None:
        for moment in ("received", "available"):
            if getattr(self, moment) < 0:
                object.__setattr__(self, moment, self.time)


def line(item: str, **columns: int | str) -> Line:
    """A line of an item; of one piece unless said otherwise, and worth its price."""
    numbers: dict[str, int] = {name: value for name, value in columns.items() if isinstance(value, int)}
    numbers.setdefault("pieces", 1)
    if "price" in numbers:
        numbers.setdefault("cents", numbers["price"] * numbers["pieces"])
    texts = {name: value for name, value in columns.items() if isinstance(value, str)}
    return Line(numbers, {"item": item, **texts})


def columns(log: Sequence[Happening]) -> Events:
    """The events as columns."""
    lines = [each for event in log for each in event.lines]
    return Events(
        customer=Text.of([event.customer for event in log]),
        name=np.array([NAMES.index(e.name) if e.name in NAMES else -1 for e in log], np.int16),
        time=np.array([event.time for event in log], np.int64),
        received=np.array([event.received for event in log], np.int64),
        available=np.array([event.available for event in log], np.int64),
        message=message_hashes([event.message for event in log]),
        trusted=np.ones(len(log), np.bool_),
        numbers={name: np.array([e.numbers.get(name, MISSING) for e in log], np.int64) for name in EVENT_NUMBERS},
        texts={name: Text.of([event.texts.get(name, "") for event in log]) for name in EVENT_TEXTS},
        line_of=np.repeat(np.arange(len(log)), [len(event.lines) for event in log]).astype(np.int32),
        line_numbers={n: np.array([each.numbers.get(n, MISSING) for each in lines], np.int64) for n in LINE_NUMBERS},
        line_texts={name: Text.of([each.texts.get(name, "") for each in lines]) for name in LINE_TEXTS},
    )


ITEMS = ("spade", "lamp", "pot", "seed")
_TEXTS = {
    "currency": ("GBP", "JPY"),
    "coupon": ("ten", "gift"),
    "device": ("mobile", "desktop"),
    "country": ("GB", "FR"),
    "locale": ("en-GB",),
    "source": ("mail", "spade"),
    "medium": ("cpc",),
}
_LINE_TEXTS = {"category": ("garden", "home", "lamp"), "brand": ("acme", "garden"), "variant": ("red",), "name": ("A",)}
_WANTED = (
    "Product Viewed", "Product Viewed", "Product Viewed", "Product Added", "Order Completed", "Order Refunded",
    "Products Searched", "Checkout Started", "page", "Carried Home", "Product Clicked",
)  # fmt: skip
_lines = st.lists(
    st.builds(
        lambda item, price, pieces, texts: line(
            item, pieces=pieces, **({} if price is None else {"price": price}), **texts
        ),
        st.sampled_from(ITEMS),
        st.none() | st.sampled_from([0, 1, 99, 100, 1_999, 2**45]),
        st.integers(1, 3),
        st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in _LINE_TEXTS.items()}),
    ),
    max_size=3,
)
_texts = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in _TEXTS.items()})
_numbers = st.fixed_dictionaries({}, optional={name: st.sampled_from([0, 5, 250, 10**6]) for name in EVENT_NUMBERS})
STEPS = st.sampled_from(
    [
        0,
        1,
        1_000,
        MINUTE,
        5 * MINUTE,
        29 * MINUTE,
        30 * MINUTE,
        55 * MINUTE,
        HOUR,
        5 * HOUR,
        DAY,
        6 * DAY,
        33 * DAY,
        91 * DAY,
    ]
)


@st.composite
def logs(draw: st.DrawFn, size: int = 24, within_a_day: bool = False) -> list[Happening]:
    """A log in the order of its arrival: few customers, late and out-of-order events, duplicates, nothing complete."""
    log: list[Happening] = []
    arrived = T + draw(st.integers(0, 40 * 24)) * HOUR
    for number in range(draw(st.integers(1, size))):
        arrived += draw(st.sampled_from([0, 1_000, MINUTE])) if within_a_day else draw(STEPS)
        customer = draw(st.sampled_from(["u:1", "u:1", "u:2", "a:1"]))
        again = draw(st.integers(0, 9))
        if log and again < 2:
            first = draw(st.sampled_from(log))
            log.append(_sent_again(first, customer if again else first.customer, arrived))
            continue
        late = draw(st.just(0) | STEPS)
        log.append(
            Happening(
                name=draw(st.sampled_from(_WANTED)),
                time=arrived - late,
                message=str(number),
                customer=customer,
                received=arrived - draw(st.sampled_from([0, 0, 50, HOUR])),
                available=arrived,
                numbers=draw(_numbers),
                texts=draw(_texts),
                lines=tuple(draw(_lines)),
            )
        )
    return log


def _sent_again(first: Happening, customer: str, arrived: int) -> Happening:
    return Happening(
        first.name, first.time, first.message, customer, arrived, arrived, first.numbers, first.texts, first.lines
    )
