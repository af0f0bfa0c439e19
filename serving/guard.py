"""Watches a canary: picks each customer's arm, counts what both arms do, and ends what does worse than the champion.

Workers count in memory and add to Redis once a second; whoever of them first sees enough evidence moves the alias, by
compare and set, with the evidence in the trail. Without Redis nothing is counted and nothing is moved.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable

from features.errors import KindredError
from features.events import Event
from features.online import AWAY, TrialCounts
from models.registry import CANARY as CANARY_ALIAS
from models.registry.moves import accept, crown, end
from models.registry.trail import Entry, Gate
from serving.decide.asked import Asked
from serving.decide.assignment import arm_of
from serving.decide.decision import Decision, decide
from serving.decide.state import State
from serving.evidence import CANARY, bucket, judge
from serving.following import Follower
from serving.following.plans import Trialled
from serving.metrics import CANARY_ANSWERS, CANARY_ERRORS, ENDED

EVERY_S = 1.0
ACTING_S = 30  # of several workers that see the same evidence one acts
PROBATION_MS = 300_000  # that a champion set by hand stands beside the last one
WHO = "kindred (automatic)"
REWARDS = {"Product Clicked": "clicks", "Order Completed": "orders"}

logger = logging.getLogger("kindred.serving")


class Guard:
    """The arms of one worker's answers."""

    def __init__(self, follower: Follower, clock: Callable[[], float] = time.perf_counter) -> None:
        self.follower = follower
        self.clock = clock
        self.counts: dict[str, Counter[str]] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def counter(self, trial: str) -> Counter[str]:
        """What this worker has counted of a trial since it last added up."""
        return self.counts.setdefault(trial, Counter())

    def decide(self, state: State, asked: Asked) -> tuple[State, Decision]:
        """The decision and the State that it is made from: that of the customer's arm, bound once.

        Where the canary fails the champion answers, and the failure counts against the canary.
        """
        self.follower.recent.append(asked)
        arm = arm_of(state, asked.customer)
        if not arm.variant or arm.canary is None:
            return arm, decide(arm, asked)
        counts = self.counter(arm.canary.seed)
        counts[f"{arm.variant}:answers"] += 1
        CANARY_ANSWERS.labels(arm.variant).inc()
        started = self.clock()
        try:
            decision = decide(arm, asked)
        except Exception:
            counts[f"{arm.variant}:errors"] += 1
            CANARY_ERRORS.labels(arm.variant).inc()
            if arm.variant != CANARY:
                raise
            logger.exception("the canary failed, the champion answers")
            arm = state
            decision = decide(state, asked)
        counts[f"{arm.variant or CANARY}:{bucket((self.clock() - started) * 1000)}"] += 1
        return arm, decision

    def note(self, event: Event) -> None:
        """Count what a customer did after an answer: a click of a slate's item, an order."""
        reward, canary = REWARDS.get(event.name), self.follower.state.canary
        if reward is None or canary is None:
            return
        arm = arm_of(self.follower.state, event.customer).variant
        if arm:
            self.counter(canary.seed)[f"{arm}:{reward}"] += 1

    async def watch(self) -> None:
        """Add up what was counted, and act on what all workers have counted."""
        trial = self.follower.models.lineup.plan.canary
        canary = self.follower.state.canary
        counts, self.counts = self.counts, {}
        seed = None if canary is None else canary.seed
        try:
            found = await asyncio.to_thread(self._add_up, counts, seed)
        except AWAY:
            for name, each in counts.items():
                self.counter(name).update(each)
            raise
        if trial is None or seed is None or found is None:
            return
        gates, since = judge(found), found.get("since", self.follower.now())
        failed = [gate for gate in gates if not gate.passed]
        over = trial.ungated and self.follower.now() - since >= PROBATION_MS
        if (failed or over) and await asyncio.to_thread(TrialCounts(self.follower.redis).alone, seed, ACTING_S):
            await asyncio.to_thread(self._end, trial, gates, failed)
            await self.follower.models.told(trial.key.name)

    def _add_up(self, counts: dict[str, Counter[str]], seed: str | None) -> dict[str, int] | None:
        """What all workers counted of the trial that runs; None where none does."""
        store = TrialCounts(self.follower.redis)
        for trial in list(counts):
            store.add(trial, counts[trial])
            del counts[trial]  # what was added is not added again when a later one fails
        if seed is None:
            return None
        since = store.begin(seed, self.follower.now())
        return {**store.read(seed), "since": since}

    def _end(self, trial: Trialled, gates: tuple[Gate, ...], failed: list[Gate]) -> None:
        """Take a canary away, put the last champion back, or accept one whose probation is over."""
        registry, key = self.follower.models.registry, trial.key
        version = registry.version(*key)
        standing = registry.standing(key.name)
        if version is None or standing is None:
            return
        why = "; ".join(f"{gate.gate}: {gate.value}" for gate in failed) or "its probation is over"
        before = "" if standing.record is None else standing.record.version
        entry = Entry(
            at=self.follower.now(),
            action="automatic rollback" if failed else "accept ungated",
            who=WHO,
            previous=key.version if failed and trial.ungated else before,
            gates=gates,
            why=why,
            origin=",".join(version.aliases),
        )
        logger.warning("%s version %s: %s, %s", key.name, key.version, entry.action, why)
        ENDED.labels(key.name, entry.action).inc()
        if not trial.ungated:
            end(registry, CANARY_ALIAS, version, entry)
        elif not failed:
            accept(registry, version, entry)
        elif (restored := registry.version(key.name, before)) is not None:
            crown(registry, restored, key.version, entry)

    async def _keep(self) -> None:
        while True:
            try:
                await self.watch()
            except (KindredError, *AWAY) as error:
                logger.warning("the canary isn't watched: %s", error)
            except Exception:
                logger.exception("watching the canary failed")
            await asyncio.sleep(EVERY_S)
