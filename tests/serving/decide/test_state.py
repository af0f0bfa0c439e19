"""The catalogue as columns, limits, and what may be shown."""

from collections.abc import Iterable

import pytest

from features.items import Item
from models.interactions import IdMap
from serving.decide.catalogue import Catalogue
from serving.decide.columns import Columns
from serving.decide.limits import NONE, Limits, Where
from serving.decide.state import State
from tests.serving.decide.fake import shop

IDS = IdMap(("a", "b", "c"))


def within(categories: Iterable[str] = (), max_price: float | None = None) -> Limits:
    """Limits as a caller says them."""
    return Limits(Where(categories=frozenset(categories), max_price=max_price))


def shown(columns: Columns, limits: Limits = NONE, exclude: tuple[str, ...] = ()) -> str:
    """The items that are allowed, as one word."""
    mask = columns.allowed(limits, exclude)
    return "".join(item_id for item_id, allowed in zip(IDS.ids, mask, strict=True) if allowed)


def test_what_the_catalogue_lacks_is_not_available() -> None:
    assert shown(Columns(IDS, shop("a", "c", "unknown to the model"))) == "ac"
    assert shown(Columns(IDS, {})) == ""


def test_without_a_catalogue_everything_is_available_but_within_no_limit() -> None:
    columns = Columns(IDS, None)
    assert shown(columns) == "abc"
    assert shown(columns, within(categories={"x"})) == ""
    assert shown(columns, within(max_price=1e9)) == ""


def test_out_of_stock_and_excluded_items_are_not_available() -> None:
    items = shop("a", "b") | shop("c", in_stock=False)
    assert shown(Columns(IDS, items)) == "ab"
    assert shown(Columns(IDS, items), exclude=("a", "none such")) == "b"


def test_limits_of_category_and_price_hold_together() -> None:
    items = {
        "a": Item(item_id="a", category="x", price=5.0),
        "b": Item(item_id="b", category="x", price=5.01),
        "c": Item(item_id="c", category="y", price=1.0),
    }
    columns = Columns(IDS, items)
    assert shown(columns, within(max_price=5.0)) == "ac"
    assert shown(columns, within(categories={"x"})) == "ab"
    assert shown(columns, within(categories={"x", "none such"}, max_price=5.0)) == "a"
    assert shown(columns, within(categories={"none such"})) == ""


def test_an_item_without_a_price_is_never_below_a_maximum() -> None:
    assert shown(Columns(IDS, shop("a")), within(max_price=1e9)) == ""


def test_a_large_price_is_compared_to_the_cent() -> None:
    """As float32, both would be 20,000,000."""
    columns = Columns(IDS, shop("a", price=20_000_000.01) | shop("b", price=20_000_000.0))
    assert shown(columns, within(max_price=20_000_000.0)) == "b"


def test_changes_are_taken_in_and_a_deleted_item_goes() -> None:
    columns = Columns(IDS, shop("a", "b", "c", category="x", price=1.0))
    columns.update({"a": Item(item_id="a", category="y", price=9.0), "b": None, "unknown": Item(item_id="unknown")})
    assert shown(columns) == "ac"
    assert shown(columns, within(categories={"y"})) == "a"
    assert shown(columns, within(max_price=1.0)) == "c"
    columns.update(shop("b"))
    assert shown(columns) == "abc"


@pytest.mark.parametrize("limits", [NONE, within(categories={"x"}), within(max_price=5.0), within(max_price=1.0)])
def test_columns_and_limits_agree_about_every_item(limits: Limits) -> None:
    items = {
        "a": Item(item_id="a", category="x", price=5.0),
        "b": Item(item_id="b", category="y", in_stock=False, price=1.0),
        "c": Item(item_id="c"),
    }
    expected = "".join(item_id for item_id, item in items.items() if limits.permits(item))
    assert shown(Columns(IDS, items), limits) == expected


def test_what_is_repeatable_is_told_by_category_or_is_everything() -> None:
    catalogue = shop("a", category="tea") | shop("b", category="lamps")
    state = State(catalogue=Catalogue(catalogue), repeatable=frozenset({"tea"}))
    assert [state.is_repeatable(item_id) for item_id in ("a", "b", "unknown")] == [True, False, False]
    assert State(repeatable=frozenset({"*"})).is_repeatable("unknown")
    assert not State(repeatable=frozenset({"tea"})).is_repeatable("a")
