"""Promotions and rollbacks under load: failed answers, answers that mix versions, and how long the old version answers.

`python -m benchmarks.promotion` on a shop of its own, with embedded parts and two service workers.
"""

import argparse
import asyncio
import re
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from features.online import connect, tell_of_model
from features.settings import Settings
from models.registry import CHAMPION, Registry
from pipelines.promotion import promote, rollback
from tests.serving.world import World, bearer, eventually, ids, now, ok, train, world

CUSTOMERS = 20
SAID_OF_ALL = 24  # answers in a row that must come from a version before both workers count as following
Slate = tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """One answer, or a failure (`version` is what went wrong); times are seconds of the machine's steady clock."""

    sent: float
    came: float
    customer: str
    version: str
    items: Slate
    degraded: Slate = ()


@dataclass
class Found:
    """What came out: `moves` are (what, time of the alias's move, version that came to serve).

    `slates` are what each customer is shown by each version; `swapped` is how many swaps all workers made.
    """

    answers: list[Answer] = field(default_factory=list)
    moves: list[tuple[str, float, str]] = field(default_factory=list)
    slates: dict[tuple[str, str], Slate] = field(default_factory=dict)
    swapped: int = 0

    @property
    def failed(self) -> Counter[str]:
        """Answers that were none, by what went wrong."""
        return Counter(answer.version for answer in self.answers if not answer.version.isdecimal())

    @property
    def degraded(self) -> Counter[Slate]:
        """Answers that had to do without something, and said so, by what it was."""
        return Counter(answer.degraded for answer in self.answers if answer.degraded)

    @property
    def mixed(self) -> list[Answer]:
        """Answers whose items aren't those of the version that they name, though nothing was missing."""
        whole = [answer for answer in self.answers if answer.version.isdecimal() and not answer.degraded]
        return [answer for answer in whole if answer.items != self.slates[answer.version, answer.customer]]

    def swaps(self, what: str) -> list[float]:
        """Milliseconds from each move of the alias to the end of the last answer of another version.

        What was asked for before the next move and answered after it may rightly be of the next version.
        """
        found = []
        for at, (name, moved, version) in enumerate(self.moves):
            until = self.moves[at + 1][1] if at + 1 < len(self.moves) else np.inf
            old = [a.came for a in self.answers if moved <= a.sent and a.came < until and a.version != version]
            if name == what:
                found.append((max(old) - moved) * 1000 if old else 0.0)
        return found


class Stamped(Registry):
    """Notes when a champion's alias was sent to the registry."""

    moved = 0.0

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """As the registry does."""
        if alias == CHAMPION:
            self.moved = time.monotonic()
        super().set_alias(name, alias, version)


def settings(data: Path) -> Settings:
    """Of a shop whose slates depend on the version alone: nothing is explored."""
    return Settings(data=data, demo=True, exploration=0.0)


def measure(shop: World, swaps: int, seconds: float, rate: float) -> Found:
    """Move the champion to and fro, alternating rollback and promotion, evenly over the seconds; the new one stays."""
    found, customers = Found(), [f"c{number:06d}" for number in range(1, CUSTOMERS + 1)]
    second = train(shop.settings)
    with Stamped(shop.settings.mlflow) as registry:
        for version in ("1", second):
            move(shop, registry, version)
            follow(shop, version)
            found.slates |= {(version, each): slate(shop, each) for each in customers}
        before = swapped(shop)
        # A process of its own: gates, which are arithmetic, would hold up the callers and not the service.
        with ProcessPoolExecutor(1, get_context("spawn")) as callers:
            callers.submit(time.monotonic).result()
            load = callers.submit(asked, str(shop.client.base_url), shop.secret, customers, seconds, rate)
            started = time.monotonic()
            for number in range(swaps):
                time.sleep(max(0.0, started + (number + 0.5) * seconds / swaps - time.monotonic()))
                version = move(shop, registry, ("1", second)[number % 2], back=number % 2 == 0)
                found.moves.append(("rollback" if number % 2 == 0 else "promotion", registry.moved, version))
            found.answers = load.result()
    found.swapped = swapped(shop) - before
    return found


