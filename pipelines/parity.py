"""Parity as a gate's evidence: what serving reads of a sample of customers, against what the event log says of them.

Both sides are gone all the way: the live state as it lies in Redis is asked by the reader that serves, the log is
folded anew and asked by the reader that frames of the past are made with. Reading only, while events go on arriving.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from math import isclose
from typing import Any

import numpy as np

from features.definitions import FEATURES
from features.offline import EventLog
from features.online import Client, connect, customers_of, snapshot
from features.packing import unpack
from features.profiles import Profile
from features.reading import evaluate, value_of
from features.settings import Settings
from features.table import Table
from pipelines.folding import Buckets
from pipelines.reconcile import kept, recomputed, same

CLOSE = 1e-9  # between two ways to add up what fades; all else is compared exactly


@dataclass
class Parity:
    """Customers looked at and how many of them differ, with how often each feature did; `states` differ even where no
    feature can tell today."""

    generation: str
    customers: int = 0
    differing: int = 0
    states: int = 0
    features: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        """Part of the customers that don't differ, from 0 to 1; 1 where there was nobody to look at."""
        return 1 - self.differing / self.customers if self.customers else 1.0


def parity(settings: Settings, sample: int, now: int, table: Table = FEATURES, expire_before: int = 0) -> Parity:
    """Compare about `sample` customers, of few buckets to read little of the log; the same `now`, the same ones.

    Args:    settings: with the addresses filled in; now: ms UTC, the moment that features are asked at, and the seed;
             expire_before: ms UTC, as `reconcile` was told: customers without an event since aren't looked at.
    Raises:  redis.RedisError, OSError: Redis is away; `AWAY` lists them. Overloaded: a bucket changes all the time.
    """
    found = Parity(table.generation)
    log, numbers = EventLog(settings.data), Buckets(settings.buckets)
    client = connect(settings.redis)
    try:
        for bucket in sorted(range(settings.buckets), key=lambda bucket: _draw(now, str(bucket))):
            if found.customers >= sample:
                break
            _look(found, client, log, table, numbers, bucket, sample - found.customers, now, expire_before)
    finally:
        client.close()
    return found


def _look(
    found: Parity,
    client: Client,
    log: EventLog,
    table: Table,
    numbers: Buckets,
    bucket: int,
    most: int,
    now: int,
    expire_before: int,
) -> None:
    """Some customers of a bucket, whether Redis, the log or both know them."""
    live = snapshot(client, bucket, table.generation, customers_of(client, [bucket], table.generation)[bucket])
    right = recomputed(log, table, numbers, {bucket: live.positions})[bucket]
    known = {*kept(live.states, expire_before), *kept(right, expire_before)}
    chosen = sorted(known, key=lambda customer: _draw(now, customer))[:most]
    # Who came between the list of keys and the states is there now: both once more, at one moment.
    live = snapshot(client, bucket, table.generation, chosen)
    right = recomputed(log, table, numbers, {bucket: live.positions}, set(chosen))[bucket]
    for customer in chosen:
        have, want = live.states.get(customer), right.get(customer)
        differ = list(_differing(table, have, want, now))
        equal = same(have, want)
        found.customers += 1
        found.states += not equal
        found.differing += bool(differ) or not equal
        found.features.update(differ)


def _differing(table: Table, have: bytes | None, want: bytes | None, now: int) -> Iterator[str]:
    """Features of customers that serving reads otherwise than a frame of this moment would have them."""
    names = [feature.name for feature in table.features.values() if feature.entity not in {"item", "global"}]
    profile, states = Profile([have], table), unpack([want])
    columns = evaluate(table, states, np.array([max(now, profile.last_seen)]), names)
    online = profile.features(now, names)
    for name in names:
        if not _equal(online[name], value_of(table.features[name], columns[name], 0)):
            yield name


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, float) and isinstance(other, float | int):
        return isclose(one, other, rel_tol=CLOSE, abs_tol=CLOSE)
    return bool(one == other)


def _draw(now: int, name: str) -> bytes:
    return blake2b(f"{now}:{name}".encode(), digest_size=8).digest()
