"""What was decided: the slate with everything that the answer, the log of exposures and a shadow need to know of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serving.decide.asked import Asked
from serving.decide.candidates import Candidate
from serving.decide.rank import like, reason, slate
from serving.decide.state import State


@dataclass(frozen=True)
class Because:
    """Why an item is where it is; `item_id` is the item of the history that caused it."""

    kind: str
    item_id: str | None = None


@dataclass(frozen=True)
class Placed:
    """One item of a slate.

    `score` is the final one and never rises down the slate; `rank` runs from 1; `propensity` is P(item at this
    position | the earlier positions), 1 where nothing stochastic touched the place.
    """

    item_id: str
    score: float
    rank: int
    source: str
    reasons: tuple[Because, ...] = ()
    propensity: float = 1.0


@dataclass(frozen=True)
class Decision:
    """A slate and how it came about.

    `policy` names the stochastic stage and its settings; `eligible` is what it drew from, in greedy order, empty where
    it did not run; `champion` is (name, version); `variant` is empty, "champion" or "canary"; `degraded` says which
    stages had to be left out; `trace` is None unless it was asked for.
    """

    slate: tuple[Placed, ...]
    policy: str = "greedy"
    seed: int = 0
    eligible: tuple[str, ...] = ()
    champion: tuple[str, str] | None = None
    variant: str = ""
    degraded: tuple[str, ...] = ()
    trace: Mapping[str, Any] | None = None


def decide(state: State, asked: Asked) -> Decision:
    """The slate for what is asked, from what is in memory."""
    if asked.alike is not None:
        chosen = like(state, asked.alike, asked.limits, asked.exclude, asked.n)
    else:
        chosen = slate(state, list(asked.touches), set(asked.bought), asked.limits, asked.exclude, asked.n)
    champion = state.champion
    return Decision(
        slate=tuple(_placed(candidate, rank) for rank, candidate in enumerate(chosen, 1)),
        champion=None if champion is None else (champion.name, champion.version),
        variant=state.variant,
        degraded=() if champion is not None else ("model",),
    )


def _placed(candidate: Candidate, rank: int) -> Placed:
    because = Because(*reason(candidate))
    return Placed(candidate.item_id, candidate.score, rank, candidate.source, (because,))
