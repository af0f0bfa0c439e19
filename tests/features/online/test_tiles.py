"""Items live: what is read is what the events say, whoever merges, when, and after whatever went wrong."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest

from features.definitions import FEATURES
from features.online import (
    BucketCommit,
    ItemReader,
    Merger,
    connect_async,
    item_features,
)
from features.online import tiles as module
from features.online.batch import primaries
from features.online.state import CHANGES, prefix_of
from features.online.tiles import Fields, item_key
from features.tiles import sent
from features.totals import Ladder, Sums
from features.windows import TILE_MS
from tests.features.online.item_world import BUCKETS, DAY_MS, ORDER, SMALL, T, World, view
from tests.features.shared_events import HOUR_MS, Fact, facts


@pytest.mark.parametrize("seed", range(4))
def test_items_are_read_as_counted_from_their_events_however_these_come(redis_url: str, seed: int) -> None:
    """Late and out of order, over hours and months, merged now and then; and rebuilt from any batches, byte by byte."""
    world, rng = World(redis_url, FEATURES if seed % 3 == 0 else SMALL), Random(seed)
    merger, newest = world.merger(), T
    for _ in range(12):
        newest += rng.choice([0, 1, 40]) * HOUR_MS + rng.randrange(HOUR_MS)
        span = rng.choice([HOUR_MS, 30 * HOUR_MS, 100 * DAY_MS])
        world.commit(facts(rng, rng.randrange(1, 40), newest, span, BUCKETS))
        if rng.random() < 0.7:
            merger.merge()
            world.check(rng.randrange(30 * HOUR_MS), rng.randrange(100) * DAY_MS)
    world.merger().merge()
    world.check(5 * HOUR_MS)
    rebuilt = world.copies()
    for node in primaries(world.client):
        node.flushall()
    again = World(redis_url, world.table)
    again.commit(rng.sample(world.known, len(world.known)))
    again.merger().merge()
    assert again.copies() == rebuilt


def test_merging_when_nothing_happened_reads_and_writes_nothing(redis_url: str) -> None:
    world = World(redis_url)
    merger = world.merger()
    assert merger.merge() == 0
    world.commit([view(), Fact("page", T, 1, ())])
    assert merger.merge() == 1
    before = world.copies()
    assert merger.merge() == 0
    assert world.copies() == before


def test_only_items_that_something_happened_to_are_written(redis_url: str) -> None:
    world = World(redis_url)
    merger = world.merger()
    world.commit([view("i0"), view("i1", bucket=1), view("i2", bucket=3)])
    assert merger.merge() == 3
    world.commit([view("i1", T + 1, 2)])
    assert merger.merge() == 1
    world.check()


def test_a_merger_that_lies_too_far_behind_looks_at_whole_tiles(redis_url: str) -> None:
    world = World(redis_url)
    merger = world.merger()
    world.commit([view("i5")])
    merger.merge()
    for at in range(3 * CHANGES):
        world.commit([view(f"i{at % 5}", T + at * TILE_MS // 4, at % BUCKETS)])
    assert merger.merge() == 6  # i5 lies in tiles that others changed
    world.check(HOUR_MS)


def test_a_commit_too_large_to_be_told_is_merged_all_the_same(redis_url: str) -> None:
    world = World(redis_url)
    merger = world.merger()
    world.commit([view()])
    merger.merge()
    many = [view(f"an-item-with-a-long-name-{at}") for at in range(1_000)]
    world.commit([*many, view()])
    entries = world.client.xrange(f"{prefix_of(0, SMALL.generation)}changes", "2")
    assert [told for _, told in entries or ()] == [{b"t": b""}]
    assert merger.merge() == 1_001
    found = item_features(world.client, SMALL, ["an-item-with-a-long-name-7"], ["views_1h"], T)
    assert found == {"an-item-with-a-long-name-7": {"views_1h": 1}}
    world.check()


class _Slow(Merger):
    """Another worker commits and merges right after this one has read its sums."""

    world: World
    other: Merger
    more: list[Fact]

    def _sums(self, ladder: Ladder, buckets: Sequence[int], fields: Fields) -> Sums:
        sums = super()._sums(ladder, buckets, fields)
        if self.more:
            self.world.commit([self.more.pop()])
            self.other.merge()
        return sums


def test_a_worker_never_writes_older_sums_over_those_of_another(redis_url: str) -> None:
    world = World(redis_url)
    slow = _Slow(world.client, BUCKETS, SMALL)
    slow.world, slow.other, slow.more = world, world.merger(), []
    slow.merge()
    slow.other.merge()
    world.commit([view()])
    slow.more = [view(bucket=2), view(bucket=3), view(bucket=1)]
    slow.merge()
    assert slow.more == []
    world.check()


def test_a_redis_that_fell_back_is_merged_anew(redis_url: str) -> None:
    """Emptied under a running merger, then further than before: versions alone don't tell."""
    world = World(redis_url)
    merger = world.merger()
    world.commit([view("i0"), view("i1", bucket=1)])
    merger.merge()
    copies = {item_key(SMALL.generation, item): state for item, state in world.copies().items()}
    for node in primaries(world.client):
        node.flushall()
    for key, state in copies.items():
        world.client.set(key, state or b"")
    again = World(redis_url)
    again.commit([view("i1", T + HOUR_MS)])
    again.commit([view("i2", T + HOUR_MS, 2)])
    merger.merge()
    again.check(HOUR_MS)
    assert set(again.copies()) == {"i1", "i2"}


