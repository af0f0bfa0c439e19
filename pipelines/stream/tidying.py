"""Small files of the log become large ones on a thread of its own: what waits for the disk must not hold up a batch."""

import logging
import threading
import time
from collections.abc import Collection, Sequence

from features.offline import Segments

EVERY_S = 2.0
BEHIND_EVERY_S = 30.0  # while events wait, they need the time more

Places = Sequence[tuple[Segments, Collection[int]]]

logger = logging.getLogger("kindred.stream")


def tidy(places: Places, now_ms: int) -> int:
    """Compact these partitions of some logs; returns files merged."""
    return sum(log.compact(now_ms, partitions) for log, partitions in places if partitions)


class Tidying:
    """Compacts what `own` was told last."""

    def __init__(self) -> None:
        self._places: Places = ()
        self._behind = False
        self._closing = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="tidying", daemon=True)
        self._thread.start()

    def own(self, places: Places, behind: bool = False) -> None:
        """What this worker's partitions are, of which logs.

        Args:    behind: it has more to do than it can, so compact seldom.
        Raises:  whatever ended the thread.
        """
        if self._failure is not None:
            raise self._failure
        self._places, self._behind = places, behind

    def close(self) -> None:
        """End the thread after the file that it is writing."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        waited = 0.0
        while not self._closing.wait(EVERY_S):
            waited += EVERY_S
            if self._behind and waited < BEHIND_EVERY_S:
                continue
            waited = 0.0
            try:
                tidy(self._places, int(time.time() * 1_000))
            except OSError as error:  # a full disk, or a file that another worker was faster with
                logger.warning("files are merged again in a moment: %s", error)
            except BaseException as error:  # noqa: BLE001 - the worker raises it with its next turn
                self._failure = error
                return
