"""Does a canary do worse than the champion? Counts of both arms, and a test that may be looked at all the time.

Every measure is a share of answers: those that failed, those that were slow, those that nobody clicked or bought after.
The canary is stopped where its share is worse than the champion's by more than a margin, with an error probability that
holds however often one looks (a mixture sequential probability ratio test with a normal mixture).

Source:  Johari, Koomen, Pekelis, Walsh. Always Valid Inference: Continuous Monitoring of A/B Tests. 2022.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from models.registry.trail import Gate

ALPHA = 0.01
SPREAD = 0.02  # of the differences that the mixture expects: about two points of a hundred
EDGES_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
SLOW_MS = 20  # below this nobody minds how much slower the canary is
CHAMPION, CANARY = "champion", "canary"


class Share(NamedTuple):
    """How many of the answers of one arm it happened to."""

    happened: int
    answers: int

    @property
    def rate(self) -> float:
        """From 0 to 1; of nothing it is 0."""
        return self.happened / self.answers if self.answers else 0.0

    @property
    def variance(self) -> float:
        """Of the rate, with one success and one failure more: it is never 0."""
        smooth = (self.happened + 1) / (self.answers + 2)
        return smooth * (1 - smooth) / (self.answers + 2)


class Measure(NamedTuple):
    """What is compared: a share that is bad when it is high, or one that is good (`reward`).

    `margin` is how much worse is borne, of a reward as a part of the champion's rate; `least` answers of the canary
    are waited for.
    """

    name: str
    margin: float
    least: int
    reward: bool = False


MEASURES = (
    Measure("errors", 0.005, 50),
    Measure("slow", 0.05, 200),
    Measure("clicks", 0.1, 500, reward=True),
    Measure("orders", 0.1, 500, reward=True),
)


def judge(counts: Mapping[str, int]) -> tuple[Gate, ...]:
    """Each measure with the figures of both arms; one that isn't passed is a reason to stop."""
    return tuple(_gate(measure, _share(counts, CANARY, measure), _share(counts, CHAMPION, measure), counts)
                 for measure in MEASURES)  # fmt: skip


def worse(canary: Share, champion: Share, margin: float) -> float:
    """Probability that luck alone makes the canary's rate look higher than the champion's by more than the margin.

    It holds at any number of looks: at most this part of all canaries that are no worse ever shows a smaller one.
    """
    apart = canary.rate - champion.rate - margin
    if apart <= 0:
        return 1.0
    # Few events of few answers say little: the canary's rate varies at least as the champion's would at its size.
    expected = Share(round(champion.rate * canary.answers), canary.answers)
    variance, mixed = max(canary.variance, expected.variance) + champion.variance, SPREAD**2
    ratio = math.log(variance / (variance + mixed)) / 2 + apart**2 * mixed / (2 * variance * (variance + mixed))
    return min(1.0, math.exp(-ratio))


def bucket(ms: float) -> str:
    """The field that counts an answer of this many milliseconds."""
    return next((f"ms{edge}" for edge in EDGES_MS if ms <= edge), "msmore")


def slow_edge(counts: Mapping[str, int]) -> int:
    """Milliseconds beyond which an answer is slow: what 95% of the champion's are below, SLOW_MS at least."""
    answers, below = counts.get(f"{CHAMPION}:answers", 0), 0
    for edge in EDGES_MS:
        below += counts.get(f"{CHAMPION}:ms{edge}", 0)
        if edge >= SLOW_MS and below >= 0.95 * answers:
            return edge
    return EDGES_MS[-1]


def told(counts: Mapping[str, int]) -> str:
    """The measures of both arms in one line."""
    parts = [f"{gate.gate}: {gate.value}" for gate in judge(counts)]
    return "; ".join(parts)


def _share(counts: Mapping[str, int], arm: str, measure: Measure) -> Share:
    answers = counts.get(f"{arm}:answers", 0)
    if measure.name == "slow":
        edge = slow_edge(counts)
        fast = sum(counts.get(f"{arm}:ms{each}", 0) for each in EDGES_MS if each <= edge)
        return Share(max(0, answers - fast), answers)
    return Share(min(answers, counts.get(f"{arm}:{measure.name}", 0)), answers)


def _gate(measure: Measure, canary: Share, champion: Share, counts: Mapping[str, int]) -> Gate:
    bad = [Share(each.answers - each.happened, each.answers) if measure.reward else each for each in (canary, champion)]
    margin = measure.margin * champion.rate if measure.reward else measure.margin
    chance = worse(bad[0], bad[1], margin) if canary.answers >= measure.least and champion.answers else 1.0
    name = f"answers slower than {slow_edge(counts)} ms" if measure.name == "slow" else measure.name
    value = f"{canary.happened} of {canary.answers}, champion {champion.happened} of {champion.answers}"
    bound = f"worse by {margin:.4g} at most, else by luck with p >= {ALPHA:g}; p is {chance:.2g}"
    return Gate(name, value, bound, chance >= ALPHA)
