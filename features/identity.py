"""Who belongs together: a function of the set of edges between raw ids, whatever order they came in.

An edge joins an anonymousId to a userId, or two userIds. A browser can draw only the first kind; joining two userIds,
and taking any edge away, needs a secret key (`Edge.counts`). A pair taken away stays so until it is drawn at a later
time, and then counts from its newest drawing. An anonymousId belongs to the userId of its earliest edge, by time, then
by userId.

Of all edges of a raw id only a bounded summary is ever looked at (`kept`), online and offline alike: by pair the first
drawing, the newest one and the newest removal, so a thousand logins from one browser take two places of it. Summaries
merge: that of a union is that of the united summaries, so order, repetition and batches don't matter.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from heapq import nlargest, nsmallest
from typing import Literal, NamedTuple

import msgspec
from msgspec import Raw, Struct, msgpack

from features.errors import BadInput
from features.events import Event
from features.properties import AnyId

MEMBERS = 16  # of a component; any id beyond them stays by itself
PAIRS = 64  # of a userId
PAIRS_OF_ANONYMOUS = 8  # of an anonymousId: more users than that share no person, and users keep copies of these
REMOVALS = 64  # of any id; only secret keys make them
LATEST_MS = 86_400_000  # an untrusted edge counts as drawn at most so long before it came: the earliest ones win

Knowledge = Literal["then", "final"]

_NULL, _TRUE = Raw(b"null"), Raw(b"true")


class Edge(Struct, frozen=True, order=True, array_like=True, kw_only=True):
    """A pair of raw ids drawn together, or taken apart (`removed`), by one message. Times are int ms UTC.

    `left` is `a:<anonymousId>`, or the smaller of two `u:<userId>`; `right` is always `u:<userId>`.
    """

    event_time: int
    left: str
    right: str
    available_at: int
    message_id: str
    trusted: bool
    removed: bool = False

    @property
    def counts(self) -> bool:
        """Whether it may change anything: untrusted edges join no two userIds and take nothing away."""
        return self.trusted or (self.left.startswith("a:") and not self.removed)

    def other(self, raw_id: str) -> str:
        """The other end."""
        return self.right if raw_id == self.left else self.left


class Component(NamedTuple):
    """Raw ids that are one customer, sorted; `canonical` is the smallest userId, else the only anonymousId.

    `shared` says that the raw id that was asked for is an anonymousId with edges to several userIds.
    """

    canonical: str
    members: tuple[str, ...]
    shared: bool


class _AliasProperties(Struct):
    remove: Raw = _NULL


class _Sent(Struct, rename="camel"):
    """What edges need of an event's bytes beside the event itself; nothing in it can fail where `decode` didn't."""

    previous_id: AnyId | None = None
    properties: _AliasProperties | None = None
    key_id: Raw = _NULL
    trusted: Raw = _NULL


_wire = msgspec.json.Decoder(_Sent)
_encoder = msgpack.Encoder()
_decoder = msgpack.Decoder(list[Edge])


def is_trusted(raw: bytes) -> bool:
    """Whether an event came from a server: by a secret key (the service stamps `trusted`), or not by our HTTP at all.

    Args:    raw: JSON of an event that `decode` accepts.
    """
    sent = _wire.decode(raw)
    return sent.key_id == _NULL or sent.trusted == _TRUE


def edges_of(event: Event, raw: bytes, available_at: int, trusted: bool) -> list[Edge]:
    """The edges that an event draws: identify with both ids, alias with userId and previousId; none for all others.

    An alias with `properties: {"remove": true}` takes its edges away as of its event time. A previousId is the event's
    anonymousId where they are equal; else nothing tells which kind of id it is, so it stands for both.

    Args:    raw: JSON that the event was decoded from; available_at: ms UTC; trusted: see `is_trusted`.
    """
    if event.type not in {"identify", "alias"} or not event.user_id:
        return []
    removed = False
    if event.type == "identify":
        lefts = [f"a:{event.anonymous_id}"] if event.anonymous_id else []
    else:
        sent = _wire.decode(raw)
        removed = sent.properties is not None and sent.properties.remove == _TRUE
        lefts = _previous(sent.previous_id, event)
    user = f"u:{event.user_id}"
    return [
        Edge(
            event_time=event.event_time if trusted else max(event.event_time, available_at - LATEST_MS),
            left=min(left, user),
            right=max(left, user),
            available_at=available_at,
            message_id=event.message_id,
            trusted=trusted,
            removed=removed,
        )
        for left in lefts
    ]


def kept(raw_id: str, edges: Iterable[Edge]) -> list[Edge]:
    """The summary of a raw id's edges, sorted: by pair the first drawing, the newest one and the newest removal.

    Beyond the bounds the pairs drawn first, those drawn last and the newest removals stay. Each of the three is the
    smallest or largest N of a set, so that `kept(kept(a) + b) = kept(a + b)`.

    Args:    edges: may hold edges of other ids, and edges that don't count: they are left out.
    """
    first: dict[str, Edge] = {}
    last: dict[str, Edge] = {}
    removal: dict[str, Edge] = {}
    for edge in edges:
        if raw_id not in (edge.left, edge.right) or not edge.counts:
            continue
        other = edge.other(raw_id)
        if edge.removed:
            removal[other] = max(edge, removal.get(other, edge))
        else:
            first[other] = min(edge, first.get(other, edge))
            last[other] = max(edge, last.get(other, edge))
    pairs = PAIRS_OF_ANONYMOUS if raw_id.startswith("a:") else PAIRS
    drawn = {*nsmallest(pairs, first.values()), *nlargest(pairs, last.values())}
    return sorted(drawn.union(nlargest(REMOVALS, removal.values())))


def stored(raw_id: str, edges: Collection[Edge]) -> list[Edge]:
    """What is kept beside a raw id, sorted: its summary and, for a userId, those of its anonymousIds.

    Whether an anonymousId belongs to a userId is for its own edges to say; with them at hand one read is enough.
    """
    own = kept(raw_id, edges)
    if raw_id.startswith("a:"):
        return own
    every = set(own)
    by_left: defaultdict[str, list[Edge]] = defaultdict(list)
    for edge in edges:
        by_left[edge.left].append(edge)
    for left in {edge.left for edge in own if edge.left.startswith("a:")}:
        every.update(kept(left, by_left[left]))
    return sorted(every)


def pack(edges: Collection[Edge]) -> bytes:
    """Edges as one binary value."""
    return _encoder.encode(edges)


def unpack(packed: bytes | None) -> list[Edge]:
    """Edges from their binary value; none where there is no value."""
    return [] if packed is None else _decoder.decode(packed)


class Graph:
    """A set of edges, arranged once to answer for many ids and times."""

    def __init__(self, edges: Iterable[Edge]) -> None:
        self._of: defaultdict[str, list[Edge]] = defaultdict(list)
        for edge in edges:
            if edge.counts:
                self._of[edge.left].append(edge)
                self._of[edge.right].append(edge)

    def ids(self) -> set[str]:
        """All raw ids with an edge that counts; any other id is by itself."""
        return set(self._of)

    def at(self, as_of: int | None = None, knowledge: Knowledge = "then") -> "View":
        """The edges that had happened by `as_of` (ms UTC, None is all) and, unless `final`, were known by then."""

        def seen(raw_id: str) -> list[Edge]:
            edges = self._of.get(raw_id, [])
            if as_of is None:
                return edges
            late = knowledge == "final"
            return [edge for edge in edges if edge.event_time <= as_of and (late or edge.available_at <= as_of)]

        return View(seen)


class View:
    """What the edges of one moment say; `edges` gives those of a raw id."""

    def __init__(self, edges: Callable[[str], list[Edge]]) -> None:
        self._edges = edges
        self._standing: dict[str, dict[str, int]] = {}

    def standing(self, raw_id: str) -> dict[str, int]:
        """The ids that are joined to a raw id by edges not taken away, each with the time that it counts from."""
        if raw_id not in self._standing:
            self._standing[raw_id] = _standing(raw_id, self._edges(raw_id))
        return self._standing[raw_id]

    def owner(self, raw_id: str) -> str | None:
        """The userId that an anonymousId belongs to; a userId is its own."""
        if raw_id.startswith("u:"):
            return raw_id
        return min(((since, user) for user, since in self.standing(raw_id).items()), default=(0, None))[1]

    def users(self, raw_id: str) -> set[str]:
        """All userIds of the component of a raw id."""
        owner = self.owner(raw_id)
        found = set() if owner is None else {owner}
        waiting = list(found)
        while waiting:
            user = waiting.pop()
            joined = {other for other in self.standing(user) if other[0] == "u" and user in self.standing(other)}
            waiting += joined - found
            found |= joined
        return found

    def component(self, raw_id: str) -> Component:
        """The component of a raw id: at most 16 ids, userIds first, then by earliest edge, then by id."""
        since = {(False, min(self.standing(user).values(), default=0), user) for user in self.users(raw_id)}
        for _, _, user in list(since):
            own = (other for other in self.standing(user) if other[0] == "a" and self.owner(other) == user)
            since.update((True, self.standing(other)[user], other) for other in own)
        members = sorted(member for _, _, member in nsmallest(MEMBERS, since))
        if raw_id not in members:
            members = [raw_id]
        shared = raw_id.startswith("a:") and len(self.standing(raw_id)) > 1
        canonical = next((member for member in members if member.startswith("u:")), raw_id)
        return Component(canonical, tuple(members), shared)


def resolve(raw_id: str, edges: Iterable[Edge], as_of: int | None = None, knowledge: Knowledge = "then") -> Component:
    """The component of a raw id by a set of edges; `Graph` answers many such questions faster.

    Args:    as_of: ms UTC, leaves out edges that happened later; None is all. knowledge: "then" also leaves out those
             that became known later.
    """
    return Graph(edges).at(as_of, knowledge).component(raw_id)


def _previous(previous_id: str | int | None, event: Event) -> list[str]:
    previous = "" if previous_id is None else str(previous_id)
    if previous and previous == event.anonymous_id:
        return [f"a:{previous}"]
    return [f"a:{previous}", f"u:{previous}"] if previous not in {"", event.user_id} else []


def _standing(raw_id: str, edges: list[Edge]) -> dict[str, int]:
    summary = kept(raw_id, edges)
    removed = {edge.other(raw_id): edge.event_time for edge in summary if edge.removed}
    since: dict[str, int] = {}
    for edge in summary:  # by time
        other = edge.other(raw_id)
        if not edge.removed and edge.event_time > removed.get(other, -1):
            since.setdefault(other, edge.event_time)
    return since


def edge_to_json(edge: Edge) -> bytes:
    """An edge as the topic `identity` carries it: an object with the fields of Edge."""
    return msgspec.json.encode({name: getattr(edge, name) for name in Edge.__struct_fields__})


def edge_from_json(raw: bytes) -> Edge:
    """The edge of such a message.

    Raises:  BadInput: it is none.
    """
    try:
        sent = msgspec.json.decode(raw, type=dict[str, str | int | bool])
        edge = msgspec.convert([sent[name] for name in Edge.__struct_fields__], Edge)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError) as error:
        raise BadInput(f"the message is no edge of identity: {error}", "edge") from error
    if edge.left[:2] not in {"a:", "u:"} or edge.right[:2] != "u:":
        raise BadInput("an edge joins a:<anonymousId> or u:<userId> to u:<userId>", "edge")
    return edge
