"""Counts of what is tried, summed over all service workers: of each trial one hash, a field for each arm and thing."""

from collections.abc import Mapping
from typing import cast

from features.online.batch import Batch, Client

KEPT_S = 30 * 86_400


class TrialCounts:
    """The counts of trials in Redis; `trial` names one, for example "als:12:1795695097916"."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def add(self, trial: str, counts: Mapping[str, int]) -> None:
        """Add to the counts of a trial."""
        batch = Batch(self.client)
        for field, count in sorted(counts.items()):
            batch.add("HINCRBY", _key(trial), field, count)
        batch.add("EXPIRE", _key(trial), KEPT_S)
        batch.execute()

    def begin(self, trial: str, now: int) -> int:
        """Since when the trial runs, ms UTC: now, if nobody had begun it."""
        self.client.hsetnx(_key(trial), "since", now)
        return int(self.client.hget(_key(trial), "since") or now)

    def read(self, trial: str) -> dict[str, int]:
        """All counts of a trial; empty where nothing was counted."""
        found = cast("dict[bytes, bytes]", self.client.hgetall(_key(trial)))
        return {field.decode(): int(count) for field, count in found.items()}

    def alone(self, trial: str, seconds: int) -> bool:
        """Whether this caller, of all that ask within the time, is the one to act."""
        return bool(self.client.set(f"{_key(trial)}:acting", "1", nx=True, ex=seconds))


def canary_trial(name: str, version: str, since: int) -> str:
    """The name of a canary's trial, which also draws its customers: another trial draws others."""
    return f"{name}:{version}:{since}"


def shadow_trial(name: str, version: str) -> str:
    """The name of a shadow's trial."""
    return f"shadow:{name}:{version}"


def _key(trial: str) -> str:
    return f"kindred:trial:{{{trial}}}"
