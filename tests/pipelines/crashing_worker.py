"""A stream worker that dies at one exact place: `python -m tests.pipelines.crashing_worker POINT WHEN CALL`.

POINT names a function, WHEN is `before` or `after`, CALL says at which call of it, counted from 1.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from features.kafka.producer import Producer
from features.online import CatalogueStore, StateStore, connect
from features.settings import from_environment
from pipelines import stream

POINTS: dict[str, tuple[Any, str]] = {
    "log": (stream, "append_events"),
    "item-log": (stream, "append_items"),
    "flush": (Producer, "flush"),
    "commit": (StateStore, "commit"),
    "upsert": (CatalogueStore, "upsert"),
    "stubs": (CatalogueStore, "create_missing"),
    "claim": (StateStore, "claim"),
}


def crashing(function: Callable[..., Any], when: str, call: int, crash: Callable[[], object]) -> Callable[..., Any]:
    """The function, with a crash before or after its n-th call."""
    calls = 0

    def wrapped(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and when == "before":
            crash()
        result = function(*args, **options)
        if calls == call and when == "after":
            crash()
        return result

    return wrapped


def main() -> None:
    """Run until the crash."""
    owner, name = POINTS[sys.argv[1]]
    setattr(owner, name, crashing(getattr(owner, name), sys.argv[2], int(sys.argv[3]), lambda: os._exit(137)))
    settings = from_environment()
    stream.run(settings, connect(settings.redis), lambda: False)


if __name__ == "__main__":
    main()
