"""A stream worker that can't write files for as long as there is a file `full` in its data folder."""

import logging
import resource
from pathlib import Path

from features.online import connect
from features.settings import from_environment
from pipelines.stream import run

ROOM = 512  # bytes that a file may grow to: less than any segment


def main() -> None:
    """Run for good."""
    settings = from_environment()
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)

    def told(_step: str) -> None:
        room = ROOM if Path(settings.data / "full").exists() else most
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))

    logging.basicConfig(level=logging.INFO, handlers=[logging.StreamHandler()])
    run(settings, connect(settings.redis), lambda: False, step=told)


if __name__ == "__main__":
    main()
