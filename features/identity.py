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
from collections.abc import Collection, Iterable
from heapq import nlargest, nsmallest

import msgspec
from msgspec import Raw, Struct

from features.errors import BadInput
from features.events import Event
from features.properties import AnyId

PAIRS = 64  # of a userId
PAIRS_OF_ANONYMOUS = 8  # of an anonymousId: more users than that share no person, and users keep copies of these
REMOVALS = 64  # of any id; only secret keys make them
LATEST_MS = 86_400_000  # an untrusted edge counts as drawn at most so long before it came: the earliest ones win

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


class _AliasProperties(Struct):
    remove: Raw = _NULL


class _Sent(Struct, rename="camel"):
    """What edges need of an event's bytes beside the event itself; nothing in it can fail where `decode` didn't."""

    previous_id: AnyId | None = None
    properties: _AliasProperties | None = None


_wire = msgspec.json.Decoder(_Sent)


def edges_of(event: Event, raw: bytes, available_at: int) -> list[Edge]:
    """The edges that an event draws: identify with both ids, alias with userId and previousId; none for all others.

    An alias with `properties: {"remove": true}` takes its edges away as of its event time. A previousId is the event's
    anonymousId where they are equal; else nothing tells which kind of id it is, so it stands for both.

    Args:    raw: JSON that the event was decoded from; available_at: ms UTC.
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
            event_time=event.event_time if event.trusted else max(event.event_time, available_at - LATEST_MS),
            left=min(left, user),
            right=max(left, user),
            available_at=available_at,
            message_id=event.message_id,
            trusted=event.trusted,
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


def _previous(previous_id: str | int | None, event: Event) -> list[str]:
    previous = "" if previous_id is None else str(previous_id)
    if previous and previous == event.anonymous_id:
        return [f"a:{previous}"]
    return [f"a:{previous}", f"u:{previous}"] if previous not in {"", event.user_id} else []


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
