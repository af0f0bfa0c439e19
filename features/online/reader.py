"""Reads of profiles by the service: one round trip for an id by itself, two for one that others belong to."""

from collections.abc import Iterable
from typing import cast

import redis.asyncio

from features.definitions import FEATURES
from features.identity import Edge, unpack
from features.online.generations import live_table
from features.online.identity import ROUNDS, component, edges_key, missing
from features.online.state import bucket_of_customer, state_key
from features.profiles import Profile
from features.table import Table


class ProfileReader:
    """Reads packed states; `buckets` is the number that the stream processor writes with.

    `table` is that of the live generation: this code's own, or an older one that still serves while this is backfilled.
    """

    def __init__(self, client: "redis.asyncio.Redis", buckets: int) -> None:
        self.client = client
        self.buckets = buckets
        self.table: Table = FEATURES

    async def follow(self) -> None:
        """Go over to the generation that is live now."""
        self.table = await live_table(self.client, FEATURES)

    async def profile(self, customer: str, merge: bool = True) -> Profile:
        """The profile of a raw id; an empty one where it was never seen.

        Args:    merge: together with all the ids that belong to the same person; else what this one id did.
        Raises:  redis.RedisError, OSError: Redis is away or too slow; `AWAY` lists them.
        """
        table = self.table
        if not merge:
            return Profile(await self._get([self._state(table, customer)]), table)
        states: dict[str, bytes | None] = {}
        known: dict[str, list[Edge]] = {}
        ids = [customer]
        for _ in range(ROUNDS):
            keys = [self._state(table, raw_id) for raw_id in ids]
            keys += [edges_key(raw_id, self.buckets) for raw_id in ids]
            answers = await self._get(keys)
            states.update(zip(ids, answers, strict=False))
            known.update((raw_id, unpack(edges)) for raw_id, edges in zip(ids, answers[len(ids) :], strict=True))
            members = component(customer, known).members
            ids = sorted({*missing(customer, known), *members} - known.keys())
            if not ids:
                break
        return Profile([states.get(member) for member in members], table)

    async def customers(self, limit: int, prefix: str = "") -> list[tuple[str, Profile]]:
        """Some customers with what their ids did, for a demo page: newest activity first, of 2,000 at most."""
        keys: list[bytes] = []
        pattern = f"{{b:*}}:{self.table.generation}:u:{_literal(prefix)}*"
        async for key in self.client.scan_iter(match=pattern, count=2_000):
            keys.append(key)
            if len(keys) >= 2_000:
                break
        names = [key.decode().partition(f"}}:{self.table.generation}:")[2] for key in keys]
        profiles = [Profile([value], self.table) for value in await self._get(key.decode() for key in keys)]
        return sorted(zip(names, profiles, strict=True), key=lambda entry: (-entry[1].last_seen, entry[0]))[:limit]

    def _state(self, table: Table, customer: str) -> str:
        return state_key(bucket_of_customer(customer, self.buckets), table.generation, customer)

    async def _get(self, keys: Iterable[str]) -> list[bytes | None]:
        async with self.client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.get(key)
            return cast("list[bytes | None]", await pipe.execute())


def _literal(prefix: str) -> str:
    return "".join(f"\\{character}" if character in "*?[]\\^" else character for character in prefix)
