"""A shadow: once an answer is out, a sample is decided again with the challenger, and the two are compared."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from serving.decide.assignment import instead
from serving.decide.decision import decide
from serving.evidence import bucket
from serving.metrics import SHADOW_ERRORS, SHADOW_OVERLAP, SHADOW_SECONDS

if TYPE_CHECKING:
    from serving.engine import Served

EVERY = 10  # answers of which one is decided again
DELAY_S = 0.001  # the answer goes out first

logger = logging.getLogger("kindred.serving")


class Shadow:
    """Decides a sample again, on the event loop's idle moments; never more than one waits, the next is left out.

    `counter` gives the counts of a trial, which somebody else adds up over the workers.

    On the loop and not in a thread: the catalogue changes in place between two decisions, and never within one.
    """

    def __init__(self, counter: Callable[[str], Counter[str]]) -> None:
        self.counter = counter
        self._answers = 0
        self._waiting = False

    def take(self, served: "Served") -> None:
        """Look at one answer."""
        if served.state.shadow is None:
            return
        self._answers += 1
        if self._answers % EVERY == 0 and not self._waiting:
            self._waiting = True
            asyncio.get_running_loop().call_later(DELAY_S, self._compare, served)

    def _compare(self, served: "Served") -> None:
        self._waiting = False
        shadow = served.state.shadow
        if shadow is None:
            return
        counts = self.counter(served.state.shadow_trial)
        counts["shadow:answers"] += 1
        state = instead(served.state, shadow)
        started = time.perf_counter()
        try:
            decision = decide(state, served.asked)
        except Exception:
            counts["shadow:errors"] += 1
            SHADOW_ERRORS.inc()
            logger.exception("the shadow failed, which nobody saw")
            return
        took = time.perf_counter() - started
        counts[f"shadow:{bucket(took * 1000)}"] += 1
        own = {placed.item_id for placed in served.decision.slate}
        both = own & {placed.item_id for placed in decision.slate}
        counts["shadow:items"] += len(own)
        counts["shadow:shared"] += len(both)
        SHADOW_SECONDS.observe(took)
        SHADOW_OVERLAP.observe(len(both) / len(own) if own else 1.0)
