"""Who is one customer: the raw ids that a set of edges holds together."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from heapq import nsmallest
from typing import Literal, NamedTuple

from features.identity import Edge, kept

MEMBERS = 16  # of a component; any id beyond them stays by itself

Knowledge = Literal["then", "final"]


class Component(NamedTuple):
    """Raw ids that are one customer, sorted; `canonical` is the smallest userId, else the only anonymousId.

    `shared` says that the raw id that was asked for is an anonymousId with edges to several userIds.
    """

    canonical: str
    members: tuple[str, ...]
    shared: bool


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

    def family(self, raw_id: str) -> list[str]:
        """The at most 16 ids of the component that an id belongs to, be it one of them or beyond the bound: userIds
        first, then by earliest edge, then by id."""
        since = {(False, min(self.standing(user).values(), default=0), user) for user in self.users(raw_id)}
        for _, _, user in list(since):
            own = (other for other in self.standing(user) if other[0] == "a" and self.owner(other) == user)
            since.update((True, self.standing(other)[user], other) for other in own)
        return [member for _, _, member in nsmallest(MEMBERS, since)]

    def component(self, raw_id: str) -> Component:
        """The component of a raw id: its family, or the id by itself where that has no place for it."""
        members = sorted(self.family(raw_id))
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


def _standing(raw_id: str, edges: list[Edge]) -> dict[str, int]:
    summary = kept(raw_id, edges)
    removed = {edge.other(raw_id): edge.event_time for edge in summary if edge.removed}
    since: dict[str, int] = {}
    for edge in summary:  # by time
        other = edge.other(raw_id)
        if not edge.removed and edge.event_time > removed.get(other, -1):
            since.setdefault(other, edge.event_time)
    return since
