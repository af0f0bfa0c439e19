"""A stream worker that dies at one exact place: `python -m tests.pipelines.crashing_worker STEP OCCURRENCE`.

STEP is one of the processor's STEPS; OCCURRENCE says when of it, counted from 1.
"""

import os
import sys
from collections.abc import Callable

from features.online import connect
from features.settings import from_environment
from pipelines.stream import run


def dying(step: str, occurrence: int, die: Callable[[], object]) -> Callable[[str], None]:
    """What a processor is given as `step`, so that it ends after the n-th occurrence of one."""
    left = occurrence

    def told(name: str) -> None:
        nonlocal left
        left -= name == step
        if name == step and left == 0:
            die()

    return told


def main() -> None:
    """Run until the end."""
    settings = from_environment()
    step, occurrence = sys.argv[1], int(sys.argv[2])
    run(settings, connect(settings.redis), lambda: False, step=dying(step, occurrence, lambda: os._exit(137)))


if __name__ == "__main__":
    main()
