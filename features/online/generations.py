"""Generations of the features in Redis: which is live, what each consists of, and taking old ones away.

`kindred:live` names the generation that readers use; `kindred:generation:<gen>` holds its definitions as JSON, so that
newer code can go on reading an older generation while its own is being folded.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import cast

import msgspec
import redis
import redis.asyncio

from features.errors import BadFeature, BadInput
from features.feature import Feature
from features.online.batch import Client, primaries
from features.online.state import prefix_of
from features.table import FORMAT, Need, Table, needs, table
from features.windows import Window

LIVE = "kindred:live"
AT_ONCE = 1_000
_MOVE = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""

# The first to tell of a generation gives it its date, by the clock of Redis.
_ANNOUNCE = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local time = redis.call('TIME')
local created = string.format('%d%03d', time[1], math.floor(time[2] / 1000))
redis.call('SET', KEYS[1], '{"created":' .. created .. ',' .. string.sub(ARGV[1], 2))
return 1
"""

logger = logging.getLogger("kindred.generations")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a generation consists of; `created` is ms UTC."""

    created: int = 0
    format: int
    series: list[str]
    fingerprints: dict[str, str]
    features: list[Feature]


def live(client: Client) -> str | None:
    """The generation that readers use; None before the first."""
    found = cast("bytes | None", client.get(LIVE))
    return None if found is None else found.decode()


def make_live(client: Client, generation: str, expected: str | None) -> bool:
    """Let readers go over to a generation; False where another one than `expected` is live."""
    return bool(client.eval(_MOVE, 1, LIVE, expected or "", generation))


def announce(client: Client, features: Table) -> None:
    """Keep what a generation consists of; telling again changes nothing."""
    manifest = Manifest(
        format=FORMAT,
        series=[repr(series) for series in features.series],
        fingerprints={name: features.fingerprint(name) for name in features.features},
        features=list(features.features.values()),
    )
    told = msgspec.to_builtins(manifest)
    del told["created"]
    client.eval(_ANNOUNCE, 1, _manifest(features.generation), cast("str", msgspec.json.encode(told)))


def known(client: Client) -> dict[str, Manifest]:
    """All generations that were announced, oldest first."""
    prefix = _manifest("")
    keys = [cast("bytes", key).decode() for node in primaries(client) for key in node.scan_iter(match=f"{prefix}*")]
    found = {key.removeprefix(prefix): cast("bytes | None", client.get(key)) for key in keys}
    manifests = {name: msgspec.json.decode(raw, type=Manifest) for name, raw in found.items() if raw is not None}
    return dict(sorted(manifests.items(), key=lambda entry: (entry[1].created, entry[0])))


def is_known(client: Client, generation: str) -> bool:
    """Whether a generation was announced; `known` looks through all keys of Redis."""
    return bool(client.exists(_manifest(generation)))


def drop(client: Client, generation: str, buckets: int) -> int:
    """Take all keys of a generation away, some thousand at a time; returns how many.

    Raises:  BadInput: it is the live one, or becomes it meanwhile.
    """
    buckets_and_items = [*(prefix_of(bucket, generation) for bucket in range(buckets)), f"i:{generation}:"]
    prefixes = tuple(prefix.encode() for prefix in buckets_and_items)
    removed = 0
    for node in primaries(client):
        found = node.scan_iter(match=f"*:{generation}:*", count=AT_ONCE)
        mine = (key for key in cast("Iterator[bytes]", found) if key.startswith(prefixes))
        while keys := list(islice(mine, AT_ONCE)):
            _check_not_live(client, generation)
            removed += _unlink(node, keys)
    _check_not_live(client, generation)
    client.delete(_manifest(generation))
    return removed


def _check_not_live(client: Client, generation: str) -> None:
    if live(client) == generation:
        raise BadInput(f"generation {generation} is live: let readers go over to another one first", "drop")


def _unlink(node: redis.Redis, keys: list[bytes]) -> int:
    """One command a key: in a cluster several keys of one command must lie in one slot."""
    with node.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.unlink(key)
        return sum(pipe.execute())


async def live_table(client: "redis.asyncio.Redis", own: Table) -> Table:
    """The table to read the live generation with.

    It is this code's own where that is live, or none is; else the one that was announced, and of this code's further
    features those that its states can answer. Where the code can't read them any more, its own, with a warning.
    """
    found = cast("bytes | None", await client.get(LIVE))
    if found is None or found.decode() == own.generation:
        return own
    generation = found.decode()
    raw = cast("bytes | None", await client.get(_manifest(generation)))
    made = None if raw is None else _table(generation, msgspec.json.decode(raw, type=Manifest))
    if made is None:
        logger.warning("generation %s of the features is live, and this code can't read it", generation)
        return own
    return replace(made, features=_readable(made, own))


def _table(generation: str, manifest: Manifest) -> Table | None:
    try:
        made = table(manifest.features)
    except BadFeature:
        return None
    if manifest.format != FORMAT or manifest.series != [repr(series) for series in made.series]:
        return None
    return replace(made, generation=generation)


def _readable(made: Table, own: Table) -> dict[str, Feature]:
    """The features of a table, and those of another one that the first one's series keep enough for."""
    features = dict(made.features)
    for name, feature in own.features.items():
        if name in features or any(part not in features for part in feature.parts):
            continue
        if all(need in made.ids and _kept(made, need, window) for need, window in needs(feature)):
            features[name] = feature
    return features


def _kept(made: Table, need: Need, window: Window) -> bool:
    series = made.series[made.ids[need]]
    return any(window in rung.windows for rung in series.rungs) or (not window.hop and series.total)


def _manifest(generation: str) -> str:
    return f"kindred:generation:{generation}"
