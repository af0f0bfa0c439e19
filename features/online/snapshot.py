"""A bucket as it stands at one moment: its positions and states in one transaction, for comparing and repairing."""

from collections.abc import Collection, Iterable
from typing import NamedTuple, cast

from features.errors import Overloaded
from features.online.batch import Batch, Client, primaries
from features.online.popularity import pairs
from features.online.state import meta_key, prefix_of, state_key, tile_key

# KEYS: meta, then one key a state.
_READ = """
local states = {}
for i = 2, #KEYS do states[i - 1] = redis.call('GET', KEYS[i]) end
return {redis.call('HGETALL', KEYS[1]), states}
"""
AT_ONCE = 50_000  # keys that one call names: Redis does nothing else meanwhile, for a tenth of a second
TRIES = 20


class Bucket(NamedTuple):
    """The version of a bucket, its next offset by source, and the packed states that were asked for."""

    version: int
    positions: dict[str, int]
    states: dict[str, bytes]


def customers_of(client: Client, buckets: Collection[int], generation: str) -> dict[int, list[str]]:
    """The raw ids that some buckets have states of, sorted; every node's keys are looked through once for all."""
    bucket_of = {prefix_of(bucket, generation): bucket for bucket in buckets}
    found: dict[int, set[str]] = {bucket: set() for bucket in buckets}
    for node in primaries(client):
        for key in node.scan_iter(match=f"{{b:*}}:{generation}:[au]:*", count=5_000):
            bucket, mark, raw_id = cast("bytes", key).decode().partition(f"}}:{generation}:")
            if bucket + mark in bucket_of:
                found[bucket_of[bucket + mark]].add(raw_id)
    return {bucket: sorted(ids) for bucket, ids in found.items()}


def snapshot(client: Client, bucket: int, generation: str, customers: Iterable[str]) -> Bucket:
    """The states of some customers together with the positions that they reflect.

    More than 50,000 are read in several steps, all again where the bucket changed between two.

    Raises:  Overloaded: it changed every time.
    """
    ids = list(customers)
    for _ in range(TRIES):
        parts = [
            _read(client, bucket, generation, ids[at : at + AT_ONCE]) for at in range(0, max(len(ids), 1), AT_ONCE)
        ]
        if len({part.version for part in parts}) == 1:
            states = {customer: state for part in parts for customer, state in part.states.items()}
            return parts[0]._replace(states=states)
    raise Overloaded(f"bucket {bucket} changed {TRIES} times while it was read: try in a quieter hour")


def tiles_of(client: Client, bucket: int, generation: str) -> tuple[int, dict[tuple[int, int], dict[str, int]]]:
    """The version of a bucket, and what it adds to items and to all by (step, start) of the tile and field.

    Raises:  Overloaded: it changed each time while it was read.
    """
    for _ in range(TRIES):
        before = _version(client, bucket, generation)
        batch, tiles = Batch(client), []
        for name in cast("list[bytes]", client.zrange(f"{prefix_of(bucket, generation)}dirty", 0, -1)):
            _, step, start = name.split(b":")
            tiles.append((int(step), int(start)))
            batch.add("HGETALL", tile_key(bucket, generation, *tiles[-1]))
        found = {
            tile: {name.decode(): int(value) for name, value in pairs(answer)}
            for tile, answer in zip(tiles, batch.execute(), strict=True)
        }
        if _version(client, bucket, generation) == before:
            return before, found
    raise Overloaded(f"bucket {bucket} changed {TRIES} times while it was read: try in a quieter hour")


def _version(client: Client, bucket: int, generation: str) -> int:
    return int(cast("bytes | None", client.hget(meta_key(bucket, generation), "version")) or 0)


def _read(client: Client, bucket: int, generation: str, ids: list[str]) -> Bucket:
    keys = [meta_key(bucket, generation), *(state_key(bucket, generation, customer) for customer in ids)]
    meta, values = cast("tuple[list[bytes], list[bytes | None]]", client.eval(_READ, len(keys), *keys))
    fields = dict(zip(meta[::2], meta[1::2], strict=True))
    positions = {
        name.decode().removeprefix("next:"): int(value) for name, value in fields.items() if name.startswith(b"next:")
    }
    states = {customer: value for customer, value in zip(ids, values, strict=True) if value is not None}
    return Bucket(int(fields.get(b"version", 0)), positions, states)
