"""Reads of customers' states by the service: one round trip a customer."""

from typing import cast

import redis.asyncio

from features.folds import Profile, unpack
from features.online.state import bucket_of_customer, state_key


class ProfileReader:
    """Reads packed states; `buckets` is the number that the stream processor writes with."""

    def __init__(self, client: "redis.asyncio.Redis", buckets: int) -> None:
        self.client = client
        self.buckets = buckets

    async def profile(self, customer: str) -> Profile:
        """The state of a raw id; an empty one where it was never seen.

        Raises:  redis.RedisError, OSError: Redis is away or too slow; `AWAY` lists them.
        """
        return unpack(
            cast("bytes | None", await self.client.get(state_key(bucket_of_customer(customer, self.buckets), customer)))
        )

    async def customers(self, limit: int, prefix: str = "") -> list[tuple[str, Profile]]:
        """Some customers with their states, for a demo page: newest activity first, of 2,000 at most."""
        keys: list[bytes] = []
        async for key in self.client.scan_iter(match=f"{{b:*}}:u:{_literal(prefix)}*", count=2_000):
            keys.append(key)
            if len(keys) >= 2_000:
                break
        values = await self.client.mget(keys) if keys else []
        found = [
            (key.decode().partition("}:")[2], unpack(cast("bytes | None", value)))
            for key, value in zip(keys, values, strict=True)
        ]
        return sorted(found, key=lambda entry: (-entry[1].last_seen, entry[0]))[:limit]


def _literal(prefix: str) -> str:
    return "".join(f"\\{character}" if character in "*?[]\\^" else character for character in prefix)
