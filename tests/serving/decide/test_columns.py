"""Columns and limits agree about every item, whatever was asked and however the catalogue came about."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from features.items import Item
from models.interactions import IdMap
from serving.decide.columns import MASKS, Columns
from serving.decide.limits import NONE, Limits, Where
from tests.serving.decide.fake import shop

IDS = ("a", "b", "c", "d", "e")
CATEGORY = st.sampled_from(["", "x", "y"])
TAG = st.sampled_from(["new", "sale"])
PRICE = st.none() | st.sampled_from([1.0, 2.0, 3.0])
SOME = st.builds(
    Where,
    item_ids=st.frozensets(st.sampled_from(IDS), max_size=2),
    categories=st.frozensets(CATEGORY, max_size=2),
    tags=st.frozensets(TAG, max_size=2),
    min_price=PRICE,
    max_price=PRICE,
)
LIMITS = st.builds(
    Limits, where=SOME, only=st.lists(SOME, max_size=2).map(tuple), without=st.lists(SOME, max_size=1).map(tuple)
)
ITEM = st.builds(
    Item,
    item_id=st.sampled_from(IDS),
    category=CATEGORY,
    price=PRICE,
    tags=st.lists(TAG, max_size=2).map(tuple),
    in_stock=st.booleans(),
)
CHANGE = st.tuples(st.sampled_from(IDS), ITEM | st.none())


def named(columns: Columns, mask: Iterable[bool]) -> set[str]:
    """The items of a mask."""
    return {columns.name(row) for row in np.flatnonzero(np.asarray(mask)).tolist()}


@given(start=st.lists(ITEM, unique_by=lambda item: item.item_id), changes=st.lists(CHANGE), limits=LIMITS)
def test_a_mask_holds_what_the_limits_permit_of_each_item(
    start: list[Item], changes: list[tuple[str, Item | None]], limits: Limits
) -> None:
    items = {item.item_id: item for item in start}
    columns = Columns(IdMap.of(items), items)
    for item_id, given_item in changes:
        columns.within(limits)  # kept masks must not outlive the change
        item = None if given_item is None else replace(given_item, item_id=item_id)
        columns.update({item_id: item}, grow=True)
        items = {**{k: v for k, v in items.items() if k != item_id}, **({item_id: item} if item else {})}
    assert named(columns, columns.within(limits)) == {key for key, item in items.items() if limits.permits(item)}


def test_items_without_a_row_are_left_out_unless_the_columns_may_grow() -> None:
    columns = Columns(IdMap(("a",)), shop("a"))
    columns.update(shop("b"))
    assert (len(columns), columns.row("b")) == (1, -1)
    columns.update(shop("b", "c"), grow=True)
    assert (len(columns), columns.row("c"), columns.name(2)) == (3, 2, "c")
    columns.update(shop(*(f"n{number}" for number in range(200))), grow=True)
    assert len(columns.within(NONE)) == len(columns) == 203
    assert columns.within(NONE).all()


def test_a_mask_is_kept_until_the_next_change_and_only_the_newest_are() -> None:
    columns = Columns(IdMap(("a", "b")), shop("a", "b"))
    first = columns.within(NONE)
    assert columns.within(NONE) is first
    for price in range(MASKS):
        columns.within(Limits(Where(max_price=float(price))))
    assert columns.within(NONE) is not first
    again = columns.within(NONE)
    columns.update({"a": None})
    assert columns.within(NONE) is not again


def test_nobody_changes_a_mask_that_is_kept() -> None:
    columns = Columns(IdMap(("a", "b")), shop("a", "b"))
    with pytest.raises(ValueError, match="read-only"):
        columns.within(NONE)[0] = False
    columns.allowed(NONE, ("a",))
    assert columns.within(NONE).all()
