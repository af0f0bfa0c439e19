"""What is popular now: of each of the last days the most popular items, kept by the merger of items.

Key of a day in generation 3fa9c1: `{top}:3fa9c1:<start>`, a sorted set of at most 1,000 items by their weight that day,
summed over the buckets' tiles. A weight is set to the sum whenever it changes, so an item that was let go comes back as
it grows; a read looks at a few thousand entries, however many items there are.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from zlib import crc32

from features.online.batch import Batch, Client
from features.online.state import meta_key, tile_key
from features.table import Table, needs
from features.windows import DAY

POPULARITY = "item_popularity_90d"  # its daily tiles are summed
DAYS = 7
TOP = 1_000  # items of a day
AT_ONCE = 1_000  # fields that are asked for together
KEPT = 100  # days before, of which a merger that wasn't there when they were over looks for keys
PART = 1_000_000  # fields of a day whose names are held in memory


def popular(client: Client, buckets: int, table: Table, days: int = DAYS) -> dict[str, int]:
    """Weighted events by item over the last days of the log's own time, at most seven, all customers together.

    Of each day only what its thousand most popular items got is counted.
    """
    batch = Batch(client)
    for start in Tops(client, buckets, table).days(_newest(client, buckets, table))[-days:]:
        batch.add("ZRANGE", top_key(table.generation, start), 0, -1, "WITHSCORES")
    totals: dict[str, int] = {}
    for answer in batch.execute():
        for item, weight in _scored(answer):
            totals[item.decode()] = totals.get(item.decode(), 0) + int(float(weight))
    return totals


class Tops:
    """Writes the days' sorted sets; a table without popularity has none."""

    def __init__(self, client: Client, buckets: int, table: Table) -> None:
        self.client = client
        self.buckets = buckets
        self.table = table
        known = POPULARITY in table.features
        self._prefix = f"{table.ids[needs(table.features[POPULARITY])[0][0]]}:" if known else ""
        self._last: list[int] = []

    def days(self, newest: int) -> list[int]:
        """The first tiles of the last days up to the newest tile of all, oldest first."""
        return [(newest // DAY - back) * DAY for back in reversed(range(DAYS))] if self._prefix else []

    def renew(self, newest: int, changed: Mapping[tuple[int, int], Iterable[str]]) -> None:
        """Set the weights of fields of tiles (step, start) that were added to."""
        days = self.days(newest)
        for start in days:
            fields = sorted(each for each in changed.get((DAY, start), ()) if each.startswith(self._prefix))
            self._set(start, fields, top_key(self.table.generation, start))
        self._drop(days, self._last)

    def rebuild(self, newest: int) -> None:
        """Set all weights, from all tiles."""
        days = self.days(newest)
        for start in days:
            key = top_key(self.table.generation, start)
            draft = f"{key}:draft"  # a reader sees the one before until this is whole
            batch = Batch(self.client)
            for bucket in range(self.buckets):
                batch.add("HLEN", tile_key(bucket, self.table.generation, DAY, start))
            parts = 1 + sum(map(int, batch.execute())) // PART
            batch.add("DEL", draft)
            batch.execute()
            found = [self._set(start, self._fields(start, part, parts), draft) for part in range(parts)]
            batch.add(*(("RENAME", draft, key) if any(found) else ("DEL", key)))
            batch.execute()
        self._drop(days, range(days[0] - KEPT * DAY, days[0], DAY) if days else ())

    def _fields(self, start: int, part: int, parts: int) -> list[str]:
        prefix, found = self._prefix.encode(), set[bytes]()
        for bucket in range(self.buckets):
            batch = Batch(self.client)
            batch.add("HKEYS", tile_key(bucket, self.table.generation, DAY, start))
            names = (name for name in batch.execute()[0] if name.startswith(prefix))
            found.update(name for name in names if crc32(name) % parts == part)
        return sorted(name.decode() for name in found)

    def _set(self, start: int, fields: list[str], key: str) -> int:
        """Returns how many were set."""
        for at in range(0, len(fields), AT_ONCE):
            some = fields[at : at + AT_ONCE]
            batch = Batch(self.client)
            for bucket in range(self.buckets):
                batch.add("HMGET", tile_key(bucket, self.table.generation, DAY, start), *some)
            weights = [sum(int(weight or 0) for weight in column) for column in zip(*batch.execute(), strict=True)]
            scores = zip(weights, (field.removeprefix(self._prefix) for field in some), strict=True)
            batch.add("ZADD", key, *(each for pair in scores for each in pair))
            batch.add("ZREMRANGEBYRANK", key, 0, -TOP - 1)
            batch.execute()
        return len(fields)

    def _drop(self, days: list[int], before: Iterable[int]) -> None:
        batch = Batch(self.client)
        for start in {*before}.difference(days):
            batch.add("DEL", top_key(self.table.generation, start))
        batch.execute()
        self._last = days


def top_key(generation: str, start: int) -> str:
    """Where the most popular items of a day are kept."""
    return f"{{top}}:{generation}:{start}"


def _newest(client: Client, buckets: int, table: Table) -> int:
    batch = Batch(client)
    for bucket in range(buckets):
        batch.add("HGET", meta_key(bucket, table.generation), "newest")
    return max((int(tile or 0) for tile in batch.execute()), default=0)


def _scored(answer: list[Any]) -> list[tuple[bytes, Any]]:
    """Members and scores of a sorted set; by protocol they come as pairs or flat."""
    flat = not answer or isinstance(answer[0], bytes)
    return list(zip(answer[::2], answer[1::2], strict=True)) if flat else [(member, score) for member, score in answer]


def pairs(answer: object) -> list[tuple[bytes, bytes]]:
    """The fields and values of a hash; a pipeline answers with a dictionary or, by protocol, with a flat list."""
    if isinstance(answer, dict):
        return list(answer.items())
    flat = list(answer) if isinstance(answer, list) else []
    return list(zip(flat[::2], flat[1::2], strict=True))
