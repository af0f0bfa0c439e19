"""Why an item is where it is: what of the history caused it, or what else brought it, and the rules that moved it."""

from collections import defaultdict

import numpy as np
from msgspec import Struct

from serving.decide.candidates import CATALOGUE, NEW, TRENDING
from serving.decide.pool import Candidate
from serving.decide.question import Question

BECAUSE: dict[str, str] = {
    "Order Completed": "because_you_bought",
    "Product Added": "because_you_added",
    "Product Added to Wishlist": "because_you_added",
}
VIEWED = "because_you_viewed"
PLAIN: dict[str, str] = {TRENDING: "trending", NEW: "new", CATALOGUE: "popular"}
RULES = "rules"


class Because(Struct, frozen=True, gc=False):
    """One reason; `item_id` is the item of the history, or that it is similar to, `rule` the name of an action."""

    kind: str
    item_id: str | None = None
    rule: str | None = None


def reasons(asked: Question, slate: list[Candidate]) -> list[tuple[Because, ...]]:
    """The reasons of each item of a slate: what caused it, then the rules that moved it."""
    causes = _causes(asked, slate)
    return [
        (*_cause(candidate, causes.get(candidate.item_id)), *(Because("rule", rule=name) for name in candidate.rules))
        for candidate in slate
    ]


def _cause(candidate: Candidate, touched: tuple[str, str] | None) -> tuple[Because, ...]:
    if candidate.source == RULES:
        return ()
    if candidate.like:
        return (Because("similar_to", candidate.like),)
    if touched is not None:
        item_id, event = touched
        return (Because(BECAUSE.get(event, VIEWED), item_id),)
    return (Because(PLAIN.get(candidate.source, "popular")),)


def _causes(asked: Question, slate: list[Candidate]) -> dict[str, tuple[str, str]]:
    """By item of a model the touch (item_id, event) that raised its score most: each model is asked once."""
    sources = {champion.name: champion for champion in asked.models} if asked.asked.touches else {}
    found: dict[str, list[str]] = defaultdict(list)
    for candidate in slate:
        if candidate.source in sources and not candidate.like:
            found[candidate.source].append(candidate.item_id)
    causes = {}
    for name, item_ids in found.items():
        champion = sources[name]
        rows = np.array(champion.model.items.rows_of(item_ids), dtype=np.int32)
        places = champion.model.because(asked.history(champion), rows)
        for item_id, place in zip(item_ids, places.tolist(), strict=True):
            if place >= 0:
                touch = asked.asked.touches[place]
                causes[item_id] = touch.item_id, touch.event
    return causes
