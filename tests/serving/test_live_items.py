"""Live features of items as the ranker reads them."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import cast

import numpy as np

from features.online import ItemReader
from features.online.items import Float64
from models.ranker_rows import ITEM
from serving.live_items import LiveItems


class Reader:
    """Counts its reads; the number of views of an item is the time at which it was read."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.meanwhile: Callable[[], Awaitable[None]] | None = None  # happens during the next read

    async def numbers(self, item_ids: Iterable[str], names: Iterable[str], now: int) -> Float64:
        self.asked.append(list(item_ids))
        asked, self.meanwhile, meanwhile = self.asked[-1], None, self.meanwhile
        if meanwhile is not None:
            await meanwhile()
        values = [math.nan if name == "item_conversion_30d" else now for name in names]
        return np.array([values for _ in asked])


def made() -> tuple[LiveItems, Reader]:
    """Live items over a reader that counts."""
    reader = Reader()
    return LiveItems(cast(ItemReader, reader)), reader


def test_an_item_that_is_not_there_is_remembered_and_fetched() -> None:
    items, reader = made()
    assert items.get("a") is None
    asyncio.run(items.fetch(7))
    asyncio.run(items.fetch(8))
    assert reader.asked == [["a"]]
    row = items["a"]
    assert row[ITEM.index("item_views_7d")] == 7.0
    assert math.isnan(row[ITEM.index("item_conversion_30d")])
    assert items.missed == {}


def test_what_is_asked_for_is_renewed_and_what_is_not_is_let_go() -> None:
    items, reader = made()
    for item_id in ("a", "b"):
        items.get(item_id)
    asyncio.run(items.fetch(1))
    asyncio.run(items.renew(2))
    assert items.get("b") is not None
    asyncio.run(items.renew(3))
    assert list(items) == ["b"]
    assert items["b"][0] == 3.0
    assert reader.asked == [["a", "b"], ["a", "b"], ["b"]]
    assert len(items) == 1


def test_what_is_fetched_while_the_rest_is_renewed_stays() -> None:
    items, reader = made()
    items.get("a")

    async def both() -> None:
        await items.fetch(1)
        reader.meanwhile = fetch_another
        await items.renew(2)

    async def fetch_another() -> None:
        items.get("b")
        await items.fetch(1)

    asyncio.run(both())
    assert {item_id: items[item_id][0] for item_id in items} == {"a": 2.0, "b": 1.0}
    assert items.missed == {}
