"""Items and all customers together, live: the buckets' tiles are summed into a read copy of each item.

Key of an item in generation 3fa9c1: `i:3fa9c1:<item_id>`, a packed state; `i:3fa9c1:` is all customers together. Its
cells are set to sums over the buckets' tiles: setting them again, after a crash or by two workers at once, changes
nothing.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar, cast
from zlib import crc32

import msgspec

from features.errors import BrokenState, Overloaded
from features.online.batch import Batch, Client, Script, primaries
from features.online.merging import LOOK, READ, SWAP
from features.online.popularity import Tops, pairs
from features.online.state import meta_key, prefix_of, tile_key
from features.packing import pack, unpack
from features.table import Table
from features.tiles import place_of
from features.totals import Asked, Ladder, Sums, Tile, set_cells

CHUNK = 1_000  # items whose states are held in memory
PART = 1_000_000  # fields of tiles that a rebuild holds in memory
TRIES = 20

Field = tuple[Tile, str]
Fields = dict[str, list[Field]]  # by item
T = TypeVar("T")

_changes = msgspec.msgpack.Decoder(dict[int, dict[int, dict[str, str]]])


class Look(NamedTuple):
    """A bucket's version and newest tile, and what it tells of its versions from the one seen last on."""

    version: int
    newest: int
    told: dict[int, bytes]


