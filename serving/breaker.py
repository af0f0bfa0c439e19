"""Remembers that a server is away, so that no request waits for what won't come."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from features.online import AWAY

IN_A_ROW = 3
EVERY_S = 0.1

logger = logging.getLogger("kindred.serving")


class Breaker:
    """Open once a server failed `IN_A_ROW` times in a row; then one probe at a time asks whether it is back.

    Use it from the event loop's thread.

    Args:    name: of the server, for the log; probe: asks it something, and raises one of AWAY where it doesn't answer.
    """

    def __init__(self, name: str, probe: Callable[[], Awaitable[object]]) -> None:
        self.name = name
        self.is_open = False
        self._ask = probe
        self._failures = 0
        self._probing: asyncio.Task[None] | None = None

    def answered(self) -> None:
        """It did."""
        self._failures = 0

    def failed(self) -> None:
        """It didn't."""
        self._failures += 1
        if self._failures >= IN_A_ROW and not self.is_open:
            self.is_open = True
            logger.warning("%s failed %d times in a row: requests do without it", self.name, self._failures)
            self._probing = asyncio.get_running_loop().create_task(self._probe())

    async def close(self) -> None:
        """End the probing."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    async def _probe(self) -> None:
        while True:
            try:
                await self._ask()
                break
            except AWAY:
                await asyncio.sleep(EVERY_S)
        self.is_open, self._failures = False, 0
        logger.warning("%s answers again", self.name)
