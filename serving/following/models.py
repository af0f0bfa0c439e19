"""Follows the registry: by poll, and at once when told; what is named is loaded, tried and put in place."""

import asyncio
import logging
from typing import TYPE_CHECKING

from features.errors import Unavailable
from features.online import AWAY, MODELS
from models.registry import Registry
from serving.decide.columns import Columns
from serving.decide.state import Champion, LoadedRanker, State
from serving.following.lineup import Lineup, Loaded
from serving.following.plans import RANKER, Key, plan
from serving.following.shelf import Shelf
from serving.metrics import REFUSED, SERVING, SWAPS, UNGATED

if TYPE_CHECKING:
    from serving.following.follower import Follower

TOLD_ONCE_S = 86_400  # of several workers that refuse a version, one writes it down
REFUSED_BY = "kindred:refused:"

logger = logging.getLogger("kindred.serving")


class ModelFollower:
    """The models of one worker.

    A swap between models in memory is one assignment and waits for nothing; loading runs in a thread beside the
    answers, one version at a time, and each is in place as soon as it is there.
    """

    def __init__(self, follower: "Follower", registry: Registry) -> None:
        self.follower = follower
        self.lineup = Lineup()
        self.registry = registry
        self.shelf = Shelf(registry, follower.settings.data / "models")
        self._loading = asyncio.Lock()
        self._asked = self._taken = 0

    def close(self) -> None:
        """Let the connections go."""
        self.registry.close()

    async def read(self) -> None:
        """Do what the registry says: swap, then load what is missing.

        Raises:  Unavailable: the registry doesn't answer; what is in memory goes on.
        """
        await self.look()
        async with self._loading:
            loaded = [key for key in self.lineup.missing() if await self._load(key)]
            if loaded:
                for key in self.lineup.let_go():
                    logger.info("let go of %s version %s, which serves nobody", key.name, key.version)
                self._put()
                await asyncio.to_thread(self.shelf.tidy, list(self.lineup.models))

    async def look(self) -> None:
        """Read the aliases and put in place what of them is in memory.

        An answer that was asked for before another that came first says nothing new.
        """
        self._asked += 1
        asked = self._asked
        settings = self.follower.settings
        standings = await asyncio.to_thread(self.registry.standings, (*settings.models, RANKER))
        if asked < self._taken:
            return
        self._taken = asked
        self.lineup.plan = plan(standings, settings.models, settings.require_gates)
        self._put()

    async def listen(self) -> None:
        """Look whenever somebody says that an alias moved."""
        async with self.follower.profiles.client.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(MODELS)
            while True:
                if await channel.get_message(timeout=1.0) is not None:
                    await self.read()

    async def told(self, name: str) -> None:
        """Pass on to every worker that an alias of a model moved; without Redis this one looks, the others poll.

        Raises:  Unavailable: neither Redis nor the registry answers.
        """
        try:
            await self.follower.profiles.client.publish(MODELS, name)
        except AWAY:
            await self.look()

    def _put(self) -> None:
        """The one assignment by which a State takes the place of another."""
        before, after = self.follower.state, self.lineup.into(self.follower.state)
        self.follower.state = after
        for each in self._changes(before, after):
            SWAPS.labels(each.name).inc()
            SERVING.labels(each.name).set(int(each.version))
            logger.info("serving %s version %s", each.name, each.version)
        for wanted in self.lineup.plan.champions:
            UNGATED.labels(wanted.champion.name).set(0)
        for key in self.lineup.plan.ungated:
            UNGATED.labels(key.name).set(1)

    def _changes(self, before: State, after: State) -> list[Champion]:
        """Champions that weren't before."""
        served = {(each.name, each.version) for each in (before.champion, *before.sources) if each is not None}
        now = [each for each in (after.champion, *after.sources) if each is not None]
        return [each for each in now if (each.name, each.version) not in served]

    async def _load(self, key: Key) -> bool:
        """One version into memory and into place; one that can't be is refused for good."""
        try:
            made, size = await asyncio.to_thread(self.shelf.load, key, tuple(self.follower.recent))
        except (Unavailable, *AWAY):
            raise
        except Exception as error:
            logger.exception("refused %s version %s, what was served before goes on", key.name, key.version)
            await self._refuse(key, str(error) or type(error).__name__)
            return False
        if isinstance(made, LoadedRanker):
            self.lineup.models[key] = Loaded(made, size)
        else:
            async with self.follower.swapping:
                columns = await asyncio.to_thread(Columns, made.items, self.follower.state.catalogue)
                self.lineup.models[key] = Loaded(Champion(key.name, key.version, made, columns), size)
                self._put()
        self._put()
        return True

    async def _refuse(self, key: Key, reason: str) -> None:
        """What was served goes on, and the refusal is seen in metrics and registry."""
        self.lineup.refused[key] = reason
        self._put()
        REFUSED.labels(key.name).inc()
        try:
            await asyncio.to_thread(self.shelf.refuse, key, reason, self.follower.now(), lambda: self._first(key))
        except Unavailable as away:
            logger.warning("the refusal of %s version %s is not written down: %s", key.name, key.version, away)

    def _first(self, key: Key) -> bool:
        """Whether no other worker has written this down; without Redis every worker does."""
        try:
            name = f"{REFUSED_BY}{key.name}:{key.version}"
            return bool(self.follower.redis.set(name, "1", nx=True, ex=TOLD_ONCE_S))
        except AWAY:
            return True
