"""Item and global features on a thread of their own: summing what the buckets add must not hold up a batch."""

import logging
import threading
import time

from features.errors import KindredError
from features.online import AWAY, Client, Merger
from features.table import Table

EVERY_S, MOST_S = 0.5, 30.0
REST = 9  # times as long as a merge took: events need the time more, and while they wait nothing is merged for MOST_S

logger = logging.getLogger("kindred.stream")


class Merging:
    """Merges while `own(True)`; one worker of a group is enough."""

    def __init__(self, client: Client, buckets: int, table: Table) -> None:
        self._parts = (client, buckets, table)
        self._mine = threading.Event()
        self._closing = threading.Event()
        self._behind = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="merging", daemon=True)
        self._thread.start()

    def own(self, mine: bool, behind: bool = False) -> None:
        """Whether this worker is the one that merges.

        Args:    behind: it has more to do than it can, so merge seldom.
        Raises:  whatever ended the thread.
        """
        self._behind = behind
        if self._failure is not None:
            raise self._failure
        if mine:
            self._mine.set()
        else:
            self._mine.clear()

    def close(self) -> None:
        """End the thread after the merge that it is in."""
        self._closing.set()
        self._mine.set()
        self._thread.join()

    def _run(self) -> None:
        merger: Merger | None = None
        took = 0.0
        while True:
            if not self._mine.is_set():
                merger = None  # another worker merges meanwhile; what this one knew grows old
                self._mine.wait()
            waited = 0.0  # before the first merge too: it is of everything, and who has much to catch up does it once
            while waited < self._rest_after(took) and not self._closing.wait(EVERY_S):
                waited += EVERY_S
            if self._closing.is_set():
                return
            if not self._mine.is_set():  # given up meanwhile
                continue
            begin = time.monotonic()
            try:
                merger = merger or Merger(*self._parts)
                merger.merge()
            except (KindredError, *AWAY) as error:
                logger.warning("items are merged again in a moment: %s", error)
                merger = None
            except BaseException as error:  # noqa: BLE001 - the worker raises it with its next turn
                self._failure = error
                return
            took = time.monotonic() - begin

    def _rest_after(self, took: float) -> float:
        return MOST_S if self._behind else min(max(EVERY_S, REST * took), MOST_S)
