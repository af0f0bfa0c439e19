"""One request from start to finish: read the live profile, decide, answer, tell the hooks."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from msgspec import UNSET

from features.events import customer_of, iso
from features.online import AWAY, ItemReader, ProfileReader, connect_async
from features.profiles import Profile
from features.settings import Settings
from serving.breaker import Breaker
from serving.decide.asked import Asked, Stated, asked_by
from serving.decide.decision import Decision, Placed
from serving.decide.limits import NONE, Limits, Where
from serving.decide.ranking import features_of
from serving.decide.state import State
from serving.following import Follower
from serving.guard import Guard
from serving.live_items import LiveItems
from serving.metrics import DEGRADED, HOOKS_FAILED
from serving.schema import (
    Assigned,
    Filter,
    ModelVersion,
    Ranked,
    RankRequest,
    Reason,
    RecommendRequest,
    RecommendResponse,
    SimilarRequest,
)
from serving.shadow import Shadow as ShadowOf
from serving.standby import Standby

AFTER_S = 0.25
AFTER_STEP_S = 0.002
NOBODY = "u:nobody asks for this one, it only shows that Redis answers"

logger = logging.getLogger("kindred.serving")


@dataclass(frozen=True)
class Served:
    """One answer as it was given, for whoever keeps or compares it; it comes from `state` as it was then.

    `degraded` is that of the answer: what the engine missed and what the decision had to leave out.
    """

    request_id: str
    user_id: str | None
    anonymous_id: str | None
    state: State
    asked: Asked
    decision: Decision
    degraded: tuple[str, ...]


class Exposures(Protocol):
    """Keeps what was served; it must neither wait nor raise, and what it raises all the same is counted."""

    def log(self, served: Served) -> None:
        """Take one answer."""


Shadow = Callable[[Served], None]  # called once the answer is made; whatever it raises is counted


class Engine:
    """Answers slates from what is in memory and one read of the customer's state.

    Once an answer is made `exposures` is told of it, and `shadow` of a slate for a customer; neither costs an answer.
    """

    def __init__(self, settings: Settings, new_id: Callable[[], str] = lambda: secrets.token_hex(16)) -> None:
        self.settings = settings
        self.follower = Follower(settings)
        self.profiles: ProfileReader = self.follower.profiles
        self.breaker = Breaker("Redis", lambda: self.profiles.profile(NOBODY, merge=False))
        self.standby = Standby()
        self.new_id = new_id
        self.now: Callable[[], int] = lambda: time.time_ns() // 1_000_000
        self.guard = Guard(self.follower)
        self.items = LiveItems(ItemReader(connect_async(settings.redis)))
        self.follower.state = replace(self.follower.state, items=self.items)
        self.exposures: Exposures | None = None
        self.shadow: Shadow | None = ShadowOf(self.guard.tally.shadow).take

    async def start(self) -> None:
        """Connect and load; returns once everything that can be read has been read."""
        await self.follower.start()
        await self.guard.start()
        self._renewing = asyncio.create_task(self.items.keep(self.now))

    async def stop(self) -> None:
        """Let everything go."""
        await self.guard.stop()
        await self.breaker.close()
        self._renewing.cancel()
        await asyncio.gather(self._renewing, return_exceptions=True)
        await self.items.reader.aclose()
        await self.follower.stop()

    async def recommend(self, request: RecommendRequest, merge: bool = True) -> RecommendResponse:
        """A slate for a customer, a visitor or a history.

        Args:    merge: decide by all that the person did under any id; else by this id alone.
        """
        degraded = set(self.follower.missing)
        profile = await self._profile(request, merge, degraded)
        asked = _asked_for(request, profile, self.now())
        state, asked, decision = await self._decided(profile, asked, degraded)
        answer = self._answer(state, asked, decision, degraded)
        served = Served(
            answer.request_id, request.user_id, request.anonymous_id, state, asked, decision, answer.degraded
        )
        self._log(served)
        self._tell("shadow", self.shadow, served)
        return answer

    async def rank(self, request: RankRequest, merge: bool = True) -> RecommendResponse:
        """The given items in their best order for a customer; merge: as recommend() has it."""
        degraded = set(self.follower.missing)
        profile = await self._profile(request, merge, degraded)
        asked = _asked_of(request, profile, self.now())
        state, asked, decision = await self._decided(profile, asked, degraded)
        answer = self._answer(state, asked, decision, degraded)
        self._log(
            Served(answer.request_id, request.user_id, request.anonymous_id, state, asked, decision, answer.degraded)
        )
        return answer

    async def similar(self, request: SimilarRequest) -> RecommendResponse:
        """Items like one."""
        asked = Asked(
            now=self.now(),
            n=request.n,
            limits=_limits(request.filter),
            exclude=request.exclude,
            alike=request.item_id,
            placement="similar",
            context=request.context,
            explain=request.debug,
        )
        state, decision = self.standby.decide(self.follower.state, asked, self.guard.decide)
        answer = self._answer(state, asked, decision, set(self.follower.missing))
        self._log(Served(answer.request_id, None, None, state, asked, decision, answer.degraded))
        return answer

    async def _decided(self, profile: Profile, asked: Asked, degraded: set[str]) -> tuple[State, Asked, Decision]:
        """The decision of the customer's arm.

        A ranker's first look at an item costs a read of its live features and a second decision, of the same arm.
        """
        if self.follower.state.ranker is not None:
            asked = replace(asked, features=features_of(profile, asked.now))
        state, decision = self.standby.decide(self.follower.state, asked, self.guard.decide)
        if self.items.missed and self.breaker.is_open:
            degraded.add("ranker")
        elif self.items.missed:
            try:
                await self.items.fetch(asked.now)
                state, decision = self.standby.decide(state, asked)
            except AWAY:
                self.breaker.failed()
                degraded.add("ranker")
        return state, asked, decision

    def _answer(self, state: State, asked: Asked, decision: Decision, degraded: set[str]) -> RecommendResponse:
        return _answer(self.guard.receipt(state, asked.now, self.new_id()), asked, decision, degraded, assigned(state))

    def _log(self, served: Served) -> None:
        self._tell("exposures", None if self.exposures is None else self.exposures.log, served)

    def _tell(self, name: str, hook: Callable[[Served], None] | None, served: Served) -> None:
        try:
            if hook is not None:
                hook(served)
        except Exception:
            HOOKS_FAILED.labels(name).inc()
            logger.exception("%s failed on %s; the answer goes out", name, served.request_id)

    async def _profile(self, request: RecommendRequest | RankRequest, merge: bool, degraded: set[str]) -> Profile:
        """The customer's live state; what could not be had is added to `degraded`."""
        customer = customer_of(request.user_id, request.anonymous_id)
        profile, seen = Profile(), request.after is None
        if customer and self.breaker.is_open:
            degraded.add("profile")
        elif customer:
            try:
                profile = await self.profiles.profile(customer, merge)
                self.breaker.answered()
                if request.after is not None:
                    profile, seen = await self._wait_for(customer, request.after, profile, merge)
            except AWAY:
                self.breaker.failed()
                degraded.add("profile")
        degraded.update(() if seen else ("after",))
        return profile

    async def _wait_for(self, customer: str, message_id: str, profile: Profile, merge: bool) -> tuple[Profile, bool]:
        """The state once it reflects the event, or the last one read when the time is up."""
        loop = asyncio.get_running_loop()
        until = loop.time() + AFTER_S
        while not (seen := profile.has_seen(message_id)) and loop.time() < until:
            await asyncio.sleep(AFTER_STEP_S)
            profile = await self.profiles.profile(customer, merge)
        return profile, seen