def move(shop: World, registry: Registry, version: str, back: bool = False) -> str:
    """As the command does: gates (of a promotion), compare and set, and the news as soon as the alias moved."""

    def tell() -> None:
        tell_of_model(connect(shop.settings.redis), "als")

    if back:
        return rollback(registry, "als", "benchmark", now(), told=tell).version
    done = promote(registry, "als", version, True, "benchmark", now(), shop.settings.data / "models", told=tell)
    return done.version


def follow(shop: World, version: str) -> None:
    """Wait until every worker answers from the version."""
    eventually(
        lambda: {of_any_worker(shop, "c000001")["model"]["version"] for _ in range(SAID_OF_ALL)},
        lambda said: said == {version},
        120.0,
    )


def of_any_worker(shop: World, customer: str) -> dict[str, Any]:
    """A slate by whichever worker takes a new connection; one that is kept stays with its worker."""
    headers = bearer(shop.secret) | {"Connection": "close"}
    return ok(shop.client.post("/recommend", json={"user_id": customer}, headers=headers))


def swapped(shop: World) -> int:
    """How often any worker has put a version of als in place."""
    (count,) = re.findall(r'^kindred_swaps_total{model="als"} (\S+)$', shop.client.get("/metrics").text, re.M)
    return int(float(count))


def slate(shop: World, customer: str) -> Slate:
    """What a customer is shown now."""
    return tuple(ids(shop.recommend(user_id=customer)))


def asked(url: str, secret: str, customers: list[str], seconds: float, rate: float) -> list[Answer]:
    """So many requests a second, whether earlier ones are answered or not, and what came of each."""

    async def ask() -> list[Answer]:
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        async with httpx.AsyncClient(base_url=url, headers=bearer(secret), limits=limits, timeout=30) as client:
            started, waiting = time.monotonic(), []
            for number in range(int(seconds * rate)):
                await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
                waiting.append(asyncio.create_task(one(client, customers[number % len(customers)])))
            return await asyncio.gather(*waiting)

    return asyncio.run(ask())


async def one(client: httpx.AsyncClient, customer: str) -> Answer:
    """One answer."""
    sent = time.monotonic()
    try:
        response = await client.post("/recommend", json={"user_id": customer})
        body: dict[str, Any] = ok(response)
        version, items, degraded = body["model"]["version"], tuple(ids(body)), tuple(body["degraded"])
    except (httpx.HTTPError, AssertionError, TypeError) as error:
        version, items, degraded = f"{type(error).__name__}: {str(error)[:80]}", (), ()
    return Answer(sent, time.monotonic(), customer, version, items, degraded)


def told(found: Found) -> list[str]:
    """The figures as lines."""
    took = np.array([(answer.came - answer.sent) * 1000 for answer in found.answers])
    span = max(answer.sent for answer in found.answers) - min(answer.sent for answer in found.answers)
    failed, mixed = sum(found.failed.values()), len(found.mixed)
    lines = [f"{len(found.answers)} answers, asked for in {span:.0f} s, {failed} failed, {mixed} mixed"]
    lines += [f"  {count} times {what}" for what, count in found.failed.most_common()]
    lines += [f"  {count} without {', '.join(what)}, and said so" for what, count in found.degraded.most_common()]
    lines += [f"  mixed: {answer}, not {found.slates[answer.version, answer.customer]}" for answer in found.mixed]
    lines.append(f"{len(found.moves)} moves of the alias, {found.swapped} swaps by the workers")
    lines.append(f"answers: p50 {np.median(took):.1f} ms, p99 {np.quantile(took, 0.99):.1f} ms")
    for what in ("promotion", "rollback"):
        swaps = found.swaps(what)
        if swaps:
            each = ", ".join(f"{ms:.0f}" for ms in swaps)
            lines.append(f"{what}: old version for p50 {np.median(swaps):.0f} ms, at most {max(swaps):.0f} ms ({each})")
    return lines


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        with world(data, streaming=False, workers=given.workers, given=settings(data)) as shop:
            print("\n".join(told(measure(shop, given.swaps, given.seconds, given.rate))))


if __name__ == "__main__":
    main()
