"""What the shop sells, and what it costs and whether it is there, day by day."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.simulation.shop import Flags, Floats, Ints, Shop
from pipelines.simulation.words import BRANDS, CATEGORIES, COLOURS, STYLES

TASTES = 8  # dimensions of what a customer can like about an item
CURRENCY = "GBP"

SALE_STARTS, SALE_ENDS = 0.004, 0.08
SELLS_OUT, COMES_BACK = 0.004, 0.15
LAUNCHED_LATER = 0.12

_STREAM_ITEMS, _STREAM_SHELVES = 1, 2


@dataclass(frozen=True)
class Items:
    """The catalogue as arrays over item rows; rows of one category lie together.

    `bounds` (categories + 1,) are the first rows of the categories. `taste` (n_items, TASTES) is what an item is like,
    `appeal` (n_items,) how much everyone likes it, `expensive` (n_items,) its log price against its category's, in
    half-units. `launch` (n_items,) is the day from which it is sold. Prices are cents.
    """

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    brands: tuple[str, ...]
    styles: Ints
    colours: Ints
    category: Ints
    bounds: Ints
    taste: Floats
    appeal: Floats
    expensive: Floats
    price: Ints
    launch: Ints


@dataclass(frozen=True)
class Shelf:
    """One day of the catalogue: (n_items,) price in cents, discount as a share, in stock, on sale at all."""

    price: Ints
    discount: Floats
    in_stock: Flags
    launched: Flags


def make_items(shop: Shop) -> Items:
    """The shop's catalogue."""
    rng = shop.random(_STREAM_ITEMS)
    category = _categories(shop.n_items)
    bounds = np.searchsorted(category, np.arange(len(CATEGORIES) + 1))
    words = np.concatenate([_word_rows(rng, k, int(size)) for k, size in enumerate(np.diff(bounds))])
    taste = _tastes(rng, category, words)
    expensive = rng.normal(0.0, 1.0, shop.n_items)
    median = np.array([kind.price for kind in CATEGORIES])[category]
    launch = np.where(rng.random(shop.n_items) < LAUNCHED_LATER, rng.integers(0, shop.days, shop.n_items), 0)
    launch[bounds[:-1]] = 0  # a category is never empty
    return Items(
        ids=tuple(f"sku-{row:05d}" for row in range(shop.n_items)),
        titles=tuple(_title(int(k), *map(int, row)) for k, row in zip(category, words, strict=True)),
        brands=tuple(BRANDS[brand] for brand in rng.integers(0, len(BRANDS), shop.n_items)),
        styles=words[:, 0],
        colours=rng.integers(0, len(COLOURS), shop.n_items),
        category=category,
        bounds=bounds,
        taste=taste,
        appeal=rng.normal(0.0, 0.8, shop.n_items).astype(np.float32),
        expensive=expensive.astype(np.float32),
        price=_shop_price(median * np.exp(0.5 * expensive)),
        launch=launch,
    )


def shelves(shop: Shop, items: Items) -> Iterator[Shelf]:
    """The catalogue of each day in turn: sales begin and end, items sell out, come back and are launched."""
    rng = shop.random(_STREAM_SHELVES)
    discount = np.zeros(shop.n_items, dtype=np.float32)
    in_stock = np.ones(shop.n_items, dtype=np.bool_)
    for day in range(shop.days):
        chance = rng.random((2, shop.n_items))
        offer = rng.integers(2, 9, shop.n_items) * np.float32(0.05)
        on_sale = discount > 0
        discount = np.where(on_sale, np.where(chance[0] < SALE_ENDS, 0, discount), (chance[0] < SALE_STARTS) * offer)
        in_stock = np.where(in_stock, chance[1] >= SELLS_OUT, chance[1] < COMES_BACK)
        price = np.rint(items.price * (1 - discount)).astype(np.int64)
        yield Shelf(price, discount.astype(np.float32), in_stock, items.launch <= day)


def upserts(shop: Shop, items: Items) -> Iterator[tuple[int, dict[str, Any]]]:
    """(ms UTC, message of the `items` topic) for each launch, change of price and change of stock, in time order."""
    before: Shelf | None = None
    for day, shelf in enumerate(shelves(shop, items)):
        changed = shelf.launched.copy()
        if before is not None:
            same = (before.price == shelf.price) & (before.in_stock == shelf.in_stock)
            changed &= ~(before.launched & same)
        for row in np.flatnonzero(changed):
            yield shop.starts(day), _message(items, shelf, int(row))
        before = shelf


def _message(items: Items, shelf: Shelf, row: int) -> dict[str, Any]:
    category = CATEGORIES[items.category[row]]
    style = STYLES[items.styles[row]].lower()
    return {
        "item_id": items.ids[row],
        "title": items.titles[row],
        "category": category.name,
        "price": int(shelf.price[row]) / 100,
        "currency": CURRENCY,
        "url": f"https://shop.example/products/{items.ids[row]}",
        "in_stock": bool(shelf.in_stock[row]),
        "tags": [category.department, style, *(["sale"] if shelf.discount[row] > 0 else [])],
        "attributes": {"brand": items.brands[row], "colour": COLOURS[items.colours[row]].lower(), "style": style},
    }


def _categories(n_items: int) -> Ints:
    """(n_items,) category of each row, in proportion to the categories' traffic and at least one item each."""
    share = np.array([category.share for category in CATEGORIES])
    spare = n_items - len(CATEGORIES)
    ends = np.rint(np.cumsum(share) / share.sum() * spare).astype(np.int64)
    return np.repeat(np.arange(len(CATEGORIES)), np.diff(ends, prepend=0) + 1)


def _word_rows(rng: np.random.Generator, category: int, size: int) -> Ints:
    """(size, 4) style, material, noun and number of the repeat: no two rows alike."""
    kind = CATEGORIES[category]
    shape = (len(STYLES), len(kind.materials), len(kind.nouns))
    combinations = int(np.prod(shape))
    order = rng.permutation(combinations)
    repeat, place = np.divmod(np.arange(size), combinations)
    return np.stack([*np.unravel_index(order[place], shape), repeat], axis=1).astype(np.int64)


def _title(category: int, style: int, material: int, noun: int, repeat: int) -> str:
    kind = CATEGORIES[category]
    title = f"{STYLES[style]} {kind.materials[material]} {kind.nouns[noun]}"
    if repeat == 0:
        return title
    edition, colour = divmod(repeat - 1, len(COLOURS))
    return f"{title} in {COLOURS[colour]}" + (f" {edition + 1}" if edition else "")


def _tastes(rng: np.random.Generator, category: Ints, words: Ints) -> Floats:
    """An item is like its adjective and its material, and a little like nothing else."""
    style = rng.normal(0.0, 0.35, (len(STYLES), TASTES))
    material = rng.normal(0.0, 0.25, (len(CATEGORIES), 12, TASTES))
    own = rng.normal(0.0, 0.25, (len(category), TASTES))
    return (style[words[:, 0]] + material[category, words[:, 1]] + own).astype(np.float32)


def _shop_price(pounds: Floats) -> Ints:
    """Cents as shops write them: whole pounds less a penny."""
    return np.maximum(1, np.rint(pounds)).astype(np.int64) * 100 - 1
