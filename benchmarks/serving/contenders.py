"""Who is measured: how each is started, and what it is asked. Every one answers a slate of ten by one worker."""

import asyncio
import json
import os
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn

from benchmarks.serving.shop import Shop, factors_of
from benchmarks.streaming.environments import python_of
from features.online import ProfileReader, answers, connect, connect_async
from features.settings import Settings
from pipelines.services import serve_command

ROOT = Path(__file__).parents[2]
ASKED = 4_000
N = 10
SPECIAL = 0.25  # of the requests: a filter by category and price, and three items excluded
Command = tuple[list[str], dict[str, str]]


@dataclass(frozen=True)
class World:
    """What contenders are started with."""

    shop: Shop
    settings: Settings
    key: str
    folder: Path


@dataclass(frozen=True)
class Contender:
    """`command` of a world and a port; `requests` of a world; `ready` says by a path whether it has loaded; `ranker`
    whether the registry names one while it runs."""

    what: str
    command: Callable[[World, int], Command]
    requests: Callable[[World], list[bytes]]
    ready: str = "/readyz"
    ranker: bool = False


def bodies(world: World) -> list[dict[str, Any]]:
    """The same questions for everybody."""
    random_ = random.Random(0)
    shop = world.shop
    found = []
    for _ in range(ASKED):
        body: dict[str, Any] = {"user_id": shop.customer(random_.randrange(shop.customers)), "n": N}
        if random_.random() < SPECIAL:
            categories = sorted({shop.category(random_.randrange(shop.items)) for _ in range(8)})
            body["filter"] = {"category": categories, "max_price": 60.0}
            body["exclude"] = [shop.item(random_.randrange(shop.items)) for _ in range(3)]
        found.append(body)
    return found


def _http(path: str, body: Any, key: str = "") -> bytes:
    raw = json.dumps(body).encode()
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{authorization}"
    return f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw


def _asked(world: World) -> list[bytes]:
    return [_http("/recommend", body, world.key) for body in bodies(world)]


def _histories(world: World) -> list[bytes]:
    """MLflow's server knows nobody: the history comes with the question."""
    known = _known(world, [body["user_id"] for body in bodies(world)])
    rows = [list(history) for history in known.values()]
    return [_http("/invocations", {"dataframe_split": {"columns": ["history"], "data": [[row]]}}) for row in rows]


def _ours(world: World, port: int) -> Command:
    return serve_command(world.settings, "127.0.0.1", port, workers=1)


def _bentoml(world: World, port: int) -> Command:
    command, environment = serve_command(world.settings, "127.0.0.1", port, workers=1)
    module = "benchmarks.serving.peers.bentoml_default:service"
    command = [module if part == "serving.service:service" else part for part in command]
    return command, {key: value for key, value in environment.items() if key != "BENTOML_CONFIG_OPTIONS"}


def _fixed(_world: World, port: int) -> Command:
    return [sys.executable, "-m", "benchmarks.serving.peers.starlette_fixed", str(port)], _here()


def _mlflow(world: World, port: int) -> Command:
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", "models:/als@champion"]
    command += ["--port", str(port), "--env-manager", "local", "--workers", "1"]
    quiet = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    programs = Path(uvicorn.__file__).parents[4] / "bin"  # it starts uvicorn by its name
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
    return command, _here() | quiet | {
        "MLFLOW_TRACKING_URI": world.settings.mlflow,
        "OMP_NUM_THREADS": "1",
        "PATH": path,
    }


def _fastapi(world: World, port: int) -> Command:
    python = python_of(
        ("fastapi", "uvicorn[standard]", "implicit", "redis[hiredis]", "threadpoolctl"), ROOT / ".kindred" / "peers"
    )
    folder = _for_fastapi(world)
    module = "benchmarks.serving.peers.fastapi_implicit"
    return [python, "-m", module, str(port), str(folder), world.settings.redis], _here() | {"OMP_NUM_THREADS": "1"}


def _here() -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT)}


def _for_fastapi(world: World) -> Path:
    """The factors as files, the catalogue as JSON, and histories as JSON in Redis."""
    folder = world.folder / "fastapi"
    folder.mkdir(exist_ok=True)
    files = factors_of(world.settings)
    with np.load(files / "arrays.npz") as stored:
        ridge = json.loads((files / "model.json").read_text())["params"]["ridge"]
        np.savez(folder / "arrays.npz", factors=stored["factors"], regularization=np.float64(ridge))
    (folder / "items.json").write_bytes((files / "items.json").read_bytes())
    shop = world.shop
    catalogue = {
        shop.item(row): {"in_stock": row % 10 != 3, "category": shop.category(row), "price": shop.price(row)}
        for row in range(shop.items)
    }
    (folder / "catalogue.json").write_text(json.dumps(catalogue))
    known = _known(world, [shop.customer(row) for row in range(shop.customers)])
    client = connect(world.settings.redis)
    client.mset({f"history:{customer}": json.dumps(history) for customer, history in known.items()})
    client.close()
    return folder


def _known(world: World, customers: Sequence[str]) -> dict[str, dict[str, float]]:
    """What each customer's live profile says that models are to be asked with."""

    async def read() -> dict[str, dict[str, float]]:
        client = connect_async(world.settings.redis, timeout_s=5.0)
        reader = ProfileReader(client, world.settings.buckets)
        found = {}
        for customer in dict.fromkeys(customers):
            profile = await reader.profile(f"u:{customer}")
            found[customer] = {item_id: weight for item_id, weight, _, _ in profile.history()}
        await client.aclose()
        return found

    with answers(world.settings.redis):
        return asyncio.run(read())


def is_ready(port: int, path: str) -> bool:
    """Whether the contender there has loaded."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=2.0).status_code in {200, 405}
    except httpx.HTTPError:
        return False


CONTENDERS: dict[str, Contender] = {
    "kindred": Contender("`kindred serve`: keys, live profile, filters, reasons", _ours, _asked),
    "ranked": Contender("the same with a ranker", _ours, _asked, ranker=True),
    "bentoml": Contender("BentoML's own API over the same engine: dict in, dict out", _bentoml, _asked),
    "fastapi": Contender("FastAPI, implicit, redis.asyncio: no reasons, no merged ids", _fastapi, _asked, "/recommend"),
    "mlflow": Contender("`mlflow models serve`: no profile, no filters, no reasons", _mlflow, _histories, "/ping"),
    "starlette": Contender("Starlette, one fixed answer of 1 KB: the limit", _fixed, _asked, "/recommend"),
}
