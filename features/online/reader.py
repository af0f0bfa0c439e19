"""Reads of profiles by the service: one round trip for an id by itself, two for ids that belong to others."""

import asyncio
from collections.abc import Iterable
from typing import Self, cast

import redis.asyncio

from features.components import Component
from features.definitions import FEATURES
from features.online.generations import live_table
from features.online.identity import edges_key_in, read_component
from features.online.pipelined import Address, Pipelined
from features.online.state import bucket_of_customer, state_key
from features.profiles import Profile
from features.table import Table


class ProfileReader:
    """Reads packed states; `buckets` is the number that the stream processor writes with.

    `table` is that of the live generation: this code's own, or an older one that still serves while this is backfilled.
    States and edges are read over a pipelined connection of its own, from a cluster by the client.
    """

    def __init__(self, client: "redis.asyncio.Redis", buckets: int) -> None:
        self.client = client
        self.buckets = buckets
        self.table: Table = FEATURES
        address = Address.of(client)
        self._pipelined = None if address is None else Pipelined(address)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let all connections go, the client's too."""
        if self._pipelined is not None:
            await self._pipelined.aclose()
        await self.client.aclose()

    async def follow(self) -> None:
        """Go over to the generation that is live now."""
        self.table = await live_table(self.client, FEATURES)

    async def profile(self, customer: str, merge: bool = True) -> Profile:
        """The profile of a raw id; an empty one where it was never seen.

        Args:    merge: together with all the ids that belong to the same person; else what this one id did.
        Raises:  redis.RedisError, OSError: Redis is away or too slow; `AWAY` lists them.
        """
        table, states = self.table, dict[str, bytes | None]()
        members = (await self._component(table, customer, states)).members if merge else (customer,)
        left = [member for member in members if member not in states]
        if left:
            states.update(zip(left, await self._get(self._state(table, raw_id) for raw_id in left), strict=True))
        return Profile([states[member] for member in members], table)

    async def profiles(self, customers: Iterable[str], merge: bool = True) -> list[Profile]:
        """The profiles of many raw ids, in their order: as many round trips as for one, since all are asked together.

        Raises:  redis.RedisError, OSError: Redis is away or too slow; `AWAY` lists them.
        """
        return list(await asyncio.gather(*(self.profile(customer, merge) for customer in customers)))

    async def members(self, customer: str) -> Component:
        """The ids that belong to the same person as a raw id.

        Raises:  redis.RedisError, OSError: `AWAY` lists them.
        """
        return await self._component(self.table, customer, {})

    async def _component(self, table: Table, customer: str, states: dict[str, bytes | None]) -> Component:
        """The component, and into `states` the states of the ids that had to be asked for it: they come with it."""

        async def fetch(ids: list[str], along: list[str]) -> list[bytes | None]:
            fresh = [raw_id for raw_id in dict.fromkeys((*ids, *along)) if raw_id not in states]
            bucket = {raw_id: bucket_of_customer(raw_id, self.buckets) for raw_id in (*ids, *along)}
            keys = [state_key(bucket[raw_id], table.generation, raw_id) for raw_id in fresh]
            answers = await self._get([*keys, *(edges_key_in(bucket[raw_id], raw_id) for raw_id in ids)])
            states.update(zip(fresh, answers, strict=False))
            return answers[len(fresh) :]

        return await read_component(customer, fetch)

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
        if self._pipelined is not None:
            wanted = list(keys)
            return await self._pipelined.mget(wanted) if wanted else []
        async with self.client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.get(key)
            return cast("list[bytes | None]", await pipe.execute())


def _literal(prefix: str) -> str:
    return "".join(f"\\{character}" if character in "*?[]\\^" else character for character in prefix)
