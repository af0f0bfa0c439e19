"""Keeps the State current: the models that the registry names, the catalogue and its changes, what trends.

Each loop renews one part of the State and puts a new one in its place by one assignment; a loop that fails keeps what
is there, says so, and tries again.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from features.errors import KindredError
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
from models.registry import Registry
from serving.actions_file import ActionsFile
from serving.decide.asked import Asked
from serving.decide.catalogue import Catalogue
from serving.decide.state import Policy, State, take
from serving.decide.trends import live_trends
from serving.following.models import ModelFollower

POLL_S = 1.0
TRENDING_S = 2.0
CONTEXTS_EVERY = 8  # readings of what trends for everybody, to one of what trends by context
RESYNC_S = 60.0
START_S = 5.0
RECENT = 16  # requests that a new model is tried on

logger = logging.getLogger("kindred.serving")


class Follower:
    """Owns the State of one worker.

    `missing` names what could not be reached lately; `recent` are requests of late. Whoever loads a model or makes
    columns holds `swapping`, so that neither loses what the other changes in the catalogue.
    """

    def __init__(self, settings: Settings, registry: Registry | None = None) -> None:
        self.settings = settings
        policy = Policy(settings.exploration, settings.category_share, settings.grace)
        self.state = State(repeatable=settings.repeatable, policy=policy)
        self.missing: set[str] = set()
        self.recent: deque[Asked] = deque(maxlen=RECENT)
        self.now: Callable[[], int] = lambda: time.time_ns() // 1_000_000
        self.profiles = ProfileReader(connect_async(settings.redis), settings.buckets)
        self.swapping = asyncio.Lock()
        self.redis = connect(settings.redis)
        self.models = ModelFollower(self, registry or Registry(settings.mlflow))
        self.actions = ActionsFile(settings.data)
        self._tried: dict[str, asyncio.Event] = {}
        self._reads = 0
        self._contexts: dict[str, dict[str, int]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def pending(self) -> bool:
        """Whether the registry names a champion, and none is loaded yet."""
        return self.models.lineup.pending

    async def start(self) -> None:
        """Begin to follow; returns once everything was read or found missing, after START_S at the latest."""
        self._reader = CatalogueReader(connect_async(self.settings.redis, timeout_s=5.0))
        for name, every, step in (
            ("catalogue", POLL_S, self._follow_catalogue),
            ("trending", TRENDING_S, self.read_trending),
            ("registry", POLL_S, self.models.read),
            ("actions", POLL_S, self.read_actions),
        ):
            self._tried[name] = asyncio.Event()
            self._tasks.append(asyncio.create_task(self._keep(name, every, step)))
        self._tasks.append(asyncio.create_task(self._listen()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                await asyncio.gather(*(tried.wait() for tried in self._tried.values()))

    async def stop(self) -> None:
        """End the background reading."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._reader.client.aclose()
        await self.profiles.aclose()
        self.redis.close()
        self.models.close()

    async def read_catalogue(self) -> None:
        """All items, and the columns of every model anew."""
        catalogue = await asyncio.to_thread(Catalogue, await self._reader.all())
        async with self.swapping:
            lineup = self.models.lineup
            lineup.restock(await asyncio.to_thread(lineup.columns, catalogue))
            self.state = lineup.into(replace(self.state, catalogue=catalogue))

    async def read_trending(self) -> None:
        """What customers turn to, summed over the buckets, in the generation of the features that is live now."""
        await self.profiles.follow()
        where = self.redis, self.settings.buckets, self.profiles.table
        totals = await asyncio.to_thread(popular, *where)
        if self._reads % CONTEXTS_EVERY == 0:
            self._contexts = await asyncio.to_thread(popular_by_context, *where)
        self._reads += 1
        # It takes a large shop tens of milliseconds, which no request is to wait for.
        trending = await asyncio.to_thread(live_trends, totals, self._contexts, self.state.catalogue)
        self.state = replace(self.state, trending=trending)

    async def read_actions(self) -> None:
        """The business actions of their file, where it has changed."""
        actions = await asyncio.to_thread(self.actions.read)
        if actions != self.state.actions:
            self.state = replace(self.state, actions=actions)

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
                async with self.swapping:
                    take(self.state, items)

    async def _listen(self) -> None:
        """Be told of moved aliases at once; nothing is missing while that can't be, for the registry is polled."""
        while True:
            try:
                await self.models.listen()
            except (KindredError, *AWAY) as error:
                logger.debug("no news of models: %s", error)
            await asyncio.sleep(POLL_S)

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
