"""How fresh the live state is, and where the time goes: a histogram a stage, and what was counted."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from features.kafka.consumer import Record

STAGES = ("broker", "decode", "fold", "log", "commit", "total")
COUNTED = ("events", "duplicates", "dead_letters", "rekeyed")
EDGES_MS = 0.1 * 1.1 ** np.arange(180)  # to within 5%, from a tenth of a millisecond to two and a half hours
Counts = npt.NDArray[np.int64]


class Latency:
    """One worker's figures since it started: per stage how many events took how long, and counters.

    `broker` is from an event's append to its batch being read, `total` from its append to its state in Redis; the
    others are what its batch took in that stage.
    """

    def __init__(self) -> None:
        self.stages: dict[str, Counts] = {stage: np.zeros(len(EDGES_MS) + 1, np.int64) for stage in STAGES}
        self.counted: dict[str, int] = dict.fromkeys(COUNTED, 0)

    def batch(self, records: list[Record], now_ms: Callable[[], float]) -> Callable[[str], None]:
        """Begin a batch; the function returned is told when each stage is over."""
        started = now_ms()
        waited = started - np.array([record.timestamp_ms for record in records if record.timestamp_ms > 0])
        self._add("broker", waited)
        before = [started]

        def took(stage: str) -> None:
            now = now_ms()
            self._add(stage, np.full(len(waited), now - before[0]))
            before[0] = now
            if stage == "commit":
                self._add("total", waited + (now - started))

        return took

    def count(self, **more: int) -> None:
        """Add to the counters."""
        for name, number in more.items():
            self.counted[name] = self.counted.get(name, 0) + number

    def report(self) -> dict[str, Any]:
        """The figures as plain values, to be sent and added up."""
        return {
            "pid": os.getpid(),
            "counted": dict(self.counted),
            "stages": {
                stage: {str(at): int(n) for at, n in enumerate(counts) if n} for stage, counts in self.stages.items()
            },
        }

    def _add(self, stage: str, milliseconds: npt.NDArray[Any]) -> None:
        places = np.searchsorted(EDGES_MS, np.maximum(milliseconds, 0))
        self.stages[stage] += np.bincount(places, minlength=len(EDGES_MS) + 1)


def quantile(counts: Mapping[str, int], q: float) -> float:
    """A quantile in ms of a stage's histogram as `report` gives it; 0 where nothing was counted."""
    ordered = sorted((int(at), number) for at, number in counts.items())
    left = q * sum(number for _, number in ordered)
    for at, number in ordered:
        left -= number
        if left <= 0:
            return float(EDGES_MS[min(at, len(EDGES_MS) - 1)])
    return 0.0


def together(reports: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """The histograms of several workers as one, by stage."""
    summed: dict[str, dict[str, int]] = {stage: {} for stage in STAGES}
    for report in reports:
        for stage, counts in report["stages"].items():
            for at, number in counts.items():
                summed[stage][at] = summed[stage].get(at, 0) + number
    return summed
