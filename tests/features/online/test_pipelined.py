"""Many reads over one connection, against a Redis that is killed, restarted, frozen and locked, and one that lies."""

import asyncio
import contextlib
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import redis

from features.online import connect_async, pipelined
from features.online.pipelined import Address, Pipelined
from tests.redis_server import RedisServer

PATIENT_S = 60.0
T = TypeVar("T")


def at(url: str, timeout_s: float = PATIENT_S) -> Address:
    """The address of a URL."""
    address = Address.of(connect_async(url, timeout_s))
    assert address is not None
    return address


def asked(address: Address, look: Callable[[Pipelined], Awaitable[T]]) -> T:
    """What somebody sees who asks through a client of its own."""

    async def go() -> T:
        client = Pipelined(address)
        try:
            return await look(client)
        finally:
            await client.aclose()

    return asyncio.run(go())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis to break, which keeps what it holds when it is killed."""
    made = RedisServer(tmp_path, appendonly=True, options={"appendfsync": "always"})
    made.start()
    fill(made.url)
    yield made
    made.close()


def fill(url: str) -> None:
    """So many keys, each with its number."""
    with redis.Redis.from_url(url) as client:
        client.mset({f"k{n}": n for n in range(500)})


@contextlib.asynccontextmanager
async def answering(*replies: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server, and what it was told: each connection is answered with one of the replies, the last ones with the last.

    An empty reply hangs up.
    """
    told: list[bytes] = []
    handlers: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        reply = replies[min(len(handlers), len(replies)) - 1]
        while data := await reader.read(65_536):
            told.append(data)
            if not reply:
                break
            writer.write(reply * data.count(b"MGET"))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as made:
        yield f"redis://127.0.0.1:{made.sockets[0].getsockname()[1]}", told
    await asyncio.gather(*(task for task in handlers if task is not None))


def test_everybody_gets_the_own_answer(redis_server: str) -> None:
    fill(redis_server)

    async def look(client: Pipelined) -> list[list[bytes | None]]:
        return await asyncio.gather(*(client.mget([f"k{n}", "none", f"k{n + 1}"]) for n in range(400)))

    assert asked(at(redis_server), look) == [[b"%d" % n, None, b"%d" % (n + 1)] for n in range(400)]