class Merger:
    """Sums the buckets' tiles; one worker at a time is enough, several do no harm. Use it from one thread."""

    def __init__(self, client: Client, buckets: int, table: Table) -> None:
        self.client = client
        self.buckets = buckets
        self.table = table
        self._look, self._read, self._swap = (Script(client, source) for source in (LOOK, READ, SWAP))
        self._seen: dict[int, tuple[int, bytes]] = {}  # version, and what it told
        self._tops = Tops(client, buckets, table)

    def merge(self) -> int:
        """Bring the read copies up to date; returns how many were written. The first call rebuilds them all.

        Raises:  Overloaded: others change the same items every time; AWAY. What was not done yet, the next call does.
        """
        looks = self._looks()
        newest = max(look.newest for look in looks.values())
        ladder = Ladder(self.table, newest)
        if self._lost(looks):
            done = self._rebuild(ladder, looks)
        else:
            try:
                done = self._renew(ladder, looks)
            except BrokenState:
                done = self._rebuild(ladder, looks)
        self._seen = {bucket: (look.version, look.told.get(look.version, b"")) for bucket, look in looks.items()}
        return done

    def _looks(self) -> dict[int, Look]:
        batch = Batch(self.client)
        for bucket in range(self.buckets):
            seen = str(self._seen[bucket][0]) if self._seen else ""
            keys = [meta_key(bucket, self.table.generation), f"{prefix_of(bucket, self.table.generation)}changes"]
            batch.script(self._look, keys, [seen])
        return {
            bucket: Look(int(version), int(newest), {int(at.split(b"-")[0]): told[1] for at, told in rows})
            for bucket, (version, newest, rows) in enumerate(batch.execute())
        }

    def _lost(self, looks: Mapping[int, Look]) -> bool:
        """Nothing was merged yet, or a bucket isn't the one that was: Redis was emptied, or fell back."""
        if not self._seen:
            return True
        return any(
            looks[bucket].version < version or looks[bucket].told.get(version, told) != told
            for bucket, (version, told) in self._seen.items()
        )

    def _renew(self, ladder: Ladder, looks: Mapping[int, Look]) -> int:
        changed: Fields = defaultdict(list)
        found = self._changed(looks)
        self._tops.renew(max(look.newest for look in looks.values()), found)
        for tile, fields in found.items():
            for field in fields:
                if ladder.asks(tile, field) is not None:
                    changed[place_of(self.table, field).item].append((tile, field))
        there = [bucket for bucket, look in looks.items() if look.version]
        for items in _chunks(changed):
            self._set(ladder, there, {item: changed[item] for item in items})
        return len(changed)

    def _changed(self, looks: Mapping[int, Look]) -> dict[Tile, set[str]]:
        """The fields that were added to since they were looked at last."""
        found: dict[Tile, set[str]] = defaultdict(set)
        for bucket, look in looks.items():
            seen = self._seen[bucket][0]
            told = [look.told.get(version) for version in range(seen + 1, look.version + 1)]
            if not all(told):  # too many, or too large ones
                for tile, names in self._since(bucket, seen):
                    found[tile].update(names)
                continue
            for raw in told:
                for step, starts in _changes.decode(cast("bytes", raw)).items():
                    for start, fields in starts.items():
                        found[step, start].update(fields)
        return found

    def _since(self, bucket: int, version: int) -> Iterator[tuple[Tile, list[str]]]:
        """All fields of the tiles that a bucket changed after a version."""
        for tiles in _chunks(self._tiles(bucket, version)):
            batch = Batch(self.client)
            for step, start in tiles:
                batch.add("HKEYS", tile_key(bucket, self.table.generation, step, start))
            for tile, names in zip(tiles, batch.execute(), strict=True):
                yield tile, [name.decode() for name in names]

    def _tiles(self, bucket: int, version: int) -> list[Tile]:
        batch = Batch(self.client)
        batch.add("ZRANGEBYSCORE", f"{prefix_of(bucket, self.table.generation)}dirty", f"({version}", "+inf")
        names = [name.split(b":") for name in batch.execute()[0]]
        return [(int(step), int(start)) for _, step, start in names]

    def _set(self, ladder: Ladder, buckets: Sequence[int], fields: Fields) -> None:
        for _ in range(TRIES):
            old = self._get(fields)
            sums = self._sums(ladder, buckets, fields)
            fields = self._write(ladder, fields, sums, old)
            if not fields:
                return
        raise Overloaded(f"{len(fields)} items were written by others {TRIES} times while they were summed")

    def _get(self, items: Iterable[str]) -> list[bytes | None]:
        batch = Batch(self.client)
        for item in items:
            batch.add("GET", item_key(self.table.generation, item))
        return cast("list[bytes | None]", batch.execute())

    def _sums(self, ladder: Ladder, buckets: Sequence[int], fields: Fields) -> Sums:
        wanted: dict[Tile, dict[str, int]] = defaultdict(dict)
        for tile, field in (each for mine in fields.values() for each in mine):
            for one in (tile, *(ladder.asks(tile, field) or ())):
                wanted[one][field] = 0
        asked = msgspec.msgpack.encode([list(names) for names in wanted.values()])
        batch = Batch(self.client)
        for bucket in buckets:
            batch.script(self._read, [tile_key(bucket, self.table.generation, *tile) for tile in wanted], [asked])
        for answer in batch.execute():
            for sums, flat in zip(wanted.values(), answer, strict=True):
                for name, value in zip(flat[::2], flat[1::2], strict=True):
                    field = name.decode()
                    if field in sums:
                        sums[field] += int(value)
        return wanted

    def _write(
        self, ladder: Ladder, fields: Fields, sums: Sums, old: list[bytes | None], marks: list[str] | None = None
    ) -> Fields:
        """Returns those that were not written, because another has written them since.

        Args:    marks: what they must still be, where that isn't what they are built on.
        """
        asked = [Asked(at, *each) for at, mine in enumerate(fields.values()) for each in mine]
        states = pack(set_cells(ladder, unpack(old), asked, sums))
        batch = Batch(self.client)
        for item, state, mark in zip(fields, states, marks or map(mark_of, old), strict=True):
            batch.script(self._swap, [item_key(self.table.generation, item)], [mark, state])
        return {item: fields[item] for item, done in zip(fields, batch.execute(), strict=True) if not done}

    def _rebuild(self, ladder: Ladder, looks: Mapping[int, Look]) -> int:
        """Every item from all tiles, part by part; what has no tile goes."""
        self._tops.rebuild(max(look.newest for look in looks.values()))
        tiles = [(bucket, tile) for bucket, look in looks.items() if look.version for tile in self._tiles(bucket, 0)]
        needed = ladder.needs({tile for _, tile in tiles})
        tiles = [(bucket, tile) for bucket, tile in tiles if tile in needed]
        sizes: list[int] = []
        for some in _chunks(tiles):
            batch = Batch(self.client)
            for bucket, (step, start) in some:
                batch.add("HLEN", tile_key(bucket, self.table.generation, step, start))
            sizes += map(int, batch.execute())
        parts = 1 + sum(sizes) // PART
        return sum(self._part(ladder, tiles, part, parts) for part in range(parts))

    def _part(self, ladder: Ladder, tiles: list[tuple[int, Tile]], part: int, parts: int) -> int:
        for _ in range(TRIES):
            marks = self._marks(part, parts)
            fields, sums = self._all(ladder, tiles, part, parts)
            failed = False
            for items in _chunks(fields):
                mine = {item: fields[item] for item in items}
                told = [marks.pop(item, "") for item in items]
                failed |= bool(self._write(ladder, mine, sums, [None] * len(mine), told))
            for gone in _chunks(marks):
                batch = Batch(self.client)
                for item in gone:
                    batch.script(self._swap, [item_key(self.table.generation, item)], [marks[item], b""])
                failed |= not all(batch.execute())
            if not failed:
                return len(fields)
        raise Overloaded(f"items were written by others {TRIES} times while they were rebuilt")

    def _marks(self, part: int, parts: int) -> dict[str, str]:
        """What each item of a part is now."""
        prefix = item_key(self.table.generation, "")
        marks: dict[str, str] = {}
        for node in primaries(self.client):
            keys = node.scan_iter(match=f"{prefix}*", count=CHUNK)
            items = (cast("bytes", key).decode().removeprefix(prefix) for key in keys)
            for some in _chunks(item for item in items if crc32(item.encode()) % parts == part):
                marks.update(zip(some, map(mark_of, self._get(some)), strict=True))
        return marks

    def _all(self, ladder: Ladder, tiles: list[tuple[int, Tile]], part: int, parts: int) -> tuple[Fields, Sums]:
        """The fields of a part's items, and their sums."""
        sums: dict[Tile, dict[str, int]] = defaultdict(dict)
        fields: Fields = defaultdict(list)
        known: dict[bytes, tuple[str, str] | None] = {}  # a name: field and item, None for one of another part
        for some in _chunks(tiles, CHUNK // 10):
            batch = Batch(self.client)
            for bucket, (step, start) in some:
                batch.add("HGETALL", tile_key(bucket, self.table.generation, step, start))
            for (_, tile), answer in zip(some, batch.execute(), strict=True):
                mine = sums[tile]
                for name, value in pairs(answer):
                    if name not in known:
                        item = place_of(self.table, name.decode()).item
                        known[name] = (name.decode(), item) if crc32(item.encode()) % parts == part else None
                    if (found := known[name]) is not None:
                        field, item = found
                        if field not in mine and ladder.asks(tile, field) is not None:
                            fields[item].append((tile, field))
                        mine[field] = mine.get(field, 0) + int(value)
        return fields, sums


def item_key(generation: str, item_id: str) -> str:
    """Where the read copy of an item is kept; that of all customers together has no id."""
    return f"i:{generation}:{item_id}"


def mark_of(state: bytes | None) -> str:
    """What a state is compared by."""
    return "" if state is None else hashlib.sha1(state).hexdigest()  # noqa: S324 - Redis has no other


def _chunks(values: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    remaining = iter(values)
    while some := list(islice(remaining, size)):
        yield some
