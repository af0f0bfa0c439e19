"""One decision from start to finish: a pure function of (state, what is asked).

    candidates -> filters (in every source) -> ranker -> diversity -> rotation -> business actions -> exploration
    -> final scores -> reasons

Every stage takes the question and a pool in the order in which it would be shown, and returns a pool. One that fails is
left out, and the decision says so: the pool before it holds nothing that must not be shown.
"""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from serving.decide.actions import Filter, Pin
from serving.decide.asked import Asked
from serving.decide.candidates import alike, given, retrieve, unmet
from serving.decide.diversity import rotated, spread
from serving.decide.explore import GREEDY, Drawn, draw, policy_of, seed_of
from serving.decide.limits import NONE
from serving.decide.pool import Candidate, Pool
from serving.decide.question import Question, question
from serving.decide.ranking import RANKED, STAGE, ranked
from serving.decide.reasons import Because, reasons
from serving.decide.state import State

LEAST_POOL = 20
NEW_SHARE = 0.1  # of what is drawn from that may be items which no model has met

logger = logging.getLogger("kindred.serving")

Stage = Callable[[Question, Pool], Pool]


class Placed(Struct, frozen=True, gc=False):
    """One item of a slate.

    `score` is the final one and never rises down the slate; `rank` runs from 1; `version` is that of the model that is
    its source, empty where none is; `propensity` is P(item at this position | the earlier positions), 1 where nothing
    stochastic touched the place.
    """

    item_id: str
    score: float
    rank: int
    source: str
    reasons: tuple[Because, ...] = ()
    propensity: float = 1.0
    version: str = ""


@dataclass(frozen=True)
class Decision:
    """A slate and how it came about.

    `policy` names the stochastic stage and its settings; `eligible` is what it drew from, in greedy order, empty where
    it did not run; `champion` is (name, version) of the model that was asked first; `variant` is empty, "champion" or
    "canary"; `degraded` says which stages had to be left out; `trace` is None unless it was asked for.
    """

    slate: tuple[Placed, ...]
    policy: str = GREEDY
    seed: int = 0
    eligible: tuple[str, ...] = ()
    champion: tuple[str, str] | None = None
    variant: str = ""
    degraded: tuple[str, ...] = ()
    trace: Mapping[str, Any] | None = None


def decide(state: State, asked: Asked) -> Decision:
    """The slate for what is asked, from what is in memory."""
    about = question(state, asked)
    pool = _candidates(about)
    trace, failed = {"candidates": pool}, list[str]()
    for name, stage in STAGES:
        try:
            trace[name] = pool = stage(about, pool)
        except Exception:
            failed.append(name)
            logger.exception("the stage %s failed and is left out", name)
    rate = state.policy.exploration if asked.alike is None and asked.item_ids is None else 0.0
    seed = seed_of(asked) if rate > 0 else 0
    drawn = draw(_eligible(about, pool, rate), asked.n, rate, seed)
    first = about.models[0] if about.models else None
    return Decision(
        slate=_placed(about, drawn),
        policy=policy_of(rate),
        seed=seed,
        eligible=drawn.eligible,
        champion=None if first is None else (first.name, first.version),
        variant=state.variant,
        degraded=(*(() if about.models else ("model",)), *failed),
        trace=_explained(about, trace, drawn) if asked.explain else None,
    )


def final_scores(slate: list[Candidate]) -> list[float]:
    """A score for each place that never rises, ties ordered by id: the items' own scores, the highest first.

    An item that was moved gets the score of its new place.
    """
    scores = sorted((candidate.score for candidate in slate), reverse=True)
    for at in range(len(slate) - 2, -1, -1):
        scores[at] = max(scores[at], scores[at + 1])
        if scores[at] == scores[at + 1] and slate[at].item_id > slate[at + 1].item_id:
            scores[at] = math.nextafter(scores[at], math.inf)
    return scores