def test_a_broken_copy_is_made_again(redis_url: str) -> None:
    world = World(redis_url)
    merger = world.merger()
    world.commit([view()])
    merger.merge()
    world.client.set(item_key(SMALL.generation, "i0"), b"broken")
    world.commit([view()])
    merger.merge()
    world.check()


def test_a_rebuild_in_parts_is_the_same(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(redis_url)
    world.commit(facts(Random(4), 200, T, 50 * DAY_MS, BUCKETS, items=30))
    world.merger().merge()
    whole = world.copies()
    assert len(whole) > 20
    monkeypatch.setattr(module, "PART", 300)
    world.client.set(item_key(SMALL.generation, "gone"), b"x")
    world.merger().merge()
    assert world.copies() == whole


def test_a_sum_that_can_hold_no_more_stops_nothing(redis_url: str) -> None:
    world = World(redis_url)
    tiles = sent({1: {T // TILE_MS: {"1:i0": 2**62}}})
    for position in range(3):
        assert world.store.commit([BucketCommit(0, position, position, position + 1, {"u:1": b"x"}, tiles, 1)]) == []
    assert world.store.positions()[0] == 3


def test_the_service_reads_items_and_all_customers_together(redis_url: str) -> None:
    world = World(redis_url, FEATURES)
    order = Fact(ORDER, T, 1, (("i0", 2, 700), ("i1", 1, 300)))
    world.commit([view(), view(time=T - 2 * HOUR_MS), order])
    world.merger().merge()

    async def go() -> tuple[Any, Any]:
        client = connect_async(redis_url, timeout_s=5)
        reader = ItemReader(client)
        try:
            await reader.follow()
            with pytest.raises(KeyError):
                await reader.features(["i0"], ["views_24h"], T)
            numbers = await reader.numbers(["i0", "nobody"], ["item_views_24h", "item_conversion_30d"], T)
            assert np.array_equal(numbers, [[2, 0.5], [0, np.nan]], equal_nan=True)
            return (
                await reader.features(
                    ["i0", "i1", "nobody"], ["item_views_1h", "item_views_24h", "bought_together_90d"], T
                ),
                await reader.everyone(["all_orders_24h", "all_revenue_24h", "all_views_1h"], T - 1),
            )
        finally:
            await reader.aclose()

    items, everyone = asyncio.run(go())
    assert items == {
        "i0": {"item_views_1h": 1, "item_views_24h": 2, "bought_together_90d": {"i1": 1}},
        "i1": {"item_views_1h": 0, "item_views_24h": 0, "bought_together_90d": {"i0": 1}},
        "nobody": {"item_views_1h": 0, "item_views_24h": 0, "bought_together_90d": {}},
    }
    assert everyone == {"all_orders_24h": 1, "all_revenue_24h": 1_000, "all_views_1h": 1}
