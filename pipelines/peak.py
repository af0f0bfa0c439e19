"""How much memory a piece of work needed at most."""

import resource
import sys
from pathlib import Path

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_MB = 1 << 20


class Peak:
    """The highest resident memory of this process during the block, in MiB; other than on Linux since its start."""

    def __init__(self) -> None:
        self.mb = 0.0

    def __enter__(self) -> "Peak":
        if _CLEAR.exists():
            _CLEAR.write_text("5", encoding="ascii")  # sets the mark back to what is held now
        return self

    def __exit__(self, *_: object) -> None:
        self.mb = _highest()


def _highest() -> float:
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / _MB if sys.platform == "darwin" else most / 1024
