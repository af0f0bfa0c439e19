"""Connections to Redis with bounded waits; whatever goes wrong is `Unavailable` with the address."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import redis
import redis.asyncio
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from features.errors import Unavailable

Client = redis.Redis
AWAY = (redis.RedisError, OSError)  # what a call raises where Redis is away or too slow
CONNECT_S = 2.0
ANSWER_S = 5.0


def connect(url: str) -> redis.Redis:
    """A client whose calls wait at most seconds; it connects with its first call."""
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_S,
        socket_timeout=ANSWER_S,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), 2),
    )


def connect_async(url: str, timeout_s: float = 0.25) -> "redis.asyncio.Redis":
    """A client for the service: it would rather answer without Redis than wait for it."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url, socket_connect_timeout=timeout_s, socket_timeout=timeout_s, max_connections=64, timeout=timeout_s
    )
    return redis.asyncio.Redis.from_pool(pool)


@contextmanager
def answers(url: str) -> Iterator[None]:
    """Turn whatever Redis raises into `Unavailable` that says where it was looked for."""
    try:
        yield
    except redis.RedisError as error:
        raise Unavailable(f"Redis at {_shown(url)} doesn't answer: {error}") from error


def check(url: str) -> str:
    """Its version; raises Unavailable."""
    with answers(url):
        return str(connect(url).info("server")["redis_version"])


def _shown(url: str) -> str:
    """The address without the password that a URL may hold."""
    parts = urlsplit(url)
    return f"{parts.hostname or parts.path}:{parts.port or 6379}" if parts.hostname else parts.path
