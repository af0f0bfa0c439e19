"""Reads of items' features by the service and by jobs: one round trip for any number of items."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import redis.asyncio

from features.cells import newest_of
from features.definitions import FEATURES
from features.online.batch import Batch, Client, primaries
from features.online.generations import live_table
from features.online.pipelined import Address, Pipelined
from features.online.tiles import item_key
from features.packing import unpack
from features.reading import Column, evaluate, value_of
from features.states import States
from features.table import Table

Values = dict[str, Any]
Float64 = npt.NDArray[np.float64]


class ItemReader:
    """The service's side; `table` is that of the live generation, as ProfileReader has it."""

    def __init__(self, client: "redis.asyncio.Redis") -> None:
        self.client = client
        self.table: Table = FEATURES
        address = Address.of(client)
        self._pipelined = None if address is None else Pipelined(address)

    async def aclose(self) -> None:
        """Let all connections go, the client's too."""
        if self._pipelined is not None:
            await self._pipelined.aclose()
        await self.client.aclose()

    async def follow(self) -> None:
        """Go over to the generation that is live now."""
        self.table = await live_table(self.client, FEATURES)

    async def features(self, item_ids: Iterable[str], names: Iterable[str], now: int) -> dict[str, Values]:
        """Features of items at a moment (ms UTC), plain values by name; defaults of an item that nobody touched.

        Raises:  KeyError: there is no such feature of items; redis.RedisError, OSError: `AWAY` lists them.
        """
        table, wanted = self.table, list(item_ids)
        return dict(zip(wanted, _values(table, "item", await self._get(table, wanted), names, now), strict=True))

    async def numbers(self, item_ids: Iterable[str], names: Sequence[str], now: int) -> Float64:
        """(items, names) float64 of features that are numbers, NaN where there is none; raises as features()."""
        table, wanted = self.table, list(item_ids)
        found = _columns(table, "item", unpack(await self._get(table, wanted)), names, now)
        numbers = np.empty((len(wanted), len(names)))
        for at, name in enumerate(names):
            default = table.features[name].default
            numbers[:, at] = np.where(found[name].there, found[name].values, np.nan if default is None else default)
        return numbers

    async def everyone(self, names: Iterable[str], now: int) -> Values:
        """The same of all customers together."""
        table = self.table
        return _values(table, "global", await self._get(table, [""]), names, now)[0]

    async def _get(self, table: Table, item_ids: list[str]) -> list[bytes | None]:
        if self._pipelined is not None:
            keys = [item_key(table.generation, item_id) for item_id in item_ids]
            return await self._pipelined.mget(keys) if keys else []
        async with self.client.pipeline(transaction=False) as pipe:
            for item_id in item_ids:
                pipe.get(item_key(table.generation, item_id))
            return cast("list[bytes | None]", await pipe.execute())


def item_features(
    client: Client, table: Table, item_ids: Sequence[str], names: Iterable[str], now: int
) -> dict[str, Values]:
    """The same from a job, in the generation of a table."""
    return dict(zip(item_ids, _values(table, "item", _packed(client, table, item_ids), names, now), strict=True))


def features_of_everyone(client: Client, table: Table, names: Iterable[str], now: int) -> Values:
    """Features of all customers together from a job."""
    return _values(table, "global", _packed(client, table, [""]), names, now)[0]


def some_items(client: Client, table: Table, limit: int) -> list[str]:
    """At most so many items that something happened to, evenly from all of them by id; looks through all keys."""
    prefix = item_key(table.generation, "")
    keys = [key for node in primaries(client) for key in node.scan_iter(match=f"{prefix}?*", count=5_000)]
    ids = sorted({cast("bytes", key).decode().removeprefix(prefix) for key in keys})
    return [ids[at * len(ids) // limit] for at in range(limit)] if limit < len(ids) else ids


def _packed(client: Client, table: Table, item_ids: Iterable[str]) -> list[bytes | None]:
    batch = Batch(client)
    for item_id in item_ids:
        batch.add("GET", item_key(table.generation, item_id))
    return batch.execute()


def _values(table: Table, entity: str, packed: list[bytes | None], names: Iterable[str], now: int) -> list[Values]:
    wanted, states = list(names), unpack(packed)
    found = _columns(table, entity, states, wanted, now)
    return [{name: value_of(table.features[name], found[name], at) for name in wanted} for at in range(states.n)]


def _columns(table: Table, entity: str, states: States, names: Sequence[str], now: int) -> dict[str, Column]:
    for name in names:
        if table.features[name].entity != entity:
            raise KeyError(name)
    return evaluate(table, states, np.maximum(now, newest_of(states.cells)), names)
