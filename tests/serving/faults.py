"""Servers stopped while slates are asked for, and what every answer was: for tests and for benchmarks.faults."""

import itertools
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import httpx
import psutil

from tests.serving.world import World, bearer

THREADS = 8


class Answer(NamedTuple):
    """What came of one request: its status (0: no answer at all), how long it took, what was missing."""

    status: int
    ms: float
    degraded: tuple[str, ...] = ()
    retry_after: str = ""


@dataclass
class Load:
    """Slates asked for by several callers at a steady rate; every answer is kept."""

    url: str
    key: str
    rate: float = 50.0
    threads: int = THREADS
    answers: list[Answer] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def going(self) -> Iterator[None]:
        """It goes on while the block runs."""
        callers = [threading.Thread(target=self._call, args=(number,)) for number in range(self.threads)]
        for caller in callers:
            caller.start()
        try:
            yield
        finally:
            self._over.set()
            for caller in callers:
                caller.join()

    def _call(self, number: int) -> None:
        with httpx.Client(base_url=self.url, headers=bearer(self.key), timeout=20) as client:
            due = time.monotonic() + number / self.rate
            for customer in itertools.count(number):
                if self._over.wait(max(0.0, due - time.monotonic())):
                    return
                due = max(due + self.threads / self.rate, time.monotonic())
                self.answers.append(_asked(client, f"c{customer % 200:06d}"))

    def statuses(self) -> Counter[int]:
        """How often each status came."""
        return Counter(answer.status for answer in self.answers)

    def missing(self) -> set[str]:
        """All that any slate had to do without."""
        return {name for answer in self.answers for name in answer.degraded}


def _asked(client: httpx.Client, customer: str) -> Answer:
    begun = time.perf_counter()
    try:
        answer = client.post("/recommend", json={"user_id": customer, "n": 10})
    except httpx.HTTPError:
        return Answer(0, 1000 * (time.perf_counter() - begun))
    took = 1000 * (time.perf_counter() - begun)
    if answer.status_code != 200:
        return Answer(answer.status_code, took, (), answer.headers.get("retry-after", ""))
    return Answer(200, took, tuple(answer.json()["degraded"]))


@contextmanager
def frozen(shop: World, name: str) -> Iterator[None]:
    """A process of the world that takes connections and answers nothing while the block runs."""
    family = psutil.Process(shop.child(name).process.pid).children(recursive=True)
    for each in family:
        each.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for each in family:
            each.send_signal(signal.SIGCONT)


def killed(shop: World, name: str) -> None:
    """A process of the world ended as `kill -9` does."""
    child = shop.child(name)
    for each in psutil.Process(child.process.pid).children(recursive=True):
        each.kill()
    child.process.wait(30)
    assert child.process.stdin is not None
    child.process.stdin.close()
    shop.children.running.remove(child)


def under_load(shop: World, fault: Callable[[], object], seconds: float, rate: float = 50.0) -> Load:
    """The answers while a fault is there: it is made once slates are being asked for."""
    load = Load(str(shop.client.base_url), shop.secret, rate)
    with load.going():
        time.sleep(seconds / 4)
        fault()
        time.sleep(seconds)
    return load
