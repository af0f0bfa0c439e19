"""What one run cost its own process; only the standard library, since a peer may run in an environment of its own."""

import resource
import sys
import time
from pathlib import Path
from typing import TypedDict


class Result(TypedDict):
    """`wall_s` from the first record on, `cpu_s` of this process with all its threads, `peak_rss_mb` in MiB."""

    events: int
    wall_s: float
    cpu_s: float
    peak_rss_mb: float


class Meter:
    """Counts CPU from its making on, after all imports, and the clock on the wall from the first record on."""

    def __init__(self) -> None:
        self._cpu = time.process_time()
        self._first: float | None = None

    def first(self) -> None:
        """A record has come; later calls change nothing."""
        if self._first is None:
            self._first = time.perf_counter()

    def result(self, events: int) -> Result:
        """The cost of so many events, as of now."""
        wall = 0.0 if self._first is None else time.perf_counter() - self._first
        return {
            "events": events,
            "wall_s": wall,
            "cpu_s": time.process_time() - self._cpu,
            "peak_rss_mb": _peak_rss_mb(),
        }


def _peak_rss_mb() -> float:
    """On Linux from /proc: the peak that `getrusage` tells is passed on from a starting process to the started one."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
