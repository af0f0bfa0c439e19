"""Customers' states by bucket, committed together with the position that they reflect.

Keys of bucket 17: `{b:17}:m` (version, and per source an epoch and the next offset), `{b:17}:u:<customer>` (packed
state), `{b:17}:pop:<day>` (weighted events by item). One hash tag a bucket: one script call changes all or nothing.
"""

from dataclasses import dataclass, field
from typing import cast

import redis

from features.errors import BadSetting, Fenced, Rewound
from features.kafka.topics import bucket_of

POPULARITY_DAYS = 28
BUCKETS = "kindred:buckets"

_CLAIM = """
local epoch = redis.call('HINCRBY', KEYS[1], 'epoch:' .. ARGV[1], 1)
return {epoch, redis.call('HGET', KEYS[1], 'next:' .. ARGV[1]) or '0'}
"""

# ARGV: source, epoch, version, expected position, next position, bucket, states..., (day, item, weight)...
# KEYS: meta, then one key a state. Popularity older than the window is skipped, and dropped as the newest day moves on:
# what is left depends on the events alone, not on their order.
_COMMIT = """
local meta, source = KEYS[1], ARGV[1]
local have = redis.call('HMGET', meta, 'epoch:' .. source, 'version', 'next:' .. source, 'day')
if have[1] ~= ARGV[2] then return {'fenced', '0'} end
if (have[3] or '0') ~= ARGV[4] then return {'rewound', have[3] or '0'} end
if (have[2] or '0') ~= ARGV[3] then return {'changed', '0'} end
local n = #KEYS - 1
for i = 1, n do redis.call('SET', KEYS[i + 1], ARGV[6 + i]) end
local newest, window = tonumber(have[4] or '0'), tonumber('%(days)d')
local before = newest
for i = 7 + n, #ARGV, 3 do newest = math.max(newest, tonumber(ARGV[i])) end
for i = 7 + n, #ARGV, 3 do
  if tonumber(ARGV[i]) > newest - window then
    redis.call('HINCRBY', '{b:' .. ARGV[6] .. '}:pop:' .. ARGV[i], ARGV[i + 1], ARGV[i + 2])
  end
end
for day = before - window + 1, math.min(before, newest - window) do
  redis.call('DEL', '{b:' .. ARGV[6] .. '}:pop:' .. string.format('%%d', day))
end
redis.call('HSET', meta, 'next:' .. source, ARGV[5], 'day', string.format('%%d', newest))
redis.call('HINCRBY', meta, 'version', 1)
return {'done', '0'}
""" % {"days": POPULARITY_DAYS}  # noqa: UP031 - Lua is full of braces


@dataclass(frozen=True)
class BucketCommit:
    """What one batch changes in one bucket: it was built on `version` and `position`, and leads to `next_position`.

    `states` maps raw customer ids to packed profiles, `popularity` (day since 1970, item_id) to weight.
    """

    bucket: int
    version: int
    position: int
    next_position: int
    states: dict[str, bytes] = field(default_factory=dict)
    popularity: dict[tuple[int, str], int] = field(default_factory=dict)


class StateStore:
    """All reads and writes of states by one worker.

    `source` names the log that positions count in, `buckets` is fixed for life.
    """

    def __init__(self, client: redis.Redis, source: str, buckets: int) -> None:
        self.client = client
        self.source = source
        self.buckets = buckets
        self.epochs: dict[int, int] = {}
        self._claim = client.register_script(_CLAIM)
        self._commit = client.register_script(_COMMIT)

    def claim(self, buckets: list[int]) -> dict[int, int]:
        """Become the only writer of these buckets for this source; returns each one's next offset.

        Raises:  BadSetting: the states here were written with another number of buckets.
        """
        check_buckets(self.client, self.buckets)
        with self.client.pipeline(transaction=False) as pipe:
            for bucket in buckets:
                self._claim(keys=[meta_key(bucket)], args=[self.source], client=pipe)
            answers = pipe.execute()
        for bucket, (epoch, _) in zip(buckets, answers, strict=True):
            self.epochs[bucket] = int(epoch)
        return {bucket: int(position) for bucket, (_, position) in zip(buckets, answers, strict=True)}

    def positions(self) -> dict[int, int]:
        """Each bucket's next offset in this source, without claiming anything."""
        with self.client.pipeline(transaction=False) as pipe:
            for bucket in range(self.buckets):
                pipe.hget(meta_key(bucket), f"next:{self.source}")
            return {bucket: int(position or 0) for bucket, position in enumerate(pipe.execute())}

    def read(self, customers: dict[int, list[str]]) -> dict[int, tuple[int, list[bytes | None]]]:
        """Per bucket its version and the packed states of the given customers, in their order.

        The version is read first: if somebody commits in between, the commit that builds on this one is refused.
        """
        with self.client.pipeline(transaction=False) as pipe:
            for bucket, ids in customers.items():
                pipe.hget(meta_key(bucket), "version")
                if ids:
                    pipe.mget([state_key(bucket, customer) for customer in ids])
            answers = iter(pipe.execute())
        return {bucket: (int(next(answers) or 0), next(answers) if ids else []) for bucket, ids in customers.items()}

    def commit(self, commits: list[BucketCommit]) -> list[BucketCommit]:
        """Write each bucket's states and position at once, or nothing of that bucket.

        Returns: the commits that another source's writer overtook: read again, fold again, commit again.
        Raises:  Fenced: another worker claimed the bucket; Rewound: its position isn't the one built on.
        """
        with self.client.pipeline(transaction=False) as pipe:
            for commit in commits:
                self._send(pipe, commit)
            answers = pipe.execute()
        for commit, (outcome, position) in zip(commits, answers, strict=True):
            if outcome == b"fenced":
                raise Fenced(commit.bucket)
            if outcome == b"rewound":
                raise Rewound(f"bucket {commit.bucket}", int(position))
        return [commit for commit, (outcome, _) in zip(commits, answers, strict=True) if outcome == b"changed"]

    def _send(self, pipe: "redis.client.Pipeline", commit: BucketCommit) -> None:
        keys = [meta_key(commit.bucket), *(state_key(commit.bucket, customer) for customer in commit.states)]
        args: list[str | int | bytes] = [
            self.source,
            self.epochs.get(commit.bucket, 0),
            commit.version,
            commit.position,
            commit.next_position,
            commit.bucket,
            *commit.states.values(),
        ]
        for (day, item_id), weight in commit.popularity.items():
            args += [day, item_id, weight]
        self._commit(keys=keys, args=args, client=pipe)


def check_buckets(client: redis.Redis, buckets: int) -> None:
    """The first writer fixes the number of buckets for life; raises BadSetting for any other one."""
    client.setnx(BUCKETS, buckets)
    fixed = int(cast("bytes", client.get(BUCKETS)))
    if fixed != buckets:
        raise BadSetting(
            f"the states in Redis are kept in {fixed} buckets, KINDRED_BUCKETS says {buckets}", "KINDRED_BUCKETS"
        )


def meta_key(bucket: int) -> str:
    """Where a bucket keeps its version, epochs and positions."""
    return f"{{b:{bucket}}}:m"


def state_key(bucket: int, customer: str) -> str:
    """Where the state of a raw id (`u:...` or `a:...`) is kept."""
    return f"{{b:{bucket}}}:{customer}"


def bucket_of_customer(customer: str, buckets: int) -> int:
    """The bucket of a raw id: that of its Kafka key, which is the id without its `u:` or `a:`."""
    return bucket_of(customer[2:].encode(), buckets)
