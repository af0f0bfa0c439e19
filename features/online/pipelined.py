"""Reads of many requests over one connection: those of one turn of the event loop go out in one write.

redis-py takes a connection out of a pool and several tasks' turns for each call, 140 us of CPU; a service reads one
small value a request, and this costs it a tenth of that. Answers come in the order of the questions. A connection that
is lost is made again, and what it hadn't answered is asked once more: reading twice changes nothing.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import hiredis
import redis
import redis.asyncio
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import AuthenticationError, BusyLoadingError

TRIES = 2
_KNOWN: tuple[type[Any], ...] = (Connection, SSLConnection, UnixDomainSocketConnection)


@dataclass(frozen=True)
class Address:
    """Where a Redis is, who asks, and how long a question may wait (s); `path` is that of a Unix socket, or empty."""

    host: str
    port: int
    path: str
    db: int
    username: str | None
    password: str | None
    tls: ssl.SSLContext | None
    timeout_s: float

    @classmethod
    def of(cls, client: "redis.asyncio.Redis") -> Self | None:
        """That of a redis-py client; None for a cluster, or one whose credentials come from elsewhere."""
        pool = getattr(client, "connection_pool", None)
        kind = getattr(pool, "connection_class", None)
        if pool is None or kind not in _KNOWN or pool.connection_kwargs.get("credential_provider"):
            return None
        told: dict[str, Any] = pool.connection_kwargs
        return cls(
            host=told.get("host", "localhost"),
            port=int(told.get("port", 6379)),
            path=told.get("path", ""),
            db=int(told.get("db", 0)),
            username=told.get("username"),
            password=told.get("password"),
            tls=kind(**told).ssl_context.get() if kind is SSLConnection else None,
            timeout_s=float(told.get("socket_timeout") or 1.0),
        )

    def greeting(self) -> list[bytes]:
        """What a new connection says first."""
        said: list[bytes] = []
        if self.password is not None:
            who = (self.username,) if self.username else ()
            said.append(_packed("AUTH", *who, self.password))
        if self.db:
            said.append(_packed("SELECT", str(self.db)))
        return said


class _Question:
    """One command, and where its answer goes; `until` is when it has waited long enough (the loop's time)."""

    __slots__ = ("answer", "command", "tries", "until")

    def __init__(self, command: bytes, answer: "asyncio.Future[list[bytes | None]]", until: float) -> None:
        self.command = command
        self.answer = answer
        self.until = until
        self.tries = 0

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Pipelined:
    """Asks one Redis from one event loop; it connects with the first question, and anew once the connection is lost."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._waiting: deque[_Question] = deque()  # not sent yet
        self._line: _Line | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._planned = False
        self._timer: asyncio.TimerHandle | None = None

    def mget(self, keys: Sequence[str]) -> "asyncio.Future[list[bytes | None]]":
        """The values of some keys, None where there is none.

        Raises:  redis.RedisError: the connection failed twice, time is up, or Redis refuses (in the future).
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[bytes | None]] = loop.create_future()
        question = _Question(_packed("MGET", *keys), answer, loop.time() + self.address.timeout_s)
        self._waiting.append(question)
        if not self._planned:
            self._planned = True
            loop.call_soon(self._send)
        if self._timer is None:
            self._timer = loop.call_at(question.until, self._expire)
        return answer

    async def aclose(self) -> None:
        """Let the connection go; what is asked fails."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
        if self._line is not None:
            self._line.close(redis.ConnectionError("the client was closed"))
        self._fail_waiting(redis.ConnectionError("the client was closed"))

    def _send(self) -> None:
        self._planned = False
        if self._line is not None and self._line.is_open:
            self._line.ask(self._waiting)
        elif self._waiting and self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        address, loop = self.address, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(address.timeout_s):
                line = _Line(self._lost)
                if address.path:
                    await loop.create_unix_connection(lambda: line, address.path)
                else:
                    await loop.create_connection(lambda: line, address.host, address.port, ssl=address.tls)
                await line.greet(address.greeting())
        except (OSError, redis.RedisError) as error:  # a TimeoutError is an OSError
            line.close(redis.ConnectionError("the connection can't be made"))
            failure = error if isinstance(error, redis.RedisError) else redis.ConnectionError(_told(error))
            self._fail_waiting(failure)
        else:
            self._line = line
        finally:
            self._connecting = None
        self._send()

    def _lost(self, unanswered: "deque[_Question]", error: Exception) -> None:
        """Ask what is left once more."""
        self._line = None
        for question in reversed(unanswered):
            if question.tries < TRIES:
                self._waiting.appendleft(question)
            else:
                question.fail(error)
        self._send()

    def _expire(self) -> None:
        """End what has waited too long. Answers come in order, so one that doesn't come ends the connection."""
        self._timer = None
        loop = asyncio.get_running_loop()
        asked = self._line.asked if self._line is not None else ()
        left = [question.until for question in (*asked, *self._waiting) if not question.answer.done()]
        if not left:
            return
        late = redis.TimeoutError(f"no answer within {self.address.timeout_s:g} s")
        if min(left) <= loop.time():
            for question in (*asked, *self._waiting):
                if question.until <= loop.time():
                    question.tries = TRIES
                    question.fail(late)
            self._waiting = deque(question for question in self._waiting if not question.answer.done())
            if self._line is not None and any(question.answer.done() for question in asked):
                self._line.close(late)
            left = [until for until in left if until > loop.time()]
        if left:
            self._timer = loop.call_at(min(left), self._expire)

    def _fail_waiting(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, deque()
        for question in waiting:
            question.fail(error)


class _Line(asyncio.Protocol):
    """One connection; `asked` is what it was asked and has not answered, oldest first."""

    def __init__(self, lost: Any) -> None:
        self.asked: deque[_Question] = deque()
        self._lost = lost
        self._reader: Any = hiredis.Reader(notEnoughData=_NOTHING)
        self._transport: asyncio.Transport | None = None
        self._greeted: asyncio.Future[None] | None = None
        self._to_greet = 0
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to greet."""
        self._transport = cast("asyncio.Transport", transport)

    async def greet(self, said: list[bytes]) -> None:
        """Say who asks, and for which database.

        Raises:  redis.RedisError: Redis doesn't take it.
        """
        if said and self._transport is not None:
            self._to_greet, self._greeted = len(said), asyncio.get_running_loop().create_future()
            self._transport.write(b"".join(said))
            await self._greeted
        self.is_open = self._transport is not None

    def ask(self, questions: "deque[_Question]") -> None:
        """Send all of them in one write, and take them over."""
        commands = []
        while questions:
            question = questions.popleft()
            if not question.answer.done():
                question.tries += 1
                self.asked.append(question)
                commands.append(question.command)
        if commands and self._transport is not None:
            self._transport.write(commands[0] if len(commands) == 1 else b"".join(commands))

    def data_received(self, data: bytes) -> None:
        """Give each answer to the oldest question."""
        self._reader.feed(data)
        try:
            while (answer := self._reader.gets()) is not _NOTHING:
                self._take(answer)
        except (hiredis.ProtocolError, IndexError):
            self.close(redis.InvalidResponse("what came is no answer of a Redis"))

    def _take(self, answer: Any) -> None:
        if self._to_greet:
            self._welcome(answer)
            return
        question = self.asked.popleft()
        if question.answer.done():
            return
        if isinstance(answer, hiredis.ReplyError):
            question.fail(_error(str(answer)))
        else:
            question.answer.set_result(answer)

    def _welcome(self, answer: Any) -> None:
        self._to_greet -= 1
        if self._greeted is None or self._greeted.done():
            return
        if isinstance(answer, hiredis.ReplyError):
            self._greeted.set_exception(_error(str(answer)))
        elif not self._to_greet:
            self._greeted.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """What it hadn't answered goes back."""
        self._end(redis.ConnectionError(_told(error) if error else "Redis closed the connection"))

    def close(self, error: Exception) -> None:
        """End it from here."""
        if self._transport is not None:
            self._transport.abort()
        self._end(error)

    def _end(self, error: Exception) -> None:
        was_open, self.is_open, self._transport = self.is_open, False, None
        if self._greeted is not None and not self._greeted.done():
            self._greeted.set_exception(error)
        if was_open:
            unanswered, self.asked = self.asked, deque()
            self._lost(unanswered, error)


_NOTHING = object()


def _packed(*words: str) -> bytes:
    packed: bytes = hiredis.pack_command(cast("Any", words))  # its stub knows tuples of one word only
    return packed


def _error(said: str) -> redis.RedisError:
    """Redis' refusal as redis-py would raise it."""
    kinds = {"LOADING": BusyLoadingError, "NOAUTH": AuthenticationError, "WRONGPASS": AuthenticationError}
    return kinds.get(said.partition(" ")[0], redis.ResponseError)(said)


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
