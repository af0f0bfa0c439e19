"""The catalogue in Redis: `{items}:all` maps item_id to JSON, `{items}:m` holds positions, a channel tells of changes.

An empty value marks an item that was deleted: an old order line must not bring it back.
"""

import logging
from collections.abc import Iterable
from typing import cast

import redis.asyncio

from features.errors import BadInput, Rewound
from features.items import Item, decode_item, encode_item
from features.online.batch import Client

logger = logging.getLogger("kindred.catalogue")

ALL = "{items}:all"
META = "{items}:m"
CHANNEL = "kindred:items"

# ARGV: source, partition, position built on, next position, then (item_id, value)...; an older position changes
# nothing, and one that would leave a gap is refused.
_UPSERT = """
local at = tonumber(redis.call('HGET', KEYS[2], ARGV[1] .. ':' .. ARGV[2]) or '0')
if tonumber(ARGV[4]) <= at then return {0, at} end
if at < tonumber(ARGV[3]) then return {-1, at} end
for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[2], ARGV[1] .. ':' .. ARGV[2], ARGV[4])
for i = 5, #ARGV, 2 do redis.call('PUBLISH', 'kindred:items', ARGV[i]) end
return {1, at}
"""

# ARGV: (item_id, value, has a title)...; only fills what is missing, so the order of orders doesn't matter much:
# the first line with a title wins.
_STUB = """
local made = 0
for i = 1, #ARGV, 3 do
  local have = redis.call('HGET', KEYS[1], ARGV[i])
  local poor = have and have ~= '' and ARGV[i + 2] == '1' and string.find(have, '"incomplete":true', 1, true)
    and not string.find(have, '"title":"', 1, true)
  if not have or poor then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    redis.call('PUBLISH', 'kindred:items', ARGV[i])
    made = made + 1
  end
end
return made
"""


class CatalogueStore:
    """Writes of the catalogue, by the stream processor and the imports."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._upsert = client.register_script(_UPSERT)
        self._stub = client.register_script(_STUB)
        self._known: dict[str, bool] = {}

    def upsert(
        self,
        source: str,
        partition: int,
        next_position: int,
        items: Iterable[tuple[str, bytes | None]],
        position: int = 0,
    ) -> bool:
        """Take a batch of upserts of one partition; no value deletes. False where this batch was taken before.

        Args:    position: where the partition stood when the batch was read.
        Raises:  Rewound: it stands before that now: Redis was emptied, or fell back to a snapshot.
        """
        args: list[str | int | bytes] = [source, partition, position, next_position]
        for item_id, value in items:
            args += [item_id, value or b""]
            self._known[item_id] = True
        outcome, stored = self._upsert(keys=[ALL, META], args=args)
        if outcome < 0:
            raise Rewound(f"{source}[{partition}]", int(stored))
        return bool(outcome)

    def position(self, source: str, partition: int) -> int:
        """The next offset of a partition of the items topic."""
        return int(self.client.hget(META, f"{source}:{partition}") or 0)

    def create_missing(self, items: Iterable[Item]) -> int:
        """Items that an order named before the catalogue did: created as incomplete, never over what is there."""
        args: list[str | bytes] = []
        for item in items:
            if not self._known.get(item.item_id, False):
                self._known[item.item_id] = bool(item.title)
                args += [item.item_id, encode_item(item), "1" if item.title else "0"]
        return int(self._stub(keys=[ALL], args=args)) if args else 0


class CatalogueReader:
    """The service's side: everything once, then what changes."""

    def __init__(self, client: "redis.asyncio.Redis") -> None:
        self.client = client

    async def all(self) -> dict[str, Item]:
        """Every item that isn't deleted, by id."""
        items: dict[str, Item] = {}
        async for item_id, value in self.client.hscan_iter(ALL, count=5_000):
            item = _read(value)
            if item is not None:
                items[item_id.decode(errors="replace")] = item
        return items

    async def some(self, item_ids: list[str]) -> dict[str, Item | None]:
        """The given items as they are now; None where one is deleted or unknown."""
        values = cast("list[bytes | None]", await self.client.hmget(ALL, item_ids))
        return {item_id: _read(value) for item_id, value in zip(item_ids, values, strict=True)}

    def changes(self) -> "redis.asyncio.client.PubSub":
        """A subscription to the ids of changed items; the caller subscribes and closes it."""
        return self.client.pubsub(ignore_subscribe_messages=True)


def _read(value: bytes | None) -> Item | None:
    """One entry that can't be read, whoever wrote it, must not take the whole catalogue away."""
    if not value:
        return None
    try:
        return decode_item(value)
    except BadInput as error:
        logger.warning("an entry of the catalogue is left out: %s", error)
        return None
