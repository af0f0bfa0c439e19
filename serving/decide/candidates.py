"""Where the items of a slate come from: the sources, in the order in which they are asked."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from models.arrays import Int64, Mask
from models.histories import NOBODY, History
from serving.decide.limits import NONE
from serving.decide.pool import Candidate, Pool, below
from serving.decide.question import Question
from serving.decide.state import Champion

NEW, TRENDING, CATALOGUE = "new", "trending", "catalogue"
TRENDING_TOO, NEW_TOO = 20, 5
LOOKED_AT = 256  # new items that are looked at for some within the limits, and of what trends at once

Hidden = frozenset[str]


def retrieve(asked: Question, k: int) -> Pool:
    """Candidates in the order of their sources, none twice, scores never rising: n or more, at most k.

    As soon as there are enough for the slate no further source is asked. What the customer has met comes last: it is
    there only where nothing else is left.
    """
    n = asked.asked.n
    hidden = asked.never | asked.seen
    new = _filled(_sources(asked, hidden, k), [], n, k)
    if len(new) < n and asked.seen:
        return _filled(_sources(asked, asked.never, k), new, n, n)
    return new if asked.state.ranker is None else _wider(asked, new, hidden)


def alike(asked: Question, item_id: str) -> Pool:
    """Items like one, then what trends with its category, then whatever there is."""
    n = asked.asked.n

    def sources() -> Iterator[Pool]:
        for champion in asked.models:
            yield similar(asked, champion, item_id, asked.never, n)
        yield trending(asked, asked.never, n)
        yield rest(asked, asked.never, n)

    return _filled(sources(), [], n, n)


def given(asked: Question, item_ids: tuple[str, ...]) -> Pool:
    """These items, each once: as the models rank them, then by what trends, then by id, what the shop lacks last.

    None is left out: whoever lets a list be ordered shows the list.
    """
    wanted = list(dict.fromkeys(item_ids))

    def sources() -> Iterator[Pool]:
        for champion in asked.models:
            rows = [row for row in map(champion.model.items.row, wanted) if row >= 0]
            allowed = np.zeros(len(champion.model.items), dtype=np.bool_)
            allowed[rows] = True
            yield _best(champion, asked.history(champion), len(rows), allowed) if rows else []
        weights = dict(asked.state.trending.among(asked.keys))
        yield [Candidate(item_id, weights[item_id], TRENDING) for item_id in wanted if item_id in weights]
        yield [Candidate(item_id, 0.0, CATALOGUE) for item_id in wanted if item_id in asked.shop]
        yield [Candidate(item_id, 0.0, CATALOGUE) for item_id in wanted]

    return _filled(sources(), [], len(wanted), len(wanted))


def from_history(asked: Question, champion: Champion, hidden: Hidden, k: int) -> Pool:
    """A model's k best for this history; none where it knows nothing of it."""
    history = asked.history(champion)
    known = (history.items >= 0).any()
    return _best(champion, history, k, champion.columns.allowed(asked.limits, hidden)) if known else []


def popular(asked: Question, champion: Champion, hidden: Hidden, k: int) -> Pool:
    """A model's k best for somebody of whom nothing is known."""
    return _best(champion, NOBODY, k, champion.columns.allowed(asked.limits, hidden))


def similar(asked: Question, champion: Champion, item_id: str, hidden: Hidden, k: int) -> Pool:
    """The k items most like one; empty where the model doesn't know it."""
    row = champion.model.items.row(item_id)
    if row < 0:
        return []
    found, scores = champion.model.similar(row, k, champion.columns.allowed(asked.limits, hidden))
    ids = champion.model.items.ids
    return [
        Candidate(ids[at], float(score), champion.name, item_id)
        for at, score in zip(found.tolist(), scores.tolist(), strict=True)
        if at >= 0
    ]


def trending(asked: Question, hidden: Hidden, k: int) -> Pool:
    """The k that customers turn to most; without a catalogue nothing is known to be within limits."""
    trends, catalogue = asked.state.trending, asked.state.catalogue
    listed = trends.among(asked.keys)
    places: Iterable[int]
    if catalogue is None:
        places = range(len(listed)) if asked.limits == NONE else ()
    else:
        places = _open(trends.rows(asked.keys, catalogue.columns), catalogue.columns.within(asked.limits))
    shown = (listed[place] for place in places if listed[place][0] not in hidden)
    return [Candidate(item_id, weight, TRENDING) for item_id, weight in islice(shown, k)]


def unmet(asked: Question, hidden: Hidden, k: int) -> Pool:
    """The k newest items that no model has met: nobody could have taken to them yet."""
    if not asked.models or asked.state.catalogue is None:
        return []
    catalogue = asked.state.catalogue
    others = [champion.columns.unmet for champion in asked.models[1:]]
    newest = islice(reversed(asked.models[0].columns.unmet), LOOKED_AT)
    fresh = (item_id for item_id in newest if item_id not in hidden and all(item_id in each for each in others))
    open_items = (item_id for item_id in fresh if item_id in catalogue and asked.limits.permits(catalogue[item_id]))
    return [Candidate(item_id, 0.0, NEW) for item_id in islice(open_items, k)]


def rest(asked: Question, hidden: Hidden, k: int) -> Pool:
    """Whatever else there is, by id: a slate is short only where the shop is."""
    catalogue = asked.state.catalogue
    found = [] if catalogue is None else catalogue.first(asked.limits, hidden, k)
    return [Candidate(item_id, 0.0, CATALOGUE) for item_id in found]


def _open(rows: Int64, allowed: Mask) -> Iterator[int]:
    """Places of rows that are allowed, a part after the other: mostly the first few are enough. -1 is no row."""
    for begin in range(0, len(rows), LOOKED_AT):
        there = np.flatnonzero(rows[begin : begin + LOOKED_AT] >= 0) + begin
        yield from there[allowed[rows[there]]].tolist()


def _sources(asked: Question, hidden: Hidden, k: int) -> Iterator[Pool]:
    for champion in asked.models:
        yield from_history(asked, champion, hidden, k)
    if asked.asked.item_id is not None and asked.models:
        yield similar(asked, asked.models[0], asked.asked.item_id, hidden, k)
    yield trending(asked, hidden, k)
    if asked.models:
        yield popular(asked, asked.models[0], hidden, k)
    yield rest(asked, hidden, k)


def _wider(asked: Question, pool: Pool, hidden: Hidden) -> Pool:
    """For a ranker, which finds them their places, also some of what trends and of what no model has met."""
    taken = hidden | {candidate.item_id for candidate in pool}
    pool = below(pool, trending(asked, taken, TRENDING_TOO))
    taken |= {candidate.item_id for candidate in pool}
    return below(pool, unmet(asked, taken, NEW_TOO))


def _best(champion: Champion, history: History, k: int, allowed: Mask) -> Pool:
    ids = champion.model.items.ids
    found, scores = champion.model.recommend_one(history, k, allowed)
    return [
        Candidate(ids[row], score, champion.name)
        for row, score in zip(found.tolist(), scores.tolist(), strict=True)
        if row >= 0
    ]


def _filled(sources: Iterable[Pool], chosen: Pool, n: int, k: int) -> Pool:
    """What is chosen already and, below it, what each source in turn adds, until there are n; at most k."""
    for source in sources:
        if not source:
            continue
        taken = {candidate.item_id for candidate in chosen}
        chosen = below(chosen, [c for c in source if c.item_id not in taken][: k - len(chosen)])
        if len(chosen) >= n:
            break
    return chosen
