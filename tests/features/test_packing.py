"""Packed states: whatever was folded comes back, and other bytes are refused."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.cells import Cells
from features.definitions import FEATURES
from features.errors import BrokenState
from features.feature import count, total
from features.glance import Glance
from features.packing import pack, unpack
from features.plain import plain_of, read_plain
from features.states import States, no_states
from features.table import table
from tests.features.folding import folded, read
from tests.features.histories import DAY, Happening, T, line, logs

QUICK = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=40)


def same(left: States, right: States) -> bool:
    """Whether two are equal column by column."""
    columns: list[tuple[Any, Any]] = [
        (one, other) for a, b in zip(left, right, strict=True) for one, other in zip(a, b, strict=True)
    ]
    return all(one.dtype == other.dtype and np.array_equal(one, other) for one, other in columns)


@QUICK
@given(logs())
def test_a_state_survives_packing_alone_and_among_others(log: list[Happening]) -> None:
    packed = list(folded(FEATURES, {}, log).values())
    assert pack(unpack(packed)) == packed
    assert [pack(unpack([each])) for each in packed] == [[each] for each in packed]
    assert pack(unpack([None, *packed, None]))[1:-1] == packed
    assert [read_plain(each) for each in packed] == [plain_of(unpack([each])) for each in packed]


@QUICK
@given(
    st.dictionaries(st.integers(1, 2**64 - 1), st.integers(-(2**63), 2**63 - 1), max_size=600),
    st.integers(0, 2**41),
)
def test_any_cells_survive_packing(cells: dict[int, int], newest: int) -> None:
    key = np.array([0, *sorted(cells)], np.uint64)
    value = np.array([newest, *(cells[each] for each in sorted(cells))], np.int64)
    states = no_states(1)._replace(cells=Cells(np.array([0, len(key)]), key, value))
    assert same(unpack(pack(states)), states)
    assert read_plain(pack(states)[0]) == plain_of(states)


@pytest.mark.parametrize("number", [254, 255, 256, 700])
def test_many_cells_of_one_shape_survive(number: int) -> None:
    key = np.concatenate(([0], 2**54 + 1 + np.arange(number))).astype(np.uint64)
    value = np.concatenate(([T], np.ones(number, np.int64)))
    states = no_states(1)._replace(cells=Cells(np.array([0, len(key)]), key, value))
    assert same(unpack(pack(states)), states)
    assert read_plain(pack(states)[0]) == plain_of(states)


def test_nobody_has_an_empty_state() -> None:
    assert same(unpack([None, None]), no_states(2))
    assert same(unpack([]), no_states(0))


def test_long_names_and_many_of_them_survive() -> None:
    features = table((count("views", (), by="category"), total("pieces", (), of="pieces", by="item")))
    texts = ["", "c", "c" * 254, "c" * 255, "é" * 70_000, *(f"category {n}" for n in range(250))]
    lines = tuple(line("i", category=text) for text in texts)
    log = [
        Happening("Order Completed", T, "m", lines=lines),
        Happening("Product Viewed", T - 60 * DAY, "n", lines=lines),
    ]
    assert read(features, log)["views"] == {text: 2 for text in texts if text}


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b[:5], lambda b: b"\x09" + b[1:]])
def test_wrong_bytes_are_refused(change: Callable[[bytes], bytes]) -> None:
    (packed,) = folded(FEATURES, {}, [Happening("Product Viewed", T, "m", lines=(line("i"),))]).values()
    wrong = change(packed)
    with pytest.raises(BrokenState):
        unpack([packed, wrong])
    with pytest.raises(BrokenState):
        read_plain(wrong)


@QUICK
@given(logs(size=6), st.data())
def test_damaged_bytes_are_refused_or_read_but_nothing_else(log: list[Happening], data: st.DataObject) -> None:
    for packed in folded(FEATURES, {}, log).values():
        damaged = bytearray(packed)
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
        with suppress(BrokenState):
            unpack([bytes(damaged)])
        with suppress(BrokenState):
            read_plain(bytes(damaged))


@pytest.mark.parametrize("value", [0, 255])
def test_no_byte_can_be_damaged_so_that_anything_but_a_broken_state_is_said(value: int) -> None:
    lines = (line("i1", price=5, category="c"), line("i2", brand="b" * 300))
    log = [Happening("Product Viewed", T + n * DAY, f"m{n}", texts={"device": "mobile"}, lines=lines) for n in range(3)]
    (packed,) = folded(FEATURES, {}, log).values()
    for at in range(len(packed)):
        damaged = packed[:at] + bytes([value]) + packed[at + 1 :]
        for reader in (lambda state: unpack([state]), read_plain, Glance):
            with suppress(BrokenState):
                reader(damaged)


def test_a_state_of_ten_events_is_small() -> None:
    names = ["Product Viewed"] * 7 + ["Product Added"] * 2 + ["Order Completed"]
    log = [
        Happening(
            name,
            T + n * 3 * DAY,
            f"message-{n}",
            texts={"currency": "GBP", "device": "mobile", "country": "GB", "locale": "en-GB"},
            lines=(line(f"item-{n % 8}", price=1_999 + n, category=f"category-{n % 4}", brand=f"brand-{n % 5}"),),
        )
        for n, name in enumerate(names)
    ]
    (packed,) = folded(FEATURES, {}, log).values()
    assert len(packed) <= 900