def test_what_is_asked_in_one_turn_of_the_loop_goes_out_together(
    redis_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    ask = pipelined._Line.ask

    def counted(line: pipelined._Line, questions: "deque[pipelined._Question]") -> None:
        written.append(len(questions))
        ask(line, questions)

    async def look(client: Pipelined) -> None:
        await client.mget(["k"])
        await asyncio.gather(*(client.mget([key]) for key in "abc"))

    monkeypatch.setattr(pipelined._Line, "ask", counted)
    asked(at(redis_server), look)
    assert written == [1, 3]


def test_an_answer_that_comes_in_pieces_is_put_together(redis_server: str) -> None:
    large = b"x" * 5_000_000
    with redis.Redis.from_url(redis_server) as client:
        client.set("large", large)
    assert asked(at(redis_server), lambda client: client.mget(["large"])) == [large]


def test_who_gave_up_waiting_leaves_the_answers_of_others_in_place(redis_server: str) -> None:
    fill(redis_server)

    async def look(client: Pipelined) -> list[bytes | None]:
        await client.mget(["k0"])
        first, second = client.mget(["k1"]), client.mget(["k2"])
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asked(at(redis_server), look) == [b"2"]


def test_a_redis_that_was_killed_and_came_back_answers_the_next_question(server: RedisServer) -> None:
    async def look(client: Pipelined) -> list[list[bytes | None]]:
        before = await client.mget(["k1"])
        await asyncio.to_thread(server.kill)
        with pytest.raises(redis.ConnectionError):
            await client.mget(["k2"])
        await asyncio.to_thread(server.start)
        return [before, await client.mget(["k3"])]

    assert asked(at(server.url), look) == [[b"1"], [b"3"]]


def test_a_question_that_was_under_way_when_the_connection_broke_is_asked_again() -> None:
    async def look() -> list[bytes | None]:
        async with answering(b"", b"*1\r\n$1\r\nx\r\n") as (url, _):
            client = Pipelined(at(url))
            found = await client.mget(["k"])
            await client.aclose()
            return found

    assert asyncio.run(look()) == [b"x"]


def test_a_server_that_always_hangs_up_is_asked_twice_and_not_for_ever() -> None:
    async def look() -> list[bytes]:
        async with answering(b"") as (url, told):
            client = Pipelined(at(url))
            with pytest.raises(redis.ConnectionError):
                await client.mget(["k1"])
            await client.aclose()
            return told

    assert len(asyncio.run(look())) == 2


def test_a_frozen_redis_is_not_waited_for_and_answers_once_it_goes_on(server: RedisServer) -> None:
    async def look(client: Pipelined) -> list[bytes | None]:
        await client.mget(["k1"])
        server.freeze()
        began = time.monotonic()
        with pytest.raises(redis.TimeoutError):
            await client.mget(["k2"])
        assert time.monotonic() - began >= 0.2
        server.thaw()
        while True:
            with contextlib.suppress(redis.RedisError):
                return await client.mget(["k3"])

    assert asked(at(server.url, timeout_s=0.2), look) == [b"3"]


def test_nobody_listening_is_said_at_once_and_each_time(server: RedisServer) -> None:
    server.kill()

    async def look(client: Pipelined) -> None:
        for _ in range(2):
            with pytest.raises(redis.ConnectionError, match=r"refused|Connect"):
                await client.mget(["k1"])

    asked(at(server.url), look)


def test_a_closed_client_fails_what_it_was_asked(server: RedisServer) -> None:
    async def look() -> None:
        client = Pipelined(at(server.url))
        await client.mget(["k1"])
        server.freeze()
        under_way = client.mget(["k2"])
        await asyncio.sleep(0)
        await client.aclose()
        with pytest.raises(redis.ConnectionError):
            await under_way

    asyncio.run(look())


def test_password_user_and_database_are_said_first(tmp_path: Path) -> None:
    locked = RedisServer(tmp_path)
    locked.start()
    try:
        with redis.Redis.from_url(locked.url, db=3) as client:
            client.set("k", "in three")
            client.acl_setuser("ann", enabled=True, passwords=["+secret"], categories=["+@all"], keys=["*"])
        host = locked.url.removeprefix("redis://")
        assert asked(at(f"redis://ann:secret@{host}/3"), lambda client: client.mget(["k"])) == [b"in three"]
        with pytest.raises(redis.AuthenticationError):
            asked(at(f"redis://ann:wrong@{host}/3"), lambda client: client.mget(["k"]))
    finally:
        locked.close()


def test_a_unix_socket_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "s"
    near = RedisServer(tmp_path, options={"unixsocket": str(path)})
    near.start()
    try:
        fill(near.url)
        assert asked(at(f"unix://{path}"), lambda client: client.mget(["k7"])) == [b"7"]
    finally:
        near.close()


def test_a_refusal_is_raised_and_the_next_question_is_answered() -> None:
    async def look(reply: bytes, kind: type[redis.RedisError]) -> None:
        async with answering(reply) as (url, _):
            client = Pipelined(at(url))
            for _ in range(2):
                with pytest.raises(kind):
                    await client.mget(["k"])
            await client.aclose()

    asyncio.run(look(b"-MISCONF no\r\n", redis.ResponseError))
    asyncio.run(look(b"-LOADING wait\r\n", redis.BusyLoadingError))


def test_what_is_no_redis_is_not_believed() -> None:
    async def look() -> None:
        async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (url, _):
            client = Pipelined(at(url))
            with pytest.raises(redis.RedisError):
                await client.mget(["k"])
            await client.aclose()

    asyncio.run(look())


def test_tls_is_that_of_redis_py_and_a_cluster_is_left_to_it() -> None:
    address = at("rediss://localhost:6380")
    assert address.tls is not None
    assert address.tls.verify_mode == ssl.CERT_REQUIRED
    assert address.tls.check_hostname
    assert at("rediss://localhost:6380?ssl_cert_reqs=none").tls.verify_mode == ssl.CERT_NONE  # type: ignore[union-attr]
    assert Address.of(connect_async("redis+cluster://localhost:6379")) is None