def _candidates(about: Question) -> Pool:
    asked = about.asked
    if asked.alike is not None:
        return alike(about, asked.alike)
    if asked.item_ids is not None:
        return given(about, asked.item_ids)
    return retrieve(about, max(LEAST_POOL, 2 * asked.n, RANKED if about.state.ranker is not None else 0))


def _acted(about: Question, pool: Pool) -> Pool:
    """Every boost and bury, then every pin, in their order in the file; none brings in what must not be shown."""
    for rule in sorted(about.rules, key=lambda rule: isinstance(rule, Pin)):
        if isinstance(rule, Pin) and not _may_pin(about, pool, rule):
            continue
        if not isinstance(rule, Filter):
            pool = rule.apply(pool, about.shop)
    return pool


def _may_pin(about: Question, pool: Pool, pin: Pin) -> bool:
    """A pin shows only what might have been shown without it, and nothing beyond the slate."""
    asked = about.asked
    if asked.alike is not None or asked.item_ids is not None:
        return any(candidate.item_id == pin.item_id for candidate in pool)
    if pin.item_id in about.never or pin.position > asked.n:
        return False
    if about.state.catalogue is None:
        return about.limits == NONE
    item = about.shop.get(pin.item_id)
    return item is not None and about.limits.permits(item)


def _eligible(about: Question, pool: Pool, rate: float) -> Pool:
    """What may be drawn: where something is, twice as many as there are places, some of them met by no model yet."""
    if rate <= 0:
        return pool
    size = max(LEAST_POOL, 2 * about.asked.n)
    there = frozenset(candidate.item_id for candidate in pool)
    new = unmet(about, about.never | about.seen | there, max(1, int(NEW_SHARE * size)))
    open_items = [candidate for candidate in pool if not candidate.pinned][: size - len(new)]
    pinned = [candidate for candidate in pool if candidate.pinned]
    last = open_items[-1].score if open_items else 0.0
    return open_items + [candidate.scored(last) for candidate in new] + pinned


def _placed(about: Question, drawn: Drawn) -> tuple[Placed, ...]:
    slate = [candidate for candidate, _ in drawn.slate]
    versions = {champion.name: champion.version for champion in about.models}
    whole = zip(drawn.slate, final_scores(slate), reasons(about, slate), strict=True)
    return tuple(
        Placed(
            item_id=candidate.item_id,
            score=score,
            rank=rank,
            source=candidate.source,
            reasons=why,
            propensity=propensity,
            version=versions.get(candidate.source, ""),
        )
        for rank, ((candidate, propensity), score, why) in enumerate(whole, 1)
    )


def _explained(about: Question, trace: Mapping[str, Pool], drawn: Drawn) -> Mapping[str, Any]:
    """The whole way of a decision as plain values: `stages` has the pool after each, with the sources' own scores."""
    asked, ranker = about.asked, about.state.ranker
    return {
        "ranker": None if ranker is None else {"name": STAGE, "version": ranker.version},
        "variant": about.state.variant,
        "models": [{"name": champion.name, "version": champion.version} for champion in about.models],
        "contexts": list(about.keys),
        "rules": [rule.name for rule in about.rules],
        "history": [{"item_id": touch.item_id, "weight": touch.confidence, "at": touch.at} for touch in asked.touches],
        "never": sorted(about.never),
        "seen": sorted(about.seen),
        "features_age_ms": asked.now - asked.as_of if asked.as_of else None,
        "stages": {
            name: [{"item_id": each.item_id, "score": each.score, "source": each.source} for each in pool]
            for name, pool in trace.items()
        },
        "drawn": [{"item_id": candidate.item_id, "propensity": chance} for candidate, chance in drawn.slate],
    }


STAGES: tuple[tuple[str, Stage], ...] = (
    (STAGE, ranked),
    ("diversity", spread),
    ("rotation", rotated),
    ("actions", _acted),
)
