"""What is popular now: of each of the last days the most popular items, of all and by context, kept by the merger.

Key of a day in generation 3fa9c1: `{top}:3fa9c1:<start>`, a sorted set of at most 1,000 items by their weight that day,
summed over the buckets' tiles; of a context `{top}:3fa9c1:<start>:country:GB`, at most 100, and `:contexts` holds which
contexts there are, by the weight of their most popular item. A weight is set to the sum whenever it changes, so an item
that was let go comes back as it grows; a read looks at a few thousand entries, however many items there are.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any
from zlib import crc32

from features.online.batch import Batch, Client
from features.online.state import meta_key, tile_key
from features.table import Table, needs
from features.tiles import place_of
from features.trends import EVERYBODY, context_key
from features.windows import DAY

# Features whose daily tiles are summed, by the kind of context that they are keyed by.
POPULARITY = {
    "": "item_popularity_90d",
    "country": "item_popularity_by_country_32d",
    "device": "item_popularity_by_device_32d",
}
DAYS = 7
TOP = 1_000  # items of a day
TOP_IN_CONTEXT = 100
CONTEXTS = 24  # that a read looks at
AT_ONCE = 1_000  # fields that are asked for together
KEPT = 100  # days before, of which a merger that wasn't there when they were over looks for keys
PART = 1_000_000  # fields of a day whose names are held in memory


def popular(client: Client, buckets: int, table: Table, days: int = DAYS) -> dict[str, int]:
    """Weighted events by item over the last days of the log's own time, at most seven, all customers together.

    Of each day only what its thousand most popular items got is counted.
    """
    return _summed(client, table, _days(client, buckets, table, days), [EVERYBODY])[EVERYBODY]


def popular_by_context(client: Client, buckets: int, table: Table, days: int = DAYS) -> dict[str, dict[str, int]]:
    """The same of each context (`country:GB`, `device:mobile`) of the 24 in which most happens.

    Of each day only what a context's hundred most popular items got is counted.
    """
    starts, batch, weights = _days(client, buckets, table, days), Batch(client), Counter[str]()
    for start in starts:
        batch.add("ZREVRANGE", contexts_key(table.generation, start), 0, CONTEXTS - 1, "WITHSCORES")
    for answer in batch.execute():
        weights.update({key.decode(): int(float(weight)) for key, weight in _scored(answer)})
    wanted = sorted(weights, key=lambda key: (-weights[key], key))[:CONTEXTS]
    return _summed(client, table, starts, sorted(wanted))


def _days(client: Client, buckets: int, table: Table, days: int) -> list[int]:
    return Tops(client, buckets, table).days(_newest(client, buckets, table))[-days:]


def _summed(client: Client, table: Table, starts: list[int], contexts: list[str]) -> dict[str, dict[str, int]]:
    batch, totals = Batch(client), {context: Counter[str]() for context in contexts}
    asked = [(context, start) for context in contexts for start in starts]
    for context, start in asked:
        batch.add("ZRANGE", top_key(table.generation, start, context), 0, -1, "WITHSCORES")
    for (context, _), answer in zip(asked, batch.execute(), strict=True):
        totals[context].update({item.decode(): int(float(weight)) for item, weight in _scored(answer)})
    return {context: dict(total) for context, total in totals.items()}


class Tops:
    """Writes the days' sorted sets; a table without popularity has none."""

    def __init__(self, client: Client, buckets: int, table: Table) -> None:
        self.client = client
        self.buckets = buckets
        self.table = table
        known = {kind: name for kind, name in POPULARITY.items() if name in table.features}
        self._kinds = {table.ids[needs(table.features[name])[0][0]]: kind for kind, name in known.items()}
        self._prefixes = tuple(f"{number}:" for number in self._kinds)
        self._last: list[int] = []

    def days(self, newest: int) -> list[int]:
        """The first tiles of the last days up to the newest tile of all, oldest first."""
        return [(newest // DAY - back) * DAY for back in reversed(range(DAYS))] if self._kinds else []

    def renew(self, newest: int, changed: Mapping[tuple[int, int], Iterable[str]]) -> None:
        """Set the weights of fields of tiles (step, start) that were added to."""
        days = self.days(newest)
        for start in days:
            fields = sorted(each for each in changed.get((DAY, start), ()) if each.startswith(self._prefixes))
            for context, some in self._by_context(fields).items():
                self._set(start, some, context, top_key(self.table.generation, start, context))
                self._name(start, context)
        self._drop(days, self._last)

    def rebuild(self, newest: int) -> None:
        """Set all weights, from all tiles."""
        days = self.days(newest)
        for start in days:
            batch = Batch(self.client)
            for bucket in range(self.buckets):
                batch.add("HLEN", tile_key(bucket, self.table.generation, DAY, start))
            parts = 1 + sum(map(int, batch.execute())) // PART
            found: set[str] = set()
            for part in range(parts):
                for context, fields in self._by_context(self._fields(start, part, parts)).items():
                    draft = f"{top_key(self.table.generation, start, context)}:draft"
                    if context not in found:  # a reader sees the one before until this is whole
                        self._do("DEL", draft)
                    self._set(start, fields, context, draft)
                    found.add(context)
            self._publish(start, found)
        self._drop(days, range(days[0] - KEPT * DAY, days[0], DAY) if days else ())

    def _publish(self, start: int, found: set[str]) -> None:
        generation = self.table.generation
        for context in sorted({EVERYBODY, *self._contexts(start)} - found):
            self._do("DEL", top_key(generation, start, context))
            self._do("ZREM", contexts_key(generation, start), context)
        for context in sorted(found):
            key = top_key(generation, start, context)
            self._do("RENAME", f"{key}:draft", key)
            self._name(start, context)

    def _by_context(self, fields: Iterable[str]) -> dict[str, list[str]]:
        """The fields of each context that lists are kept for."""
        found: dict[str, list[str]] = defaultdict(list)
        for field in fields:
            place = place_of(self.table, field)
            kind = self._kinds[place.series]
            context = context_key(kind, place.key) if kind else EVERYBODY
            if context or not kind:
                found[context].append(field)
        return found

    def _name(self, start: int, context: str) -> None:
        """Remember a context, by the weight of its most popular item."""
        if context:
            key = top_key(self.table.generation, start, context)
            ((_, weight),) = _scored(self._do("ZREVRANGE", key, 0, 0, "WITHSCORES"))
            self._do("ZADD", contexts_key(self.table.generation, start), weight, context)

    def _contexts(self, start: int) -> list[str]:
        return [key.decode() for key in self._do("ZRANGE", contexts_key(self.table.generation, start), 0, -1)]

    def _do(self, *command: Any) -> Any:
        batch = Batch(self.client)
        batch.add(*command)
        return batch.execute()[0]

    def _fields(self, start: int, part: int, parts: int) -> list[str]:
        prefixes, found = tuple(prefix.encode() for prefix in self._prefixes), set[bytes]()
        for bucket in range(self.buckets):
            names = self._do("HKEYS", tile_key(bucket, self.table.generation, DAY, start))
            found.update(name for name in names if name.startswith(prefixes) and crc32(name) % parts == part)
        return sorted(name.decode() for name in found)

    def _set(self, start: int, fields: list[str], context: str, key: str) -> None:
        for at in range(0, len(fields), AT_ONCE):
            some = fields[at : at + AT_ONCE]
            batch = Batch(self.client)
            for bucket in range(self.buckets):
                batch.add("HMGET", tile_key(bucket, self.table.generation, DAY, start), *some)
            weights = [sum(int(weight or 0) for weight in column) for column in zip(*batch.execute(), strict=True)]
            scores = zip(weights, (place_of(self.table, field).item for field in some), strict=True)
            batch.add("ZADD", key, *(each for pair in scores for each in pair))
            batch.add("ZREMRANGEBYRANK", key, 0, -(TOP_IN_CONTEXT if context else TOP) - 1)
            batch.execute()

    def _drop(self, days: list[int], before: Iterable[int]) -> None:
        for start in sorted({*before}.difference(days)):
            batch = Batch(self.client)
            for context in (EVERYBODY, *self._contexts(start)):
                batch.add("DEL", top_key(self.table.generation, start, context))
            batch.add("DEL", contexts_key(self.table.generation, start))
            batch.execute()
        self._last = days


def top_key(generation: str, start: int, context: str = EVERYBODY) -> str:
    """Where the most popular items of a day are kept, of all customers or of a context."""
    return f"{{top}}:{generation}:{start}{context and ':'}{context}"


def contexts_key(generation: str, start: int) -> str:
    """Where a day's contexts are kept."""
    return f"{{top}}:{generation}:{start}:contexts"


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
