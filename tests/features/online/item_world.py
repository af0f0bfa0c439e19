"""A world of items whose events are known: what is committed is held against what is read."""

from collections.abc import Sequence
from typing import Any

from features.compiled import packed_additions
from features.feature import about, count, ratio, total
from features.online import NO_TILES, BucketCommit, Client, Merger, StateStore, connect, item_features
from features.online.batch import primaries
from features.online.tiles import item_key
from features.table import Table, table
from features.tiles import kept_tiles
from features.windows import DAY, TILE_MS
from tests.features.shared_events import Fact, counted, part_of

T = 1_760_000_000_000
DAY_MS = DAY * TILE_MS
BUCKETS = 4
VIEW, ADD, ORDER = "Product Viewed", "Product Added", "Order Completed"
ITEMS = [f"i{at}" for at in range(6)]
SMALL = table(
    (
        *about("item", count("views_1h", VIEW, "1h"), count("views_2d", VIEW, "2d"), count("views_9d", VIEW, "9d")),
        *about("item", count("before", VIEW, "1d before 1d"), total("pieces", ORDER, "40d", of="pieces")),
        *about("item", count("month", ADD, "month"), count("adds", ADD, "24h"), count("with", ORDER, "40d", by="with")),
        ratio("rate", "pieces", "views_9d", entity="item"),
        *about("global", count("orders", ORDER, "24h"), total("cents", ORDER, "3d", of="cents")),
    )
)


class World:
    """Commits events as a worker does, and knows them all."""

    def __init__(self, url: str, features: Table = SMALL, source: str = "events.x.p1") -> None:
        self.client: Client = connect(url)
        self.table = features
        self.store = StateStore(self.client, source, BUCKETS, features.generation, kept_tiles(features))
        self.positions = self.store.claim(list(range(BUCKETS)))
        self.known: list[Fact] = []

    def commit(self, found: Sequence[Fact]) -> None:
        self.known += found
        added = packed_additions(self.table, part_of(found))
        versions = self.store.read({bucket: [] for bucket in range(BUCKETS)})
        commits = []
        for bucket, position in self.positions.items():
            newest = max((fact.time // TILE_MS for fact in found if fact.bucket == bucket), default=0)
            tiles = added.get(bucket, NO_TILES)
            commits.append(BucketCommit(bucket, versions[bucket][0], position, position + 1, {}, tiles, newest))
            self.positions[bucket] += 1
        assert self.store.commit(commits) == []

    def merger(self) -> Merger:
        return Merger(self.client, BUCKETS, self.table)

    def newest(self) -> int:
        return max((fact.time for fact in self.known), default=0)

    def copies(self) -> dict[str, bytes | None]:
        """The read copies as they are kept."""
        prefix = item_key(self.table.generation, "")
        keys = [key for node in primaries(self.client) for key in node.scan_iter(match=f"{prefix}*")]
        return {key.decode().removeprefix(prefix): self.client.get(key) for key in sorted(keys)}  # type: ignore

    def check(self, *later: int) -> None:
        """What is read is what the events say, at their newest moment and later."""
        names = [name for name, feature in self.table.features.items() if feature.entity == "item"]
        for now in (self.newest() + each for each in (0, *later)):
            found = item_features(self.client, self.table, ITEMS, names, now)
            assert found == {item: {name: self.expected(name, item, now) for name in names} for item in ITEMS}

    def expected(self, name: str, item: str, now: int) -> Any:
        return counted(self.table, name, item, self.known, now)


def view(item: str = "i0", time: int = T, bucket: int = 0) -> Fact:
    return Fact(VIEW, time, bucket, ((item, 1, 0),))
