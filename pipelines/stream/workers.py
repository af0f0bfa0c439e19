"""Several workers of the stream processor on one machine: started together, replaced when one dies, stopped at last."""

import logging
import sys
import threading

from features.settings import Settings, to_environment
from pipelines.processes import Children

LOOK_EVERY_S = 0.5
MOST_RESTARTS = 20  # in a row without a minute of peace: then something is wrong that a restart doesn't cure
PEACE_S = 60.0

logger = logging.getLogger("kindred.stream")


def run_workers(settings: Settings, workers: int, stopping: threading.Event) -> None:
    """Keep so many workers running until `stopping`; each is a process of its own with a log of its own.

    Raises:  Unavailable: they die again and again.
    """
    children = Children(settings.data / "logs")
    command = [sys.executable, "-P", "-m", "pipelines.cli", "stream"]
    try:
        for number in range(workers):
            children.start(f"stream-{number}", command, to_environment(settings))
        logger.info("%d workers run, logs in %s", workers, settings.data / "logs")
        children.keep(command, to_environment(settings), stopping, LOOK_EVERY_S, MOST_RESTARTS, PEACE_S)
    finally:
        children.stop()
