"""Watches what is tried and what was promoted: picks each customer's arm, and ends what does worse.

Workers count in memory and add to Redis once a second; whoever of them first sees enough evidence moves the alias, by
compare and set, with the evidence in the trail. Without Redis nothing is counted and nothing is moved.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from features.errors import KindredError
from features.events import Event
from features.online import AWAY, TrialCounts, watch_trial
from models.registry.trail import Gate
from serving.decide.asked import Asked
from serving.decide.assignment import arm_of
from serving.decide.decision import Decision, decide
from serving.decide.ranking import STAGE
from serving.decide.state import State
from serving.ending import end_canary, undo
from serving.evidence import CANARY, bucket, judge, judge_since
from serving.following import Follower
from serving.following.plans import Plan, Trialled, Watched
from serving.metrics import CANARY_ANSWERS, CANARY_ERRORS
from serving.receipts import request_id
from serving.tally import MOST, ONCE, REWARDS, Tally, arm_name

EVERY_S = 1.0
ACTING_S = 30  # of several workers that see the same evidence one acts
PROBATION_MS = 300_000  # that a champion set by hand stands beside the last one

logger = logging.getLogger("kindred.serving")


class Guard:
    """The arms of one worker's answers."""

    def __init__(self, follower: Follower, clock: Callable[[], float] = time.perf_counter) -> None:
        self.follower = follower
        self.clock = clock
        self.tally = Tally()
        self._by_hand: set[str] = set()
        self._judges = True
        self._task: asyncio.Task[None] | None = None

    async def start(self, judges: bool = True) -> None:
        """Begin to watch; judges: whether slates are answered here, else others are told what is heard."""
        self._judges = judges
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def decide(self, state: State, asked: Asked) -> tuple[State, Decision]:
        """The decision and the State that it is made from: that of the customer's arm, bound once.

        Where the canary fails the champion answers, and the failure counts against the canary. A ranker that fails
        counts as a failure too: the slate is one that it was not to be.
        """
        self.follower.recent.append(asked)
        arm = arm_of(state, asked.customer)
        counts = self.tally.of(arm_name(arm))
        counts["answers"] += 1
        if arm.variant:
            CANARY_ANSWERS.labels(arm.variant).inc()
        started = self.clock()
        try:
            decision = decide(arm, asked)
            counts["errors"] += STAGE in decision.degraded
        except Exception:
            counts["errors"] += 1
            if arm.variant:
                CANARY_ERRORS.labels(arm.variant).inc()
            if arm.variant != CANARY:
                raise
            logger.exception("the canary failed, the champion answers")
            arm = state
            decision = decide(state, asked)
        counts[bucket((self.clock() - started) * 1000)] += 1
        return arm, decision

    def receipt(self, state: State, now: int, chance: str) -> str:
        """The request_id of an answer that is made from a State; chance: random hexadecimal digits."""
        return request_id(now, chance, arm_name(state))

    def note(self, event: Event) -> None:
        """Count what a customer did after an answer: a click of a slate's item, an order."""
        if event.name in REWARDS:
            self.tally.note(event, self.follower.now())

    async def watch(self) -> None:
        """Add up what was counted, and act on what all workers have counted."""
        store = TrialCounts(self.follower.redis)
        if self._judges:
            await self._watch(store)
        else:
            await self._pass_on(store)

    async def _pass_on(self, store: TrialCounts) -> None:
        """Leave what was heard to the workers that answer slates."""
        told = self.tally.give()
        try:
            await asyncio.to_thread(store.hand, told, MOST)
        except AWAY:
            self.tally.take(told)
            raise

    async def _watch(self, store: TrialCounts) -> None:
        plan, state = self.follower.models.lineup.plan, self.follower.state
        seed = None if state.canary is None else state.canary.seed
        known = await asyncio.to_thread(store.meet, list(self.tally.arms), self.follower.now())
        self.tally.take(await asyncio.to_thread(store.handed, MOST))
        now = self.follower.now()
        self.tally.settle(now, known, plan.watched, lambda customer: arm_name(arm_of(state, customer)))
        await asyncio.to_thread(self.tally.send, store)
        await asyncio.to_thread(self._clear, store, plan, seed)
        if plan.canary is not None and seed is not None:
            await self._judge(store, plan.canary, seed)
        for watched in plan.watched:
            if self.follower.now() < watched.until:
                await self._judge_since(store, watched)

    async def _judge(self, store: TrialCounts, trial: Trialled, seed: str) -> None:
        """End a canary that does worse, and the probation of a champion that was set by hand."""
        since = await asyncio.to_thread(store.begin, seed, self.follower.now())
        gates = judge(await asyncio.to_thread(store.read, seed))
        failed = [gate for gate in gates if not gate.passed]
        over = trial.ungated and self.follower.now() - since >= PROBATION_MS
        if (failed or over) and await asyncio.to_thread(store.alone, seed, ACTING_S):
            watch_ms = self.follower.settings.watch_minutes * 60_000
            registry = self.follower.models.registry
            await asyncio.to_thread(end_canary, registry, trial, gates, self.follower.now(), watch_ms)
            await self.follower.models.told(trial.key.name)

    async def _judge_since(self, store: TrialCounts, watched: Watched) -> None:
        """Undo a promotion after which things went worse."""
        gates = await asyncio.to_thread(_since, store, watched)
        key = watch_trial(*watched.key, watched.since)
        if not all(gate.passed for gate in gates) and await asyncio.to_thread(store.alone, key, ACTING_S):
            await asyncio.to_thread(undo, self.follower.models.registry, watched, gates, self.follower.now())
            await self.follower.models.told(watched.key.name)

    def _clear(self, store: TrialCounts, plan: Plan, seed: str | None) -> None:
        """A trial that was begun by hand has no time to tell it from the next one: its counts go when it ends."""
        running = {seed} if seed is not None and plan.canary is not None and not plan.canary.since else set()
        shadow = self.follower.state.shadow_trial
        running |= {shadow} if plan.shadow is not None and shadow and not plan.shadow.since else set()
        for trial in self._by_hand - running:
            store.forget(trial, ONCE)
        self._by_hand = running

    async def _keep(self) -> None:
        while True:
            try:
                await self.watch()
            except (KindredError, *AWAY) as error:
                logger.warning("what is tried and what was promoted isn't watched: %s", error)
            except Exception:
                logger.exception("watching failed")
            await asyncio.sleep(EVERY_S)


def _since(store: TrialCounts, watched: Watched) -> tuple[Gate, ...]:
    before = store.before(watched.key.name, watched.previous, watched.since)
    return judge_since(store.read(watch_trial(*watched.key, watched.since)), before)
