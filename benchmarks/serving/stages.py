"""Where the CPU time of a slate goes: whole requests through `Front` in this process, stage by stage, in us a request.

    .venv/bin/python -m benchmarks.serving.stages --requests 4000 [--ranker] [--profile FILE]

Requests and answers are ASGI messages; everything behind them is what `kindred serve` has, on the shop of
`benchmarks.serving`. It is CPU time of this process with all its threads, so it can be repeated on a busy machine; what
uvicorn adds is not in it. Indented lines are parts of the stage that ends after them, and the clock itself costs each
about a microsecond: `all` is of a run without them.
"""

import argparse
import asyncio
import cProfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec
import uvloop
from starlette.types import ASGIApp, Message, Scope
from threadpoolctl import threadpool_limits

from benchmarks.serving.__main__ import ROOT
from benchmarks.serving.contenders import World, bodies
from benchmarks.serving.shop import Shop, place_ranker, prepared
from benchmarks.streaming.stages import Stopwatch
from features import profiles
from features.settings import Settings
from models.als import Als
from models.ranker import Ranker
from pipelines import console
from pipelines.embedded import parts
from serving import engine, exposures, guard, handlers, service
from serving.decide import decision, ranking
from serving.decide.columns import Columns

AT_ONCE = 16
PARTS: tuple[tuple[str, Any, str], ...] = (
    ("key of the caller", handlers.Parts, "caller"),
    ("parse", handlers, "parse_recommend"),
    ("profile: decode", profiles.Profile, "__init__"),
    ("profile: what is asked", engine, "_asked_for"),
    ("features of the customer", engine, "features_of"),
    ("question", decision, "question"),
    ("  masks", Columns, "allowed"),
    ("  model", Als, "recommend_one"),
    ("candidates", decision, "retrieve"),
    ("  rows", ranking, "table_of"),
    ("  trees", Ranker, "score"),
    ("rows of the candidates", ranking, "_things"),
    ("draw", decision, "draw"),
    ("  model", Als, "because"),
    ("reasons", decision, "reasons"),
    ("decide, with all of these", guard, "decide"),
    ("answer", engine, "_answer"),
    ("encode", handlers, "answer"),
    ("exposure", exposures.ExposureQueue, "_send"),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving.stages", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--requests", type=int, default=4_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--ranker", action="store_true", help="with a ranker")
    parser.add_argument("--profile", help="a file for cProfile's figures")
    asked = parser.parse_args()
    shop = Shop(items=asked.items)
    data = ROOT / ".kindred" / "serving" / f"{shop.items}x{shop.dims}"
    with parts(Settings(data=data), "redis", "kafka", "mlflow") as settings, threadpool_limits(1):
        place_ranker(settings, asked.ranker)
        world = World(shop, settings, prepared(shop, settings), data)
        uvloop.run(report(world, asked.requests, asked.profile))


async def report(world: World, requests: int, profile: str | None) -> None:
    """Measure and print."""
    asked = [(_scope(world.key, body), body) for body in map(msgspec.json.encode, bodies(world))]
    async with served(world.settings) as front:
        await spent(front, asked, 500, 1)
        alone = await spent(front, asked, requests, 1)
        together = await spent(front, asked, requests, AT_ONCE)
        watch = Stopwatch()
        with staged(watch):
            await spent(front, asked, requests, AT_ONCE)
        if profile:
            profiler = cProfile.Profile()
            profiler.enable()
            await spent(front, asked, requests, AT_ONCE)
            profiler.disable()
            profiler.dump_stats(profile)
    rows = [[name, f"{1e6 * watch.spent[name] / requests:.1f}"] for name, _, _ in PARTS if name in watch.spent]
    rows += [[f"all, {AT_ONCE} at once", f"{together:.1f}"], ["all, one by one", f"{alone:.1f}"]]
    console.table(f"{requests:,} slates, {world.shop.items:,} items", ["stage", "CPU us"], rows)


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[service.Front]:
    """The service's front, with everything behind it loaded."""
    async with service.loaded(service.app, settings):
        yield service.Front(service.app)


async def spent(front: ASGIApp, asked: list[tuple[Scope, bytes]], requests: int, at_once: int) -> float:
    """CPU us of a request, where so many are asked at once.

    Raises:  RuntimeError: one was not answered with 200.
    """

    async def one(scope: Scope, body: bytes) -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            if message.get("status", 200) != 200:
                raise RuntimeError(f"a slate failed with {message['status']}")

        await front({**scope}, receive, send)

    async def several(first: int) -> None:
        for number in range(first, requests, at_once):
            await one(*asked[number % len(asked)])

    began = time.process_time()
    await asyncio.gather(*map(several, range(at_once)))
    return 1e6 * (time.process_time() - began) / requests


@contextmanager
def staged(watch: Stopwatch) -> Iterator[None]:
    """While it lasts, what each of PARTS spends is counted."""
    kept = [(home, attribute, getattr(home, attribute)) for _, home, attribute in PARTS]
    for (name, _, _), (home, attribute, call) in zip(PARTS, kept, strict=True):
        setattr(home, attribute, watch.around(name, call))
    try:
        yield
    finally:
        for home, attribute, call in kept:
            setattr(home, attribute, call)


def _scope(key: str, body: bytes) -> Scope:
    headers = [(b"host", b"localhost"), (b"authorization", b"Bearer " + key.encode())]
    headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    return {
        "type": "http",
        "method": "POST",
        "path": "/recommend",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
    }


if __name__ == "__main__":
    main()
