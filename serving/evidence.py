"""Does a canary do worse than the champion, or a champion than the one before? A test that may be looked at any time.

Every measure is a share of answers: those that failed, those that were slow, those that nobody clicked or bought after.
A version is stopped where its share is worse than the other's by more than a margin, with an error probability that
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

    `margin` is how much worse is borne, of a reward as a part of the other's rate; `least` answers of the version that
    is judged are waited for; `of` says of which answers it is a share.
    """

    name: str
    margin: float
    least: int
    reward: bool = False
    of: str = "answers"


MEASURES = (
    Measure("errors", 0.005, 50),
    Measure("slow", 0.05, 200),
    Measure("clicks", 0.1, 500, reward=True, of="ripe"),
    Measure("orders", 0.1, 500, reward=True),
)
# Of a champion since its promotion, against another hour: more is borne, since hours differ by themselves.
SINCE = (
    Measure("errors", 0.01, 50),
    Measure("slow", 0.2, 500),
    Measure("clicks", 0.3, 1_000, reward=True, of="ripe"),
)


def judge(counts: Mapping[str, int]) -> tuple[Gate, ...]:
    """Each measure with the figures of both arms; one that isn't passed is a reason to stop."""
    return _gates(MEASURES, counts, "champion")


def judge_since(new: Mapping[str, int], before: Mapping[str, int]) -> tuple[Gate, ...]:
    """The same of a champion since its promotion, against what the one before did then."""
    arms = ((CANARY, new), (CHAMPION, before))
    counts = {f"{arm}:{name}": count for arm, found in arms for name, count in found.items()}
    return _gates(SINCE, counts, "before")


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


def _gates(measures: tuple[Measure, ...], counts: Mapping[str, int], other: str) -> tuple[Gate, ...]:
    pairs = ((each, _share(counts, CANARY, each), _share(counts, CHAMPION, each)) for each in measures)
    return tuple(_gate(measure, new, old, counts, other) for measure, new, old in pairs)


def _share(counts: Mapping[str, int], arm: str, measure: Measure) -> Share:
    answers = counts.get(f"{arm}:{measure.of}", 0)
    if measure.name == "slow":
        edge = slow_edge(counts)
        fast = sum(counts.get(f"{arm}:ms{each}", 0) for each in EDGES_MS if each <= edge)
        return Share(max(0, answers - fast), answers)
    return Share(min(answers, counts.get(f"{arm}:{measure.name}", 0)), answers)


def _gate(measure: Measure, canary: Share, champion: Share, counts: Mapping[str, int], other: str) -> Gate:
    bad = [Share(each.answers - each.happened, each.answers) if measure.reward else each for each in (canary, champion)]
    margin = measure.margin * champion.rate if measure.reward else measure.margin
    chance = worse(bad[0], bad[1], margin) if canary.answers >= measure.least and champion.answers else 1.0
    name = f"answers slower than {slow_edge(counts)} ms" if measure.name == "slow" else measure.name
    value = f"{canary.happened} of {canary.answers}, {other} {champion.happened} of {champion.answers}"
    bound = f"worse by {margin:.4g} at most, else by luck with p >= {ALPHA:g}; p is {chance:.2g}"
    return Gate(name, value, bound, chance >= ALPHA)
