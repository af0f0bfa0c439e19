"""Edges between raw ids, kept beside both of them; they are merged into components when read.

Keys of bucket 17: `{b:17}:e:<raw id>`, the packed `identity.stored` of that id, and `{b:17}:e`, how far the event log's
edges are there. No commit spans two buckets: what is kept is a merge of sets, so writing an edge again, in any order or
from two workers at once, changes nothing.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping
from itertools import chain

import msgspec

from features.identity import MEMBERS, Component, Edge, Graph, pack, resolve, stored, unpack
from features.online.batch import Batch, Client, Script
from features.online.state import bucket_of_customer

ROUNDS = MEMBERS
Fetch = Callable[[list[str]], Awaitable[list[bytes | None]]]

# Nobody claims an id's edges, so a write is refused where another has written since the read.
_SWAP = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""


class IdentityStore:
    """Writes edges; `buckets` is the number that the stream processor writes with."""

    def __init__(self, client: Client, buckets: int) -> None:
        self.client = client
        self.buckets = buckets
        self._swap = Script(client, _SWAP)

    def add(self, edges: Collection[Edge]) -> None:
        """Take edges into what both ends keep; returns when both have them, and may be repeated.

        The edges of an anonymousId then go on to all its userIds, which must learn when it isn't theirs any more.

        Raises:  redis.RedisError, OSError: Redis is away; what was written stays, adding again completes it.
        """
        ends: defaultdict[str, set[Edge]] = defaultdict(set)
        for edge in edges:
            if edge.counts:
                ends[edge.left].add(edge)
                ends[edge.right].add(edge)
        users: defaultdict[str, set[Edge]] = defaultdict(set)
        for raw_id, known in self._merge(ends).items():
            if raw_id.startswith("a:"):
                for edge in known:
                    users[edge.right] |= known
        self._merge(users)

    def logged(self) -> dict[str, dict[int, int]]:
        """By source and partition of the event log, up to which offset every bucket holds the edges drawn there."""
        batch = Batch(self.client)
        for bucket in range(self.buckets):
            batch.add("GET", _logged_key(bucket))
        found = [msgspec.msgpack.decode(each or b"\x80", type=dict[str, dict[int, int]]) for each in batch.execute()]
        names = set.intersection(*({*each} for each in found))
        return {name: _least([each[name] for each in found]) for name in sorted(names)}

    def mark_logged(self, ends: Mapping[str, Mapping[int, int]]) -> None:
        """Say, once they are added, that all edges of the event log up to these offsets are there.

        It is kept in each bucket's slot, so that a node that falls back forgets both.
        """
        batch = Batch(self.client)
        for bucket in range(self.buckets):
            batch.add("SET", _logged_key(bucket), msgspec.msgpack.encode(ends))
        batch.execute()

    def _merge(self, new: Mapping[str, set[Edge]]) -> dict[str, set[Edge]]:
        """Returns by id what was kept before and the new edges."""
        merged: dict[str, set[Edge]] = {}
        waiting = list(new)
        while waiting:
            old = self._read(waiting)
            merged.update((raw_id, {*unpack(old[raw_id]), *new[raw_id]}) for raw_id in waiting)
            waiting = self._write({raw_id: (old[raw_id], pack(stored(raw_id, merged[raw_id]))) for raw_id in waiting})
        return merged

    def _read(self, raw_ids: list[str]) -> dict[str, bytes | None]:
        batch = Batch(self.client)
        for raw_id in raw_ids:
            batch.add("GET", edges_key(raw_id, self.buckets))
        return dict(zip(raw_ids, batch.execute(), strict=True))

    def _write(self, changes: Mapping[str, tuple[bytes | None, bytes]]) -> list[str]:
        """Returns the ids that another writer overtook."""
        sent = [raw_id for raw_id, (old, packed) in changes.items() if old != packed]
        batch = Batch(self.client)
        for raw_id in sent:
            old, packed = changes[raw_id]
            batch.script(self._swap, [edges_key(raw_id, self.buckets)], [old or b"", packed])
        return [raw_id for raw_id, done in zip(sent, batch.execute(), strict=True) if not done]


async def read_component(raw_id: str, fetch: Fetch) -> Component:
    """The component of a raw id, by all edges that are kept now.

    One fetch for a userId or an id without edges, two for an anonymousId with an owner. Where secret keys joined
    userIds, each step from one to the next takes one more, up to 16 in all: the longest chain that a component can be.
    What a longer one is cut to depends on the end it is read from.

    Args:    fetch: the packed edges beside each of some ids.
    """
    known: dict[str, list[Edge]] = {}
    for _ in range(ROUNDS):
        wanted = missing(raw_id, known)
        if not wanted:
            break
        known.update(zip(wanted, map(unpack, await fetch(wanted)), strict=True))
    return component(raw_id, known)


def edges_key(raw_id: str, buckets: int) -> str:
    """Where the edges of a raw id (`u:...` or `a:...`) are kept."""
    return f"{{b:{bucket_of_customer(raw_id, buckets)}}}:e:{raw_id}"


def _logged_key(bucket: int) -> str:
    return f"{{b:{bucket}}}:e"


def _least(ends: list[dict[int, int]]) -> dict[int, int]:
    """By partition the smallest offset; a partition that one lacks is left out."""
    partitions = set.intersection(*({*each} for each in ends))
    return {partition: min(each[partition] for each in ends) for partition in sorted(partitions)}


def missing(raw_id: str, known: Mapping[str, Collection[Edge]]) -> list[str]:
    """The ids whose edges must be read before `component` is right, by what was read so far; none when all were."""
    users = Graph(chain.from_iterable(known.values())).at().users(raw_id)
    return sorted({raw_id, *users} - known.keys())


def component(raw_id: str, known: Mapping[str, Collection[Edge]]) -> Component:
    """The component of a raw id, by the edges read beside the ids that `missing` asked for."""
    return resolve(raw_id, chain.from_iterable(known.values()))
