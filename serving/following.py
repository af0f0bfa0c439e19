"""Keeps the State current: the champion of the registry, the catalogue and its changes, what trends.

Each loop renews one part of the State and puts a new one in its place by one assignment; a loop that fails keeps what
is there, says so, and tries again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from features.errors import BrokenArtifact, KindredError
from features.items import Item
from features.online import AWAY, CHANNEL, CatalogueReader, connect, connect_async, popular
from features.settings import Settings
from models import load
from models.registry import Registry, Version
from serving.decide.state import Champion, Columns, State

POLL_S = 1.0
TRENDING_S = 5.0
RESYNC_S = 60.0

logger = logging.getLogger("kindred.serving")


class Follower:
    """Owns the State of one worker; `missing` names what could not be reached lately."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.state = State(repeatable=settings.repeatable)
        self.missing: set[str] = set()
        self.pending = True
        self.registry = Registry(settings.mlflow)
        self._refused: set[tuple[str, str]] = set()
        self._redis = connect(settings.redis)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Read everything once, then keep reading in the background."""
        self._reader = CatalogueReader(connect_async(self.settings.redis, timeout_s=5.0))
        for name, every, step in (
            ("catalogue", RESYNC_S, self.read_catalogue),
            ("trending", TRENDING_S, self.read_trending),
            ("registry", POLL_S, self.read_registry),
        ):
            await self._attempt(name, step)
            self._tasks.append(asyncio.create_task(self._repeat(name, every, step)))
        self._tasks.append(asyncio.create_task(self._listen()))

    async def stop(self) -> None:
        """End the background reading."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._reader.client.aclose()
        self._redis.close()

    async def read_catalogue(self) -> None:
        """All items, and the champion's columns anew."""
        catalogue = await self._reader.all()
        champion = self.state.champion
        if champion is not None:
            champion = replace(champion, columns=Columns(champion.model.items, catalogue))
        self.state = replace(self.state, catalogue=catalogue, champion=champion)

    async def read_trending(self) -> None:
        """What customers turn to, summed over the buckets."""
        totals = await asyncio.to_thread(popular, self._redis, self.settings.buckets)
        wanted = sorted(((item_id, float(w)) for item_id, w in totals.items() if w > 0), key=lambda e: (-e[1], e[0]))
        self.state = replace(self.state, trending=tuple(wanted[:1_000]))

    async def read_registry(self) -> None:
        """Follow the alias `champion` of the first model of the settings that has one."""
        version = await asyncio.to_thread(self._champion)
        if version is None or self._serves(version) or (version.name, version.version) in self._refused:
            self.pending = False
            return
        try:
            champion = await asyncio.to_thread(self._load, version)
        except BrokenArtifact as error:
            self._refused.add((version.name, version.version))
            logger.error("refused %s version %s, the one before goes on: %s", version.name, version.version, error)
            return
        self.state = replace(self.state, champion=champion)
        self.pending = False
        logger.info("serving %s version %s", version.name, version.version)

    def _champion(self) -> Version | None:
        for name in self.settings.models:
            version = self.registry.champion(name)
            if version is not None:
                return version
        return None

    def _serves(self, version: Version) -> bool:
        champion = self.state.champion
        return champion is not None and (champion.name, champion.version) == (version.name, version.version)

    def _load(self, version: Version) -> Champion:
        """Fetch, verify, load and ask it once, so that the first customer doesn't wait for cold memory."""
        folder: Path = self.registry.download(version, self.settings.data / "models")
        model = load(folder)
        model.recommend_one(np.arange(min(3, len(model.items)), dtype=np.int32), np.ones(3, dtype=np.float32), 10)
        return Champion(version.name, version.version, model, Columns(model.items, self.state.catalogue))

    async def _listen(self) -> None:
        while True:
            await self._attempt("catalogue", self._changes)
            await asyncio.sleep(POLL_S)

    async def _changes(self) -> None:
        async with self._reader.changes() as channel:
            await channel.subscribe(CHANNEL)
            while True:
                changed: set[str] = set()
                message = await channel.get_message(timeout=POLL_S)
                while message is not None and len(changed) < 1_000:
                    changed.add(message["data"].decode())
                    message = await channel.get_message(timeout=0)
                if changed:
                    self._take(await self._reader.some(sorted(changed)))

    def _take(self, changed: Mapping[str, Item | None]) -> None:
        catalogue = {**(self.state.catalogue or {}), **changed}
        known = {item_id: item for item_id, item in catalogue.items() if item is not None}
        if self.state.champion is not None:
            self.state.champion.columns.update(changed)
        self.state = replace(self.state, catalogue=known)

    async def _repeat(self, name: str, every: float, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(every)
            await self._attempt(name, step)

    async def _attempt(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
            self.missing.discard(name)
        except (KindredError, *AWAY) as error:
            if name not in self.missing:
                logger.warning("%s can't be read, what is in memory goes on: %s", name, error)
            self.missing.add(name)
