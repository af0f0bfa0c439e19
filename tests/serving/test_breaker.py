"""A Redis that is away is waited for by nobody, and found again by a probe."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import redis

from serving import breaker as breaker_module
from serving.breaker import IN_A_ROW, Breaker


class Server:
    """Fails so many probes, then answers."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.probes = 0

    async def probe(self) -> None:
        self.probes += 1
        if self.probes <= self.failures:
            raise redis.TimeoutError("no answer")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker_module, "EVERY_S", 0.001)


def with_breaker(server: Server, check: Callable[[Breaker], Awaitable[None]]) -> None:
    async def go() -> None:
        made = Breaker("Redis", server.probe)
        await check(made)
        await made.close()

    asyncio.run(go())


def test_a_few_failures_in_a_row_open_it_and_an_answer_between_them_does_not() -> None:
    async def check(made: Breaker) -> None:
        for _ in range(IN_A_ROW - 1):
            made.failed()
        made.answered()
        for _ in range(IN_A_ROW - 1):
            made.failed()
        assert not made.is_open
        made.failed()
        assert made.is_open

    with_breaker(Server(10**9), check)


def test_it_closes_once_a_probe_is_answered_and_needs_as_many_failures_to_open_again() -> None:
    server = Server(failures=5)

    async def check(made: Breaker) -> None:
        for _ in range(IN_A_ROW):
            made.failed()
        while made.is_open:
            await asyncio.sleep(0.001)
        assert server.probes == 6
        made.failed()
        assert not made.is_open

    with_breaker(server, check)


def test_one_probe_at_a_time_however_many_requests_fail() -> None:
    server = Server(10**9)
    at_once, most = 0, 0

    async def slow() -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.002)
        at_once -= 1
        raise redis.TimeoutError("no answer")

    server.probe = slow  # type: ignore[method-assign]

    async def check(made: Breaker) -> None:
        for _ in range(50):
            made.failed()
        await asyncio.sleep(0.05)
        assert made.is_open
        assert most == 1

    with_breaker(server, check)


def test_closing_it_ends_the_probing() -> None:
    server = Server(10**9)

    async def check(made: Breaker) -> None:
        for _ in range(IN_A_ROW):
            made.failed()
        await asyncio.sleep(0.01)
        await made.close()
        probes = server.probes
        await asyncio.sleep(0.02)
        assert server.probes == probes > 0

    with_breaker(server, check)
