"""Counts of what is tried, summed over all service workers: of each trial one hash, a field for each arm and thing."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import cast

from features.online.batch import Batch, Client

KEPT_S = 30 * 86_400
ARMS, HANDED = "kindred:arms", "kindred:rewards"
HOUR_MS = 3_600_000
ARM_MS = 600_000  # that an arm is known for after its last answer


class TrialCounts:
    """The counts of trials in Redis; `trial` names one, for example "als:12:1795695097916"."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def add(
        self,
        trial: str,
        counts: Mapping[str, int],
        once: Mapping[str, Iterable[str]] | None = None,
        kept_s: int = KEPT_S,
    ) -> None:
        """Add to the counts of a trial.

        Args:    once: by field ids of what happened, of which each counts once however often it is told.
        """
        batch, named = Batch(self.client), {field: list(ids) for field, ids in sorted((once or {}).items()) if ids}
        for field, ids in named.items():
            batch.add("SADD", _ids(trial, field), *ids)
        new = dict(zip(named, batch.execute(), strict=True)) if named else {}
        batch = Batch(self.client)
        for field, count in sorted({**counts, **new}.items()):
            batch.add("HINCRBY", _key(trial), field, count)
        for key in (_key(trial), *(_ids(trial, field) for field in named)):
            batch.add("EXPIRE", key, kept_s)
        batch.execute()

    def begin(self, trial: str, now: int) -> int:
        """Since when the trial runs, ms UTC: now, if nobody had begun it."""
        self.client.hsetnx(_key(trial), "since", now)
        return int(self.client.hget(_key(trial), "since") or now)

    def read(self, trial: str) -> dict[str, int]:
        """All counts of a trial; empty where nothing was counted."""
        found = cast("dict[bytes, bytes]", self.client.hgetall(_key(trial)))
        return {field.decode(): int(count) for field, count in found.items()}

    def before(self, name: str, version: str, at: int) -> dict[str, int]:
        """What a champion did in the hour of a moment (ms UTC) and in the hour before it."""
        hours = (self.read(hour_trial(name, version, each)) for each in (at, at - HOUR_MS))
        return dict(sum(map(Counter, hours), Counter[str]()))

    def forget(self, trial: str, fields: Iterable[str]) -> None:
        """Let the counts of a trial go; fields: those that are counted once."""
        batch = Batch(self.client)
        for key in (_key(trial), *(_ids(trial, field) for field in fields)):
            batch.add("DEL", key)
        batch.execute()

    def alone(self, trial: str, seconds: int) -> bool:
        """Whether this caller, of all that ask within the time, is the one to act."""
        return bool(self.client.set(f"{_key(trial)}:acting", "1", nx=True, ex=seconds))

    def hand(self, rewards: Iterable[bytes], most: int) -> None:
        """Leave clicks and orders to whoever knows the arms; beyond `most` the oldest are gone."""
        batch = Batch(self.client)
        for each in rewards:
            batch.add("RPUSH", HANDED, each)
        batch.add("LTRIM", HANDED, -most, -1)
        batch.execute()

    def handed(self, most: int) -> list[bytes]:
        """What was left, each to one caller only."""
        found = cast("list[bytes] | None", self.client.lpop(HANDED, most))
        return found or []

    def meet(self, arms: Iterable[str], now: int) -> list[str]:
        """Say which arms answer here, and learn which do anywhere, those of the last ARM_MS; now: ms UTC."""
        batch = Batch(self.client)
        for arm in arms:
            batch.add("ZADD", ARMS, now, arm)
        batch.add("ZREMRANGEBYSCORE", ARMS, 0, now - ARM_MS)
        batch.add("ZRANGE", ARMS, 0, -1)
        return [arm.decode() for arm in batch.execute()[-1]]


def canary_trial(name: str, version: str, since: int) -> str:
    """The name of a canary's trial, which also draws its customers: another trial draws others."""
    return f"{name}:{version}:{since}"


def shadow_trial(name: str, version: str, since: int) -> str:
    """The name of a shadow's trial."""
    return f"shadow:{name}:{version}:{since}"


def watch_trial(name: str, version: str, since: int) -> str:
    """The name under which a champion is counted after its promotion."""
    return f"watch:{name}:{version}:{since}"


def hour_trial(name: str, version: str, at: int) -> str:
    """The name under which a champion is counted in the hour of a moment (ms UTC)."""
    return f"served:{name}:{version}:{at // HOUR_MS}"


def _key(trial: str) -> str:
    return f"kindred:trial:{{{trial}}}"


def _ids(trial: str, field: str) -> str:
    return f"{_key(trial)}:{field}"
