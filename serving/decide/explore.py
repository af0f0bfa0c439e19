"""Exploration: the last stochastic stage. It draws the places that no action pins, and knows with which probability.

At each open place the best item left is taken with probability 1 - rate; else any item left, all alike. So

    P(item | earlier places) = rate / (items left) + (1 - rate) [it is the best one left]

which is never 0 for an eligible item: an off-policy estimate has support. The draw is seeded by customer, placement and
day, so a slate stays as it is while the customer looks at it.
"""

import random
from hashlib import blake2b
from typing import NamedTuple

from serving.decide.asked import Asked
from serving.decide.pool import Candidate, Pool

DAY_MS = 86_400_000
GREEDY = "greedy"


class Drawn(NamedTuple):
    """A slate with the probability of each place, and what it was drawn from in greedy order (empty: nothing drawn)."""

    slate: list[tuple[Candidate, float]]
    eligible: tuple[str, ...]


def policy_of(rate: float) -> str:
    """The name of a policy, with what it depends on."""
    return f"uniform(rate={rate:g})" if rate > 0 else GREEDY


def seed_of(asked: Asked) -> int:
    """48 bits of customer, placement and day (UTC); of a stateless client the history stands for the customer."""
    who = asked.customer or "\0".join(touch.item_id for touch in asked.touches)
    text = f"{who}\0\0{asked.placement}\0\0{asked.now // DAY_MS}"
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=6).digest(), "big")


def draw(pool: Pool, n: int, rate: float, seed: int) -> Drawn:
    """At most n of the pool, which is in greedy order; pinned items at their positions, whatever is drawn.

    Where the pool ends before a pinned position, the pinned items move up. A pin beyond the slate binds nothing.
    """
    pins = {candidate.pinned: candidate for candidate in pool if 0 < candidate.pinned <= n}
    left = [candidate for candidate in pool if not 0 < candidate.pinned <= n]
    eligible = tuple(candidate.item_id for candidate in left) if rate > 0 else ()
    chance = random.Random(seed)  # noqa: S311 - it decides what is shown, nothing secret
    slate: list[tuple[Candidate, float]] = []
    for position in range(1, n + 1):
        if position in pins:
            slate.append((pins.pop(position), 1.0))
        elif left:
            at = int(chance.random() * len(left)) if rate > 0 and chance.random() < rate else 0
            slate.append((left[at], rate / len(left) + (1 - rate) * (at == 0)))
            left.pop(at)
    slate += [(pins[position], 1.0) for position in sorted(pins)]
    return Drawn(slate[:n], eligible)
