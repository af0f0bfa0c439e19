"""Connections to Redis with bounded waits; whatever goes wrong is `Unavailable` with the address.

`redis+cluster://host:port[,host:port]` is a Redis Cluster, `rediss+cluster://` one with TLS: any of its nodes will do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import redis
import redis.asyncio
from redis.asyncio.cluster import ClusterNode as AsyncNode
from redis.asyncio.cluster import ClusterPubSub
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from features.errors import Unavailable
from features.online.batch import Client, primaries

AWAY = (redis.RedisError, RedisClusterException, OSError)  # what a call raises where Redis is away or too slow
CONNECT_S = 2.0
ANSWER_S = 5.0
CLUSTER = ("redis+cluster://", "rediss+cluster://")


class _Listener(ClusterPubSub):
    """redis-py subscribes at the node of the channel, and doesn't ask first which that is."""

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        await self.cluster.initialize()
        return await super().execute_command(*args, **kwargs)


class _Cluster(redis.asyncio.RedisCluster):
    def pubsub(self, *args: Any, **kwargs: Any) -> ClusterPubSub:
        return _Listener(self, *args, **kwargs)


def connect(url: str) -> Client:
    """A client whose calls wait at most seconds; it connects with its first call, to a cluster at once.

    Raises:  one of AWAY: no node of the cluster answers.
    """
    waits: dict[str, Any] = {"socket_connect_timeout": CONNECT_S, "socket_timeout": ANSWER_S}
    retry = Retry(ExponentialBackoff(cap=0.2, base=0.02), 2)
    if not url.startswith(CLUSTER):
        return redis.Redis.from_url(url, retry=retry, **waits)
    nodes = [ClusterNode(host, port) for host, port in _nodes(url)]  # type: ignore[no-untyped-call]
    return RedisCluster(startup_nodes=nodes, retry=retry, require_full_coverage=False, **waits, **_login(url))


def connect_async(url: str, timeout_s: float = 0.25) -> "redis.asyncio.Redis":
    """A client for the service: it would rather answer without Redis than wait for it.

    That of a cluster takes the same calls; several keys in one command must lie in one slot, in a pipeline anywhere.
    """
    waits: dict[str, Any] = {
        "socket_connect_timeout": timeout_s, "socket_timeout": timeout_s, "max_connections": 64
    }  # fmt: skip
    if url.startswith(CLUSTER):
        nodes = [AsyncNode(host, port) for host, port in _nodes(url)]
        once = AsyncRetry(ExponentialBackoff(cap=0.1, base=0.01), 1)
        cluster = _Cluster(startup_nodes=nodes, retry=once, require_full_coverage=False, **waits, **_login(url))
        return cast("redis.asyncio.Redis", cluster)
    pool = redis.asyncio.BlockingConnectionPool.from_url(url, timeout=timeout_s, **waits)
    return redis.asyncio.Redis.from_pool(pool)


@contextmanager
def answers(url: str) -> Iterator[None]:
    """Turn whatever Redis raises into `Unavailable` that says where it was looked for."""
    try:
        yield
    except (redis.RedisError, RedisClusterException) as error:
        raise Unavailable(f"Redis at {_shown(url)} doesn't answer: {error}") from error


def check(url: str) -> str:
    """Its version; raises Unavailable."""
    with answers(url):
        return str(primaries(connect(url))[0].info("server")["redis_version"])


def _nodes(url: str) -> list[tuple[str, int]]:
    """The nodes that a cluster's URL names."""
    servers = urlsplit(url).netloc.rpartition("@")[2].split(",")
    parts = [urlsplit(f"//{server}") for server in servers]
    return [(part.hostname or "localhost", part.port or 6379) for part in parts]


def _login(url: str) -> dict[str, Any]:
    """What every node is told: who asks, and whether in TLS."""
    user, _, password = urlsplit(url).netloc.rpartition("@")[0].partition(":")
    return {
        "username": unquote(user) or None,
        "password": unquote(password) or None,
        "ssl": url.startswith("rediss"),
    }


def _shown(url: str) -> str:
    """The address without the password that a URL may hold."""
    if url.startswith(CLUSTER):
        return ",".join(f"{host}:{port}" for host, port in _nodes(url))
    parts = urlsplit(url)
    return f"{parts.hostname or parts.path}:{parts.port or 6379}" if parts.hostname else parts.path
