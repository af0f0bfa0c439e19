"""Live features of items for the ranker, kept in memory: a request reads a hundred of them, Redis once in a while."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from features.online import AWAY, ItemReader
from models.ranker_rows import ITEM

MOST = 100_000  # items that are kept
FETCHED = 2_000  # of one request at most
RENEWED = 500  # at once: other requests wait a few milliseconds for that
EVERY_S = 10.0  # the shortest window of an item is a day

logger = logging.getLogger("kindred.serving")

Row = tuple[float, ...]


class LiveItems(Mapping[str, Row]):
    """Values of ITEM by item, NaN where there is none; asked for an item that it lacks, it remembers that as `missed`.

    What nobody has asked for between two renewals is let go.
    """

    def __init__(self, reader: ItemReader) -> None:
        self.reader = reader
        self.missed: dict[str, None] = {}
        self._rows: dict[str, Row] = {}
        self._asked: dict[str, None] = {}

    def __getitem__(self, item_id: str) -> Row:
        row = self._rows.get(item_id)
        if row is None:
            self.missed[item_id] = None
            raise KeyError(item_id)
        self._asked[item_id] = None
        return row

    def get(self, item_id: str, default: Any = None) -> Any:
        """As a mapping has it, without an error for each that is missing: a request asks for a hundred."""
        row = self._rows.get(item_id)
        if row is None:
            self.missed[item_id] = None
            return default
        self._asked[item_id] = None
        return row

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    async def fetch(self, now: int) -> None:
        """Read what was missed, as it is now (ms UTC).

        Raises:  redis.RedisError, OSError: features.online.AWAY lists them.
        """
        wanted, self.missed = list(islice(self.missed, FETCHED)), {}
        if wanted:
            self._rows |= await self._read(wanted, now)
            self._asked |= dict.fromkeys(wanted)

    async def renew(self, now: int) -> None:
        """Read again what was asked for since the last time, and let the rest go; raises as fetch()."""
        wanted, self._asked = list(islice(self._asked, MOST)), {}
        rows: dict[str, Row] = {}
        for at in range(0, len(wanted), RENEWED):
            rows |= await self._read(wanted[at : at + RENEWED], now)
        meanwhile = {item_id: self._rows[item_id] for item_id in self._asked if item_id in self._rows}
        self._rows = meanwhile | rows

    async def keep(self, now: Callable[[], int]) -> None:
        """Renew again and again; while Redis is away what is there goes on."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.reader.follow()
                await self.renew(now())
            except AWAY as error:
                logger.debug("features of items can't be read: %s", error)

    async def _read(self, item_ids: list[str], now: int) -> dict[str, Row]:
        found = await self.reader.numbers(item_ids, ITEM, now)
        return dict(zip(item_ids, map(tuple, found.tolist()), strict=True))
