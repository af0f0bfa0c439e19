"""One request from start to finish: read the live profile, decide, say why."""

import asyncio
import uuid
from collections.abc import Callable

from features.events import customer_of, iso
from features.online import AWAY, ProfileReader
from features.profiles import Profile
from features.settings import Settings
from features.weights import WEIGHTS
from serving.decide.candidates import Candidate, Touch
from serving.decide.rank import like, reason, slate
from serving.decide.state import Limits, State
from serving.following import Follower
from serving.schema import (
    Filter,
    ModelVersion,
    Ranked,
    Reason,
    RecommendRequest,
    RecommendResponse,
    SimilarRequest,
    Touched,
)

AFTER_S = 0.25
AFTER_STEP_S = 0.004


class Engine:
    """Answers slates from what is in memory and one read of the customer's state."""

    def __init__(self, settings: Settings, new_id: Callable[[], str] = lambda: uuid.uuid4().hex) -> None:
        self.settings = settings
        self.follower = Follower(settings)
        self.profiles: ProfileReader = self.follower.profiles
        self.new_id = new_id

    async def start(self) -> None:
        """Connect and load; returns once everything that can be read has been read."""
        await self.follower.start()

    async def stop(self) -> None:
        """Let everything go."""
        await self.follower.stop()

    async def recommend(self, request: RecommendRequest, merge: bool = True) -> RecommendResponse:
        """A slate for a customer, a visitor or a history.

        Args:    merge: decide by all that the person did under any id; else by this id alone.
        """
        degraded = self._degraded()
        profile = await self._profile(request, merge, degraded)
        touches, newest = _touches(request, profile)
        state = self.follower.state
        owned = profile.bought() | _stated_as_bought(request)
        chosen = slate(state, touches, owned, _limits(request.filter), request.exclude, request.n)
        return self._answer(state, chosen, newest, degraded)

    async def similar(self, request: SimilarRequest) -> RecommendResponse:
        """Items like one."""
        state = self.follower.state
        chosen = like(state, request.item_id, _limits(request.filter), request.exclude, request.n)
        return self._answer(state, chosen, 0, self._degraded())

    def _degraded(self) -> list[str]:
        missing = set(self.follower.missing)
        if self.follower.state.champion is None:
            missing.add("model")
        return sorted(missing)

    async def _profile(self, request: RecommendRequest, merge: bool, degraded: list[str]) -> Profile:
        """The customer's live state; what could not be had is added to `degraded`."""
        customer = customer_of(request.user_id, request.anonymous_id)
        profile, seen = Profile(), request.after is None
        try:
            if customer:
                profile = await self.profiles.profile(customer, merge)
                seen = request.after is None or profile.has_seen(request.after)
            if customer and request.after is not None and not seen:
                profile, seen = await self._wait_for(customer, request.after, profile, merge)
        except AWAY:
            degraded.append("profile")
        degraded += [] if seen else ["after"]
        return profile

    async def _wait_for(self, customer: str, message_id: str, profile: Profile, merge: bool) -> tuple[Profile, bool]:
        """The state once it reflects the event, or the last one read when the time is up."""
        loop = asyncio.get_running_loop()
        until = loop.time() + AFTER_S
        while loop.time() < until:
            await asyncio.sleep(AFTER_STEP_S)
            profile = await self.profiles.profile(customer, merge)
            if profile.has_seen(message_id):
                return profile, True
        return profile, False

    def _answer(self, state: State, chosen: list[Candidate], newest: int, degraded: list[str]) -> RecommendResponse:
        champion = state.champion
        return RecommendResponse(
            request_id=self.new_id(),
            items=tuple(_ranked(candidate, rank) for rank, candidate in enumerate(chosen, 1)),
            model=None if champion is None else ModelVersion(champion.name, champion.version),
            as_of=iso(newest) if newest else None,
            degraded=tuple(degraded),
        )


def _ranked(candidate: Candidate, rank: int) -> Ranked:
    kind, item_id = reason(candidate)
    because = Reason(kind=kind, item_id=item_id)  # type: ignore[arg-type]
    return Ranked(
        item_id=candidate.item_id, score=candidate.score, rank=rank, reasons=(because,), source=candidate.source
    )


def _stated_as_bought(request: RecommendRequest) -> set[str]:
    """Items that the caller's own history says were bought and not given back."""
    names = [(touched.item_id, touched.name) for touched in request.history or ()]
    returned = {item_id for item_id, name in names if name == "Order Refunded"}
    return {item_id for item_id, name in names if name == "Order Completed"} - returned


def _limits(wanted: Filter) -> Limits:
    return Limits(frozenset(wanted.category), wanted.max_price)


def _touches(request: RecommendRequest, profile: Profile) -> tuple[list[Touch], int]:
    """What ties the customer to items, oldest first, the item looked at last of all; and the newest time.

    The caller's own history is taken as it comes, or by time where all of it has times; it is newer than what is known.
    """
    own = list(request.history or ())
    dated = [(touched.timestamp, touched) for touched in own if touched.timestamp is not None]
    if len(dated) == len(own):
        own = [touched for _, touched in sorted(dated, key=lambda pair: pair[0])]
    if request.item_id is not None:
        own.append(Touched(item_id=request.item_id))
    live = [Touch(item_id, confidence, name) for item_id, confidence, name, _ in reversed(profile.history())]
    stated = [Touch(t.item_id, WEIGHTS.get(t.name, 0), t.name) for t in own]
    merged: dict[str, Touch] = {}
    for touch in (*live, *stated):
        before = merged.pop(touch.item_id, None)  # so that it stands at its newest place
        total = touch.confidence + (before.confidence if before else 0.0)
        names = [touch.event] if before is None else [before.event, touch.event]
        merged[touch.item_id] = Touch(touch.item_id, total, max(names, key=lambda name: WEIGHTS.get(name, 0)))
    times = [round(t.timestamp.timestamp() * 1000) for t in own if t.timestamp is not None]
    return [touch for touch in merged.values() if touch.confidence > 0], max([profile.last_seen, *times])