def _asked_for(request: RecommendRequest, profile: Profile, now: int) -> Asked:
    return _asked_by(request, profile, now, n=request.n, limits=_limits(request.filter), exclude=request.exclude)


def _asked_of(request: RankRequest, profile: Profile, now: int) -> Asked:
    item_ids = tuple(dict.fromkeys(request.item_ids))
    return _asked_by(request, profile, now, n=len(item_ids), item_ids=item_ids)


def _asked_by(request: RecommendRequest | RankRequest, profile: Profile, now: int, **what: Any) -> Asked:
    stated = [Stated(each.item_id, each.name, each.at) for each in request.history or ()]
    customer = customer_of(request.user_id, request.anonymous_id)
    return asked_by(
        profile,
        stated,
        now,
        customer,
        request.item_id,
        request.context,
        placement=request.placement,
        explain=request.debug,
        **what,
    )


def _limits(wanted: Filter) -> Limits:
    if not wanted.category and wanted.max_price is None:
        return NONE
    return Limits(Where(categories=frozenset(wanted.category), max_price=wanted.max_price))


def assigned(state: State) -> Assigned | None:
    """The arm of a canary that a customer is in."""
    if state.canary is None or not state.variant:
        return None
    tried = state.canary.challenger
    return Assigned(f"canary:{tried.name}:{tried.version}", state.variant)


def _answer(
    request_id: str, asked: Asked, decision: Decision, degraded: set[str], experiment: Assigned | None = None
) -> RecommendResponse:
    missing = tuple(sorted({*degraded, *decision.degraded}))
    for name in missing:
        DEGRADED.labels(name).inc()
    return RecommendResponse(
        request_id=request_id,
        items=tuple(_ranked(placed) for placed in decision.slate),
        model=None if decision.champion is None else ModelVersion(*decision.champion),
        experiment=experiment,
        as_of=iso(asked.as_of) if asked.as_of else None,
        degraded=missing,
        debug=UNSET if decision.trace is None else dict(decision.trace),
    )


def _ranked(placed: Placed) -> Ranked:
    return Ranked(
        item_id=placed.item_id,
        score=placed.score,
        rank=placed.rank,
        reasons=tuple(Reason(kind=each.kind, item_id=each.item_id, rule=each.rule) for each in placed.reasons),  # type: ignore[arg-type]
        source=placed.source,
    )
