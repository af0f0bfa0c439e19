"""What is known of an item as columns whose names say what they mean."""

import numpy as np
import pytest

from features.items import Item
from models.interactions import Content, IdMap
from tests.tastes import two_tastes
from training import datasets
from training.content import ContentConfig, content, content_like, with_content

ALL = ContentConfig(least=1, most_share=1.0)


def has(found: Content, row: int) -> set[str]:
    return {found.names[column] for column in found.matrix[[row]].indices}


def of(*items: Item, config: ContentConfig = ALL) -> Content:
    return content(IdMap.of([item.item_id for item in items]), items, config)


def test_an_item_is_its_category_tags_attributes_and_the_words_of_its_title() -> None:
    item = Item(
        item_id="a",
        title="Red METAL Lantern, 12 x",
        category="Home > Lighting",
        tags=("New",),
        attributes={"brand": "Acme", "waterproof": True, "note": None},
    )
    assert has(of(item), 0) == {
        "category:home", "category:home > lighting", "tag:new", "brand:acme", "waterproof:true",
        "word:red", "word:metal", "word:lantern",
    }  # fmt: skip


def test_a_number_is_in_one_band_with_as_many_items_as_the_others() -> None:
    found = of(
        *(Item(item_id=f"{n:02d}", price=float(n), currency="EUR") for n in range(8)), config=ContentConfig(bands=4)
    )
    assert found.names == ("price EUR~..1.75", "price EUR~1.75..3.5", "price EUR~3.5..5.25", "price EUR~5.25..")
    assert found.matrix.toarray().sum(axis=0).tolist() == [2, 2, 2, 2]
    assert found.matrix.toarray().sum(axis=1).tolist() == [1] * 8


def test_a_number_on_the_edge_of_two_bands_is_in_the_upper_one() -> None:
    found = of(*(Item(item_id=str(n), price=float(n)) for n in range(3)), config=ContentConfig(bands=2))
    assert [has(found, row) for row in range(3)] == [{"price~..1.0"}, {"price~1.0.."}, {"price~1.0.."}]


def test_prices_of_different_currencies_are_not_compared() -> None:
    items = [Item(item_id=f"{c}{n}", price=float(n), currency=c) for c in ("EUR", "USD") for n in (1, 2)]
    assert {name.partition("~")[0] for name in of(*items).names} == {"price EUR", "price USD"}


def test_a_number_that_never_varies_says_nothing() -> None:
    assert of(Item(item_id="a", price=2.0), Item(item_id="b", price=2.0)).names == ()


def test_what_one_item_has_alone_or_nearly_all_have_is_left_out() -> None:
    items = [Item(item_id=str(n), title=f"gift {'blue' if n % 2 else 'only' + chr(97 + n)}") for n in range(6)]
    assert of(*items, config=ContentConfig(most_share=0.6)).names == ("word:blue",)


def test_of_too_many_columns_the_commonest_stay_and_ties_go_by_name() -> None:
    items = [Item(item_id="a", title="cc bb aa"), Item(item_id="b", title="cc bb aa"), Item(item_id="c", title="cc")]
    assert of(*items, config=ContentConfig(least=1, most_share=1.0, most=2)).names == ("word:aa", "word:cc")


def test_an_item_that_the_catalogue_does_not_have_is_an_empty_row() -> None:
    found = content(IdMap(("a", "b")), [Item(item_id="b", title="red"), Item(item_id="z", title="green")], ALL)
    assert found.names == ("word:red",)
    assert found.matrix.toarray().tolist() == [[0], [1]]
    assert found.matrix.dtype == np.float32


def test_the_last_entry_of_an_item_counts() -> None:
    found = content(IdMap(("a",)), [Item(item_id="a", title="red"), Item(item_id="a", title="blue")], ALL)
    assert found.names == ("word:blue",)


def test_the_order_of_the_catalogue_changes_nothing() -> None:
    items = [Item(item_id=str(n), title=f"lamp w{chr(97 + n % 3)}", price=float(n)) for n in range(9)]
    first, second = of(*items), of(*items[::-1])
    assert first.names == second.names
    assert (first.matrix != second.matrix).nnz == 0


def test_items_that_come_later_fill_the_columns_of_the_others() -> None:
    first = of(*(Item(item_id=str(n), title="red lamp" if n % 2 else "blue lamp", price=float(n)) for n in range(8)))
    again = content_like(first.names, IdMap(("7", "new")), [
        Item(item_id="7", title="red lamp", price=7.0), Item(item_id="new", title="RED teapot", price=1e6),
    ])  # fmt: skip
    assert again.names == first.names
    assert has(again, 0) == has(first, 7)
    assert has(again, 1) == {"word:red", next(name for name in first.names if name.endswith(".."))}


def test_letters_of_any_script_make_words_and_case_is_ignored() -> None:
    assert has(of(Item(item_id="a", title="Straße ПРИВЕТ")), 0) == {"word:strasse", "word:привет"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_says_nothing(value: float) -> None:
    items = [Item(item_id=str(n), attributes={"size": n if n else value}) for n in range(4)]
    assert has(of(*items), 0) == set()


def test_items_that_nobody_has_met_join_the_interactions_and_histories_stay_the_same() -> None:
    world = datasets.interactions(datasets.checked(two_tastes(days=10)))
    wide = with_content(world, [Item(item_id="a-new", title="Lantern"), Item(item_id="i003", title="Lantern")])
    assert wide.items.ids == ("a-new", *world.items.ids)
    assert [wide.items.names(wide.histories[row].items) for row in range(3)] == [
        world.items.names(world.histories[row].items) for row in range(3)
    ]
    assert wide.matrix[:, 0].nnz == 0
    assert wide.content is not None
    assert wide.content.matrix[[0, 4]].toarray().tolist() == [[1.0], [1.0]]  # word:lantern
