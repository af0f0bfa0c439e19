"""Keeps the State current: the champion of the registry, the catalogue and its changes, what trends.

Each loop renews one part of the State and puts a new one in its place by one assignment; a loop that fails keeps what
is there, says so, and tries again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from features.errors import KindredError, Unavailable
from features.online import (
    AWAY,
    CHANNEL,
    CatalogueReader,
    ProfileReader,
    connect,
    connect_async,
    popular,
    popular_by_context,
)
from features.settings import Settings
from models import load
from models.contracts import Model
from models.histories import History
from models.registry import Registry, Version
from serving.decide.catalogue import Catalogue
from serving.decide.columns import Columns
from serving.decide.state import Champion, Policy, State, restocked, take
from serving.decide.trends import live_trends

POLL_S = 1.0
TRENDING_S = 2.0
CONTEXTS_EVERY = 8  # readings of what trends for everybody, to one of what trends by context
RESYNC_S = 60.0
START_S = 5.0

logger = logging.getLogger("kindred.serving")


class Follower:
    """Owns the State of one worker.

    `missing` names what could not be reached lately; `pending` says that the registry names a champion, and that none
    is loaded yet. Whoever changes champion or catalogue holds `_swapping`, so that neither loses the other's change.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.state = State(repeatable=settings.repeatable, policy=Policy(settings.exploration, settings.category_share))
        self.missing: set[str] = set()
        self.pending = False
        self.registry = Registry(settings.mlflow)
        self.profiles = ProfileReader(connect_async(settings.redis), settings.buckets)
        self._refused: set[tuple[str, str]] = set()
        self._redis = connect(settings.redis)
        self._swapping = asyncio.Lock()
        self._tried: dict[str, asyncio.Event] = {}
        self._reads = 0
        self._contexts: dict[str, dict[str, int]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to follow; returns once everything was read or found missing, after START_S at the latest."""
        self._reader = CatalogueReader(connect_async(self.settings.redis, timeout_s=5.0))
        for name, every, step in (
            ("catalogue", POLL_S, self._follow_catalogue),
            ("trending", TRENDING_S, self.read_trending),
            ("registry", POLL_S, self.read_registry),
        ):
            self._tried[name] = asyncio.Event()
            self._tasks.append(asyncio.create_task(self._keep(name, every, step)))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                await asyncio.gather(*(tried.wait() for tried in self._tried.values()))

    async def stop(self) -> None:
        """End the background reading."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._reader.client.aclose()
        await self.profiles.client.aclose()
        self._redis.close()
        self.registry.close()

    async def read_catalogue(self) -> None:
        """All items, and the champion's columns anew."""
        catalogue = await asyncio.to_thread(Catalogue, await self._reader.all())
        async with self._swapping:
            state = await asyncio.to_thread(restocked, self.state, catalogue)
            self.state = replace(state, trending=self.state.trending)  # whose loop doesn't hold the lock

    async def read_trending(self) -> None:
        """What customers turn to, summed over the buckets, in the generation of the features that is live now."""
        await self.profiles.follow()
        where = self._redis, self.settings.buckets, self.profiles.table
        totals = await asyncio.to_thread(popular, *where)
        if self._reads % CONTEXTS_EVERY == 0:
            self._contexts = await asyncio.to_thread(popular_by_context, *where)
        self._reads += 1
        self.state = replace(self.state, trending=live_trends(totals, self._contexts, self.state.catalogue))

    async def read_registry(self) -> None:
        """Follow the alias `champion` of the first model of the settings that has one.

        A version that can't be loaded is refused for good, and what was served before goes on.
        """
        version = await asyncio.to_thread(self._champion)
        if version is None or self._serves(version) or (version.name, version.version) in self._refused:
            self.pending = False
            return
        self.pending = self.state.champion is None
        try:
            model = await asyncio.to_thread(self._load, version)
        except (Unavailable, *AWAY):
            raise
        except Exception:
            self._refused.add((version.name, version.version))
            self.pending = False
            logger.exception("refused %s version %s, what was served before goes on", version.name, version.version)
            return
        async with self._swapping:
            columns = await asyncio.to_thread(Columns, model.items, self.state.catalogue)
            self.state = replace(self.state, champion=Champion(version.name, version.version, model, columns))
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

    def _load(self, version: Version) -> Model:
        """Fetch, verify, load and ask it once, so that the first customer doesn't wait for cold memory."""
        folder: Path = self.registry.download(version, self.settings.data / "models")
        model = load(folder)
        some = np.arange(min(3, len(model.items)), dtype=np.int32)
        asked = History(some, np.ones(len(some), dtype=np.float32))
        found, _ = model.recommend_one(asked, 10)
        model.because(asked, found[found >= 0])
        return model

    async def _follow_catalogue(self) -> None:
        """Everything once, then each change as it is told; everything again after RESYNC_S, should one be lost."""
        async with self._reader.changes() as channel:
            await channel.subscribe(CHANNEL)
            while True:
                await self.read_catalogue()
                self._reached("catalogue")
                await self._changes(channel, asyncio.get_running_loop().time() + RESYNC_S)

    async def _changes(self, channel: Any, until: float) -> None:
        while asyncio.get_running_loop().time() < until:
            changed: set[str] = set()
            message = await channel.get_message(timeout=POLL_S)
            while message is not None:
                changed.add(message["data"].decode())
                message = await channel.get_message(timeout=0) if len(changed) < 1_000 else None
            if changed:
                items = await self._reader.some(sorted(changed))
                async with self._swapping:
                    take(self.state, items)

    async def _keep(self, name: str, every: float, step: Callable[[], Awaitable[None]]) -> None:
        """Do a step again and again; nothing that goes wrong in it ends that."""
        while True:
            try:
                await step()
                self._reached(name)
            except (KindredError, *AWAY) as error:
                self._lost(name, error)
            except Exception as error:
                logger.exception("reading %s failed", name)
                self._lost(name, error)
            await asyncio.sleep(every)

    def _reached(self, name: str) -> None:
        self.missing.discard(name)
        self._tried[name].set()

    def _lost(self, name: str, error: Exception) -> None:
        if name not in self.missing:
            logger.warning("%s can't be read, what is in memory goes on: %s", name, error)
        self.missing.add(name)
        self._tried[name].set()
