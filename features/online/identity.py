"""Edges between raw ids, kept beside both of them; they are merged into components when read.

Keys of bucket 17: `{b:17}:e:<raw id>`, the packed `Beside` of that id, and `{b:17}:e`, how far the event log's edges
are there. No commit spans two buckets: what is kept is a merge of sets, so writing an edge again, in any order or from
two workers at once, changes nothing.

Who belongs together is only ever said by the edges. For a read in two round trips each id also knows which ids to read
along with it (`near`), a hint: where it is late or lost, by a race or a node that fell back, a read takes one more trip
and says the same. So an id learns of the others by their names, not by copies of their edges.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Mapping
from itertools import chain

import msgspec
from msgspec import Struct

from features.components import MEMBERS, Component, Graph, View
from features.identity import Edge, stored
from features.online.batch import Batch, Client, Script
from features.online.state import bucket_of_customer

Fetch = Callable[[list[str], list[str]], Awaitable[list[bytes | None]]]

# Nobody claims an id's edges, so a write is refused where another has written since the read.
_SWAP = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""


class Beside(Struct, frozen=True, array_like=True):
    """What is kept of a raw id: `identity.stored` of it, and the other ids of its component that these don't name."""

    edges: list[Edge] = []
    near: list[str] = []


ALONE = Beside()
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Beside)


class IdentityStore:
    """Writes edges; `buckets` is the number that the stream processor writes with."""

    def __init__(self, client: Client, buckets: int) -> None:
        self.client = client
        self.buckets = buckets
        self._swap = Script(client, _SWAP)

    def add(self, edges: Collection[Edge]) -> None:
        """Take edges into what both ends keep; returns when both have them, and may be repeated.

        The edges of an anonymousId then go on to all its userIds, which must learn when it isn't theirs any more. At
        last all members of the components learn whom to read along.

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
        self._tell({*ends, *users})

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
            packed = self._read(waiting)
            old = {raw_id: unpack(packed[raw_id]) for raw_id in waiting}
            merged.update((raw_id, {*old[raw_id].edges, *new[raw_id]}) for raw_id in waiting)
            now = {raw_id: Beside(stored(raw_id, merged[raw_id]), old[raw_id].near) for raw_id in waiting}
            waiting = self._write({raw_id: (packed[raw_id], _encoder.encode(now[raw_id])) for raw_id in waiting})
        return merged

    def _tell(self, raw_ids: Collection[str]) -> None:
        """Write whom to read along beside all members of the components of some ids, until a look finds it right.

        Two at once may each write what they saw before the other's edges; whoever looks last sees both.
        """
        waiting = {*raw_ids}
        while waiting:
            packed, beside = self._around(waiting)
            near = _all_near(waiting, beside)
            wrong = {raw_id: each for raw_id, each in near.items() if each != beside[raw_id].near}
            told = {raw_id: _encoder.encode(Beside(beside[raw_id].edges, each)) for raw_id, each in wrong.items()}
            self._write({raw_id: (packed[raw_id], each) for raw_id, each in told.items()})
            waiting = {*wrong}

    def _around(self, raw_ids: Collection[str]) -> tuple[dict[str, bytes | None], dict[str, Beside]]:
        """What is kept beside all members of the components of some ids, packed and not."""
        packed: dict[str, bytes | None] = {}
        beside: dict[str, Beside] = {}
        wanted = {*raw_ids}
        while wanted:
            packed |= self._read(sorted(wanted))
            beside.update((raw_id, unpack(packed[raw_id])) for raw_id in wanted)
            view = view_of(beside.values())
            wanted = {each for raw_id in raw_ids for each in _unread(view, raw_id, beside)}
            if not wanted:
                wanted = {each for raw_id in raw_ids for each in view.family(raw_id)} - beside.keys()
        return packed, beside

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

    One fetch for a userId or an id without edges, one more for all others; further ones only where somebody was
    writing, or where secret keys joined more userIds than a component has places. What such a chain is cut to depends
    on the end it is read from.

    Args:    fetch: what is packed beside each of some ids, and whatever the caller wants of those and of some more.
    """
    beside: dict[str, Beside] = {}
    along: list[str] = []
    wanted = [raw_id]
    while wanted:
        beside.update(zip(wanted, map(unpack, await fetch(wanted, along)), strict=True))
        if beside[raw_id] == ALONE:  # as most are: the rest would say the same, in ten times the time
            return Component(raw_id, (raw_id,), False)
        wanted = missing(raw_id, beside)
        along = sorted({*component(raw_id, beside).members, *beside[raw_id].near}) if wanted else []
    return component(raw_id, beside)


def missing(raw_id: str, beside: Mapping[str, Beside]) -> list[str]:
    """The ids beside which must be read before `component` is right, by what was read so far; none when all were."""
    near = {each for each in beside[raw_id].near if each.startswith("u:")} if raw_id in beside else set()
    return sorted(_unread(view_of(beside.values()), raw_id, beside, near))


def component(raw_id: str, beside: Mapping[str, Beside]) -> Component:
    """The component of a raw id, by what was read beside the ids that `missing` asked for."""
    return view_of(beside.values()).component(raw_id)


def view_of(beside: Iterable[Beside]) -> View:
    """What the edges kept beside some ids say."""
    return Graph(chain.from_iterable(each.edges for each in beside)).at()


def unpack(packed: bytes | None) -> Beside:
    """What is kept beside an id, from its binary value; nothing where there is none."""
    return ALONE if packed is None else _decoder.decode(packed)


def edges_key(raw_id: str, buckets: int) -> str:
    """Where the edges of a raw id (`u:...` or `a:...`) are kept."""
    return edges_key_in(bucket_of_customer(raw_id, buckets), raw_id)


def edges_key_in(bucket: int, raw_id: str) -> str:
    """The same, of an id whose bucket is known."""
    return f"{{b:{bucket}}}:e:{raw_id}"


def _logged_key(bucket: int) -> str:
    return f"{{b:{bucket}}}:e"


def _least(ends: list[dict[int, int]]) -> dict[int, int]:
    """By partition the smallest offset; a partition that one lacks is left out."""
    partitions = set.intersection(*({*each} for each in ends))
    return {partition: min(each[partition] for each in ends) for partition in sorted(partitions)}


def _unread(view: View, raw_id: str, read: Container[str], near: Collection[str] = ()) -> set[str]:
    """The users of a component, or likely of it, that weren't read; none when as many were as it can have."""
    users = view.users(raw_id)
    if sum(user in read for user in users) >= MEMBERS:
        return set()
    return {each for each in (raw_id, *users, *near) if each not in read}


def _all_near(raw_ids: Collection[str], beside: Mapping[str, Beside]) -> dict[str, list[str]]:
    """Whom to read along, by id, for some ids and all members of their components."""
    view = view_of(beside.values())
    near: dict[str, list[str]] = {}
    for raw_id in sorted(raw_ids):
        if raw_id not in near:
            family = view.family(raw_id)
            near.update((member, _near(view, member, family)) for member in family)
            if raw_id not in family:  # beyond the bound, it is by itself once all users are asked
                near[raw_id] = _near(view, raw_id, [each for each in family if each.startswith("u:")])
    return near


def _near(view: View, raw_id: str, family: Collection[str]) -> list[str]:
    """All but those that one's own edges name: an anonymousId's user, the devices of a user joined to no other."""
    alone = raw_id.startswith("u:") and sum(each.startswith("u:") for each in family) < 2
    return [] if alone else sorted({*family} - {raw_id, view.owner(raw_id)})
