"""What is decided where a model fails on a request: the same without models, from what trends and the catalogue."""

import logging
from collections.abc import Callable
from dataclasses import replace

from serving.decide.asked import Asked
from serving.decide.decision import Decision, decide
from serving.decide.state import State
from serving.metrics import MODELS_FAILED

Decide = Callable[[State, Asked], tuple[State, Decision]]

logger = logging.getLogger("kindred.serving")


def plainly(state: State, asked: Asked) -> tuple[State, Decision]:
    """The decision of this State."""
    return state, decide(state, asked)


class Standby:
    """Decides, come what may; says of each version once that it fails, and counts every time."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()

    def decide(self, state: State, asked: Asked, by: Decide = plainly) -> tuple[State, Decision]:
        """A decision and the State that it is made from; `degraded` names `ranker` where the models had to be left out.

        Args:    by: who decides while nothing fails.
        """
        champion = state.champion
        if champion is None:
            return by(state, asked)
        try:
            return by(state, asked)
        except Exception:
            MODELS_FAILED.labels(champion.name).inc()
            version = (champion.name, champion.version)
            if version not in self._said:
                self._said.add(version)
                logger.exception("%s version %s fails: slates that it fails on are made without models", *version)
        bare = replace(state, champion=None, sources=(), canary=None, ranker=None, shadow=None)
        decision = decide(bare, asked)
        return bare, replace(decision, degraded=tuple(sorted({*decision.degraded, "ranker"} - {"model"})))
