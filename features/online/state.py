"""Customers' states by bucket, committed together with the position that they reflect.

Keys of bucket 17 in generation 3fa9c1 of the features: `{b:17}:3fa9c1:m` (version, newest tile, and per source an epoch
and the next offset), `{b:17}:3fa9c1:u:<user>` and `:a:<visitor>` (packed states), `{b:17}:3fa9c1:t:<step>:<start>`
(what the bucket adds to items and to all), `{b:17}:3fa9c1:dirty` (all of these, by the version that changed each last),
`{b:17}:3fa9c1:changes` (a stream of the newest additions, an entry a version). One hash tag a bucket: one script call
changes all or nothing, on one node of a cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from features.errors import BadSetting, Fenced, Rewound
from features.kafka.topics import bucket_of
from features.online.batch import Batch, Client, Script
from features.tiles import sent

BUCKETS = "kindred:buckets"
NO_TILES = sent({})

_CLAIM = """
local epoch = redis.call('HINCRBY', KEYS[1], 'epoch:' .. ARGV[1], 1)
return {epoch, redis.call('HGET', KEYS[1], 'next:' .. ARGV[1]) or '0'}
"""

CHANGES = 64  # commits that a merger may lie behind, and the largest additions that it can read of one:
LARGEST = 16_384  # beyond, it looks at whole tiles

# KEYS: meta, then one key a state. ARGV: source, epoch, version, expected position, next position, prefix of the
# bucket, newest tile of the batch, keep (msgpack: step to tiles kept), tiles (msgpack: step to start to field to
# addition), states... Tiles older than what is kept are skipped, and dropped as the newest one moves on: what is left
# depends on the events alone, not on their order; so is a sum that comes to 0, whatever it was meanwhile. A sum that
# would pass 64 bits stays: it must not stop the bucket.
_COMMIT = f"""
local meta, source, prefix = KEYS[1], ARGV[1], ARGV[6]
local have = redis.call('HMGET', meta, 'epoch:' .. source, 'version', 'next:' .. source, 'newest')
if have[1] ~= ARGV[2] then return {{'fenced', '0'}} end
if (have[3] or '0') ~= ARGV[4] then return {{'rewound', have[3] or '0'}} end
if (have[2] or '0') ~= ARGV[3] then return {{'changed', '0'}} end
local keeps, tiles = cmsgpack.unpack(ARGV[8]), cmsgpack.unpack(ARGV[9])
for i = 2, #KEYS do
  if ARGV[8 + i] == '' then redis.call('DEL', KEYS[i]) else redis.call('SET', KEYS[i], ARGV[8 + i]) end
end
local before = tonumber(have[4] or '0')
local newest = math.max(before, tonumber(ARGV[7]))
local version = string.format('%d', tonumber(ARGV[3]) + 1)
for step, keep in pairs(keeps) do
  local oldest = math.floor(newest / step) - keep
  for at = math.max(math.floor(before / step) - keep, 0), math.min(oldest - 1, math.floor(before / step)) do
    local name = string.format('t:%d:%d', step, at * step)
    if redis.call('ZREM', prefix .. 'dirty', name) == 1 then redis.call('DEL', prefix .. name) end
  end
  for start, fields in pairs(tiles[step] or {{}}) do
    if math.floor(start / step) >= oldest then
      local name = string.format('t:%d:%d', step, start)
      for field, more in pairs(fields) do
        if redis.pcall('HINCRBY', prefix .. name, field, more) == 0 then redis.call('HDEL', prefix .. name, field) end
      end
      redis.call('ZADD', prefix .. 'dirty', version, name)
    end
  end
