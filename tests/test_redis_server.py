"""The Redis that fault tests play with does to its data what they say it does."""

import pytest
import redis

from features.online import AWAY
from tests.conftest import MakeRedis
from tests.redis_server import NoRedisError, RedisServer


def client(server: RedisServer, timeout_s: float = 5.0) -> redis.Redis:
    return redis.Redis.from_url(server.url, socket_timeout=timeout_s, retry=None)


def test_a_stopped_redis_comes_back_with_its_data_at_the_same_address(own_redis: MakeRedis) -> None:
    server = own_redis()
    with client(server) as redis_:
        redis_.set("k", "v")
        server.stop()
        with pytest.raises(AWAY):
            redis_.get("k")
        server.start()
        assert redis_.get("k") == b"v"


@pytest.mark.parametrize(("appendonly", "left"), [(True, b"v"), (False, None)])
def test_a_killed_redis_has_what_it_answered_only_with_an_append_only_file(
    own_redis: MakeRedis, appendonly: bool, left: bytes | None
) -> None:
    server = own_redis(appendonly=appendonly)
    with client(server) as redis_:
        redis_.set("k", "v")
        server.kill()
        server.start()
        assert redis_.get("k") == left


def test_a_frozen_redis_answers_nothing_and_then_goes_on_with_what_was_sent(own_redis: MakeRedis) -> None:
    server = own_redis()
    with client(server, 0.1) as impatient, client(server) as redis_:
        impatient.ping()
        server.freeze()
        with pytest.raises(redis.TimeoutError):
            impatient.set("k", "late")
        server.thaw()
        assert redis_.get("k") == b"late"


def test_a_frozen_redis_can_be_stopped(own_redis: MakeRedis) -> None:
    server = own_redis()
    server.freeze()
    server.stop()
    with pytest.raises(NoRedisError, match="isn't running"):
        server.freeze()


@pytest.mark.parametrize("appendonly", [True, False])
def test_a_redis_rolled_back_has_what_it_had_at_the_snapshot(own_redis: MakeRedis, appendonly: bool) -> None:
    server = own_redis(appendonly=appendonly)
    with client(server) as redis_:
        redis_.set("k", "old")
        first = server.snapshot()
        redis_.set("k", "new")
        redis_.set("more", 1)
        second = server.snapshot()
        server.roll_back(first)
        assert (redis_.get("k"), redis_.get("more")) == (b"old", None)
        server.roll_back(second)
        assert (redis_.get("k"), redis_.get("more")) == (b"new", b"1")


def test_a_redis_that_cannot_start_says_why(own_redis: MakeRedis) -> None:
    server = own_redis()
    twin = RedisServer(server.folder.parent / "twin", port=server.port, options={"maxmemory-policy": "nonsense"})
    server.stop()
    with pytest.raises(NoRedisError, match="maxmemory-policy"):
        twin.start()
