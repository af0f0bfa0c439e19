"""The catalogue: upserts in order, deletions that last, and items that only orders know."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from features.errors import Rewound
from features.items import Item, encode_item
from features.online import CHANNEL, CatalogueReader, CatalogueStore, connect, connect_async
from features.online.catalogue import ALL

T = TypeVar("T")
SPADE = encode_item(Item(item_id="i1", title="Spade"))


def read(url: str, job: Callable[[CatalogueReader], Awaitable[T]]) -> T:
    async def go() -> T:
        client = connect_async(url, timeout_s=5)
        try:
            return await job(CatalogueReader(client))
        finally:
            await client.aclose()

    return asyncio.run(go())


def test_upserts_are_taken_in_order_and_a_null_deletes(redis_server: str) -> None:
    store = CatalogueStore(connect(redis_server))
    other = encode_item(Item(item_id="i2", title="Rake"))
    assert store.upsert("items.a.p1", 0, 2, [("i1", SPADE), ("i2", other)])
    assert store.upsert("items.a.p1", 0, 3, [("i1", None)], position=2)
    assert read(redis_server, lambda reader: reader.all()) == {"i2": Item(item_id="i2", title="Rake")}
    assert read(redis_server, lambda reader: reader.some(["i2", "i1", "i3"])) == {
        "i2": Item(item_id="i2", title="Rake"),
        "i1": None,
        "i3": None,
    }
    assert store.position("items.a.p1", 0) == 3


def test_a_batch_that_was_taken_before_changes_nothing(redis_server: str) -> None:
    store = CatalogueStore(connect(redis_server))
    assert store.upsert("items.a.p1", 0, 2, [("i1", SPADE)])
    assert not store.upsert("items.a.p1", 0, 2, [("i1", None)])
    assert not store.upsert("items.a.p1", 0, 1, [("i1", None)])
    assert store.client.hget(ALL, "i1") == SPADE


def test_a_batch_that_would_leave_a_gap_is_refused(redis_server: str) -> None:
    store = CatalogueStore(connect(redis_server))
    with pytest.raises(Rewound, match=r"items\.a\.p1\[0\] stands at 0"):
        store.upsert("items.a.p1", 0, 9, [("i1", SPADE)], position=5)
    assert store.client.hgetall(ALL) == {}


def test_sources_and_partitions_have_positions_of_their_own(redis_server: str) -> None:
    store = CatalogueStore(connect(redis_server))
    store.upsert("items.a.p2", 0, 5, [])
    store.upsert("items.a.p2", 1, 7, [])
    assert [store.position(*place) for place in (("items.a.p2", 0), ("items.a.p2", 1), ("items.b.p2", 0))] == [5, 7, 0]


def test_an_order_creates_an_item_and_never_writes_over_one(redis_server: str) -> None:
    client = connect(redis_server)
    CatalogueStore(client).upsert("s.p1", 0, 1, [("i1", SPADE)])
    stub = Item(item_id="i1", title="spade, used", incomplete=True)
    assert CatalogueStore(client).create_missing([stub]) == 0
    assert CatalogueStore(client).create_missing([Item(item_id="i2", title="rake", incomplete=True)]) == 1
    assert client.hget(ALL, "i1") == SPADE
    assert CatalogueStore(client).upsert("s.p1", 0, 2, [("i2", encode_item(Item(item_id="i2", title="Rake")))])
    assert read(redis_server, lambda reader: reader.some(["i2"]))["i2"] == Item(item_id="i2", title="Rake")


def test_an_order_does_not_bring_back_what_was_deleted(redis_server: str) -> None:
    client = connect(redis_server)
    CatalogueStore(client).upsert("s.p1", 0, 1, [("i1", None)])
    assert CatalogueStore(client).create_missing([Item(item_id="i1", title="spade", incomplete=True)]) == 0
    assert read(redis_server, lambda reader: reader.all()) == {}


def test_a_line_with_a_title_completes_one_without_and_the_first_title_stays(redis_server: str) -> None:
    client = connect(redis_server)
    made = [
        CatalogueStore(client).create_missing([Item(item_id="i1", title=title, incomplete=True)])
        for title in ("", "", "Spade", "Shovel", "")
    ]
    assert made == [1, 0, 1, 0, 0]
    assert read(redis_server, lambda reader: reader.some(["i1"]))["i1"] == Item(
        item_id="i1", title="Spade", incomplete=True
    )


def test_one_store_asks_redis_only_about_items_that_it_has_not_met(redis_server: str) -> None:
    store = CatalogueStore(connect(redis_server))
    item = Item(item_id="i1", title="Spade", incomplete=True)
    assert store.create_missing([item, item]) == 1
    store.client.flushall()
    assert store.create_missing([item]) == 0
    assert store.client.hgetall(ALL) == {}


def test_changes_are_told(redis_server: str) -> None:
    client = connect(redis_server)
    heard = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    heard.subscribe(CHANNEL)
    heard.get_message(timeout=5)
    store = CatalogueStore(client)
    store.upsert("s.p1", 0, 1, [("i1", SPADE)])
    store.create_missing([Item(item_id="i2", title="Rake", incomplete=True)])
    assert [(heard.get_message(timeout=5) or {})["data"] for _ in range(2)] == [b"i1", b"i2"]
    heard.close()


def test_an_entry_that_cannot_be_read_does_not_take_the_others_away(redis_server: str) -> None:
    client = connect(redis_server)
    client.hset(ALL, mapping={"i1": SPADE, "bad": b"{", " ": b'{"item_id":" "}'})
    assert read(redis_server, lambda reader: reader.all()) == {"i1": Item(item_id="i1", title="Spade")}
    assert read(redis_server, lambda reader: reader.some(["bad"])) == {"bad": None}