end
local told = #ARGV[9] <= {LARGEST} and ARGV[9] or ''
redis.call('XADD', prefix .. 'changes', 'MAXLEN', '~', {CHANGES}, version .. '-0', 't', told)
redis.call('HSET', meta, 'next:' .. source, ARGV[5], 'newest', string.format('%d', newest), 'version', version)
return {{'done', '0'}}
"""


@dataclass(frozen=True)
class BucketCommit:
    """What one batch changes in one bucket: it was built on `version` and `position`, and leads to `next_position`.

    `states` maps raw customer ids to packed states, empty for one to be taken away; `tiles` is what the batch adds to
    items and to all customers together, as `features.tiles.sent`; `newest` is the tile of its newest event.
    """

    bucket: int
    version: int
    position: int
    next_position: int
    states: dict[str, bytes] = field(default_factory=dict)
    tiles: bytes = NO_TILES
    newest: int = 0


class StateStore:
    """All reads and writes of states by one worker.

    `source` names the log that positions count in, `buckets` is fixed for life, `generation` is that of the table of
    features, `keep` says how many tiles of each step are kept.
    """

    def __init__(
        self, client: Client, source: str, buckets: int, generation: str, keep: Mapping[int, int] | None = None
    ) -> None:
        self.client = client
        self.source = source
        self.buckets = buckets
        self.generation = generation
        self.epochs: dict[int, int] = {}
        self._keep = msgspec.msgpack.encode(dict(keep or {}))
        self._claim = Script(client, _CLAIM)
        self._commit = Script(client, _COMMIT)

    def claim(self, buckets: list[int]) -> dict[int, int]:
        """Become the only writer of these buckets for this source; returns each one's next offset.

        Raises:  BadSetting: the states here were written with another number of buckets.
        """
        check_buckets(self.client, self.buckets)
        batch = Batch(self.client)
        for bucket in buckets:
            batch.script(self._claim, [meta_key(bucket, self.generation)], [self.source])
        answers = batch.execute()
        for bucket, (epoch, _) in zip(buckets, answers, strict=True):
            self.epochs[bucket] = int(epoch)
        return {bucket: int(position) for bucket, (_, position) in zip(buckets, answers, strict=True)}

    def positions(self) -> dict[int, int]:
        """Each bucket's next offset in this source, without claiming anything."""
        batch = Batch(self.client)
        for bucket in range(self.buckets):
            batch.add("HGET", meta_key(bucket, self.generation), f"next:{self.source}")
        return {bucket: int(position or 0) for bucket, position in enumerate(batch.execute())}

    def read(self, customers: Mapping[int, list[str]]) -> dict[int, tuple[int, list[bytes | None]]]:
        """Per bucket its version and the packed states of the given customers, in their order.

        The version is read first: if somebody commits in between, the commit that builds on this one is refused. The
        epoch is read last: a worker that another has followed must not take that one's states for what it built on,
        and write to the log that all its events were counted before.

        Raises:  Fenced: another worker has claimed a bucket that this one had.
        """
        batch = Batch(self.client)
        for bucket, ids in customers.items():
            batch.add("HGET", meta_key(bucket, self.generation), "version")
            if ids:
                batch.add("MGET", *[state_key(bucket, self.generation, customer) for customer in ids])
            batch.add("HGET", meta_key(bucket, self.generation), f"epoch:{self.source}")
        answers = iter(batch.execute())
        found = {}
        for bucket, ids in customers.items():
            found[bucket] = int(next(answers) or 0), next(answers) if ids else []
            if int(next(answers) or 0) != self.epochs.get(bucket, 0) and bucket in self.epochs:
                raise Fenced(bucket)
        return found

    def commit(self, commits: list[BucketCommit]) -> list[BucketCommit]:
        """Write each bucket's states and position at once, or nothing of that bucket.

        Returns: the commits that another source's writer overtook: read again, fold again, commit again.
        Raises:  Fenced: another worker claimed the bucket; Rewound: its position isn't the one built on.
        """
        batch = Batch(self.client)
        for commit in commits:
            self._send(batch, commit)
        answers = batch.execute()
        for commit, (outcome, position) in zip(commits, answers, strict=True):
            if outcome == b"fenced":
                raise Fenced(commit.bucket)
            if outcome == b"rewound":
                raise Rewound(f"bucket {commit.bucket}", int(position))
        return [commit for commit, (outcome, _) in zip(commits, answers, strict=True) if outcome == b"changed"]

    def _send(self, batch: Batch, commit: BucketCommit) -> None:
        bucket, generation = commit.bucket, self.generation
        keys = [meta_key(bucket, generation)]
        keys += [state_key(bucket, generation, customer) for customer in commit.states]
        args: list[Any] = [
            self.source,
            self.epochs.get(bucket, 0),
            commit.version,
            commit.position,
            commit.next_position,
            prefix_of(bucket, generation),
            commit.newest,
            self._keep,
            commit.tiles,
            *commit.states.values(),
        ]
        batch.script(self._commit, keys, args)


def check_buckets(client: Client, buckets: int) -> None:
    """The first writer fixes the number of buckets for life; raises BadSetting for any other one."""
    client.setnx(BUCKETS, buckets)
    fixed = int(cast("bytes", client.get(BUCKETS)))
    if fixed != buckets:
        raise BadSetting(
            f"the states in Redis are kept in {fixed} buckets, KINDRED_BUCKETS says {buckets}", "KINDRED_BUCKETS"
        )


def prefix_of(bucket: int, generation: str) -> str:
    """What all keys of a bucket begin with."""
    return f"{{b:{bucket}}}:{generation}:"


def meta_key(bucket: int, generation: str) -> str:
    """Where a bucket keeps its version, epochs and positions."""
    return f"{{b:{bucket}}}:{generation}:m"


def state_key(bucket: int, generation: str, customer: str) -> str:
    """Where the state of a raw id (`u:...` or `a:...`) is kept."""
    return f"{{b:{bucket}}}:{generation}:{customer}"


def tile_key(bucket: int, generation: str, step: int, start: int) -> str:
    """Where a bucket keeps what it adds to items in a tile."""
    return f"{{b:{bucket}}}:{generation}:t:{step}:{start}"


def bucket_of_customer(customer: str, buckets: int) -> int:
    """The bucket of a raw id: that of its Kafka key, which is the id without its `u:` or `a:`."""
    return bucket_of(customer[2:].encode(), buckets)
