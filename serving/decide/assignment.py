"""Who gets which variant: a function of the customer's id alone, bit-equal to GrowthBook's, version 1 and 2.

Source:  https://docs.growthbook.io/lib/build-your-own ; its public cases.json is the test.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from serving.decide.state import Champion, State

FNV_OFFSET, FNV_PRIME, FNV_MASK = 0x811C9DC5, 0x01000193, 0xFFFFFFFF
NOBODY = -1  # the variation of somebody whom no range holds


class Range(NamedTuple):
    """[start, end) of the numbers from 0 to 1."""

    start: float
    end: float

    def holds(self, number: float) -> bool:
        """Whether the number lies in it."""
        return self.start <= number < self.end


def fnv32a(text: str) -> int:
    """FNV-1a of the text's UTF-16 units, which is what the browser's SDK hashes."""
    value = FNV_OFFSET
    raw = text.encode("utf-16-le", "surrogatepass")
    for low, high in zip(raw[::2], raw[1::2], strict=True):
        value = ((value ^ (low | high << 8)) * FNV_PRIME) & FNV_MASK
    return value


def number_of(seed: str, value: str, version: int = 2) -> float | None:
    """A number from 0 (inclusive) to 1 for a customer, the same for ever; None for a version that there isn't.

    Args:    seed: of what is assigned, so that two experiments don't draw the same customers; value: the customer.
    """
    if version == 2:
        return fnv32a(str(fnv32a(seed + value))) % 10_000 / 10_000
    if version == 1:
        return fnv32a(value + seed) % 1_000 / 1_000
    return None


def equal_weights(variations: int) -> list[float]:
    """The same share for each; none for less than one."""
    return [1 / variations for _ in range(variations)]


def bucket_ranges(variations: int, coverage: float = 1.0, weights: Sequence[float] | None = None) -> list[Range]:
    """The range of each variation; with a coverage below 1 each keeps the start that it would have with all.

    So raising the coverage moves nobody from one variation to another. Weights that are too few, too many, or don't sum
    to 1 count as equal ones.
    """
    covered = min(max(coverage, 0.0), 1.0)
    given = weights if weights is not None and len(weights) == variations else equal_weights(variations)
    shares = given if 0.99 <= sum(given) <= 1.01 else equal_weights(variations)
    ranges, start = [], 0.0
    for share in shares:
        ranges.append(Range(start, start + covered * share))
        start += share
    return ranges


def choose_variation(number: float, ranges: Sequence[Range]) -> int:
    """The index of the first range that holds the number; NOBODY where none does."""
    return next((index for index, each in enumerate(ranges) if each.holds(number)), NOBODY)


def in_namespace(customer: str, namespace: str, part: Range) -> bool:
    """Whether a customer lies in a part of a namespace: experiments in parts that don't meet share nobody."""
    number = number_of(f"__{namespace}", customer, version=1)
    return number is not None and part.holds(number)


def arm_of(state: State, customer: str) -> State:
    """The State that a customer is answered from: with the canary in its champion's place for its share of them.

    Who is nobody in particular (an empty id) meets the champion and counts for neither arm.
    """
    canary = state.canary
    if canary is None or not customer:
        return state
    number = number_of(canary.seed, customer)
    if number is None or number >= canary.share:
        return replace(state, variant="champion")
    return replace(instead(state, canary.challenger), variant="canary")


def instead(state: State, tried: Champion) -> State:
    """A State with another version in the place of the model of its name."""
    champion, *sources = (
        tried if each is not None and each.name == tried.name else each for each in (state.champion, *state.sources)
    )
    return replace(state, champion=champion, sources=tuple(each for each in sources if each))
