"""From candidates to a slate: who comes in which order, and why."""

from collections.abc import Iterable, Iterator

from serving.decide.asked import Touch
from serving.decide.candidates import Candidate, from_catalogue, from_champion, from_trending, similar
from serving.decide.limits import Limits
from serving.decide.state import State

BECAUSE: dict[str, str] = {
    "Order Completed": "because_you_bought",
    "Product Added": "because_you_added",
    "Product Added to Wishlist": "because_you_added",
}


def slate(
    state: State, history: list[Touch], bought: set[str], limits: Limits, exclude: Iterable[str], n: int
) -> list[Candidate]:
    """At most n items, best first, none twice; scores never rise down the list and ties are ordered by item_id.

    Left out: what the caller excludes, what is out of stock or outside the limits, and what was bought and isn't
    repeatable. What the customer has only looked at comes last: it is shown where nothing else is left.
    """
    again = {item_id for item_id in bought if state.is_repeatable(item_id)}
    never = {*exclude, *(bought - again)}
    seen = {touch.item_id for touch in history} - again
    new = _filled(_sources(state, history, limits, never | seen, n), [], n)
    return new if len(new) == n else _filled(_sources(state, history, limits, never, n), new, n)


def like(state: State, item_id: str, limits: Limits, exclude: Iterable[str], n: int) -> list[Candidate]:
    """At most n items like one, best first; what trends, then whatever there is, where the champion can't tell."""
    return _filled(_alike(state, item_id, limits, {item_id, *exclude}, n), [], n)


def reason(candidate: Candidate) -> tuple[str, str | None]:
    """(kind, item_id of the history) that says why a candidate is there."""
    if candidate.cause is None:
        return ("trending" if candidate.source == "trending" else "popular"), None
    if not candidate.cause.event:
        return "similar_to", candidate.cause.item_id
    return BECAUSE.get(candidate.cause.event, "because_you_viewed"), candidate.cause.item_id


def _sources(state: State, history: list[Touch], limits: Limits, hidden: set[str], n: int) -> Iterator[list[Candidate]]:
    if state.champion is not None and history:
        yield from_champion(state.champion, history, limits, hidden, n)
    yield from_trending(state, limits, hidden, n)
    if state.champion is not None:
        yield from_champion(state.champion, [], limits, hidden, n)
    yield from_catalogue(state, limits, hidden, n)


def _alike(state: State, item_id: str, limits: Limits, hidden: set[str], n: int) -> Iterator[list[Candidate]]:
    if state.champion is not None:
        yield similar(state.champion, item_id, limits, hidden, n)
    yield from_trending(state, limits, hidden, n)
    yield from_catalogue(state, limits, hidden, n)


def _filled(sources: Iterable[list[Candidate]], chosen: list[Candidate], n: int) -> list[Candidate]:
    """What is chosen already and, below it, what each source in turn adds until there are n."""
    for source in sources:
        taken = {candidate.item_id for candidate in chosen}
        chosen = chosen + _below(chosen, [c for c in source if c.item_id not in taken][: n - len(chosen)])
        if len(chosen) == n:
            break
    return chosen


def _below(chosen: list[Candidate], more: list[Candidate]) -> list[Candidate]:
    """A later source's items, shifted as a block so that all of them score below what is already there."""
    best = max((candidate.score for candidate in more), default=0.0)
    shift = min(0.0, chosen[-1].score - 1.0 - best) if chosen else 0.0
    shifted = [candidate._replace(score=candidate.score + shift) for candidate in more]
    # Sorted after the shift: it may round two scores to the same one.
    return sorted(shifted, key=lambda candidate: (-candidate.score, candidate.item_id))
