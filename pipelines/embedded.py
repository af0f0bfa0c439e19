"""The parts that no server is configured for: started here, or shared with a Kindred command that already runs them.

Each part has a lock and a small file with its address under `run/` in the data folder. Whoever gets the lock starts the
part and stops it in the end; everybody else with the same data folder finds its address there.
"""

import contextlib
import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import IO

from features.errors import Unavailable
from features.kafka.producer import is_up
from features.online import check
from features.online.server import start_command as redis_command
from features.settings import Settings
from pipelines import mlflow_server
from pipelines.processes import Children

REDIS_PORT, MLFLOW_PORT = 7379, 7500
START_S = 60.0


@contextlib.contextmanager
def parts(settings: Settings, *needed: str, children: Children | None = None) -> Iterator[Settings]:
    """The settings with an address for each needed part (`redis`, `kafka`, `mlflow`), for as long as the block runs.

    Parts start side by side. Whatever is in `children` when the block ends is stopped with them.
    """
    own = children or Children(settings.data / "logs")
    missing = [name for name in needed if not getattr(settings, name)]
    with contextlib.ExitStack() as locks, contextlib.ExitStack() as notes:
        notes.callback(own.stop)  # after the notes are gone: nobody is sent to a part that is about to stop
        with ThreadPoolExecutor(max(1, len(missing))) as pool:
            addresses = list(pool.map(lambda name: _part(settings, name, own, locks, notes), missing))
        found = dict(zip(missing, addresses, strict=True))
        yield replace(
            settings,
            redis=found.get("redis", settings.redis),
            kafka=found.get("kafka", settings.kafka),
            mlflow=found.get("mlflow", settings.mlflow),
        )


def is_running(settings: Settings, name: str) -> bool:
    """Whether a part is configured, or runs for another command on the same data folder."""
    return bool(getattr(settings, name)) or (settings.data / "run" / f"{name}.json").is_file()


def _part(
    settings: Settings, name: str, children: Children, locks: contextlib.ExitStack, notes: contextlib.ExitStack
) -> str:
    """The address of a part that another command runs, or that is ours to start once nobody else does."""
    folder = settings.data / "run"
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / f"{name}.json"
    lock = locks.enter_context((folder / f"{name}.lock").open("a"))
    until = time.monotonic() + START_S
    while not _locked(lock):
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            return str(json.loads(note.read_text())["address"])
        if time.monotonic() > until:
            raise Unavailable(f"another Kindred command starts or stops {name} and doesn't get done; see {folder}")
        time.sleep(0.1)
    note.unlink(missing_ok=True)
    address = _START[name](children, settings)
    notes.callback(note.unlink, missing_ok=True)
    draft = note.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({"address": address}))
    draft.replace(note)
    return address


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _start_redis(children: Children, settings: Settings) -> str:
    folder = settings.data / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    port = children.port(REDIS_PORT)
    url = f"redis://127.0.0.1:{port}"
    child = children.start("redis", redis_command(folder, port), {})
    children.wait_until(child, lambda: _answers(lambda: check(url)), START_S)
    return url


def _start_kafka(children: Children, settings: Settings) -> str:
    found = settings.data / "run" / "broker.json"
    found.unlink(missing_ok=True)
    child = children.start(
        "kafka", [sys.executable, "-P", "-m", "features.kafka.broker", "--port-file", str(found)], {}
    )
    children.wait_until(child, found.exists, START_S)
    address = str(json.loads(found.read_text())["bootstrap"])
    children.wait_until(child, lambda: is_up(address)[0], START_S)
    return address


def _start_mlflow(children: Children, settings: Settings) -> str:
    folder = settings.data / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    port = children.port(MLFLOW_PORT)
    command, environment = mlflow_server.start_command(folder, port)
    child = children.start("mlflow", command, environment)
    url = f"http://127.0.0.1:{port}"
    children.wait_until(child, lambda: mlflow_server.healthy(url), START_S)
    return url


def _answers(call: Callable[[], object]) -> bool:
    try:
        call()
    except Unavailable:
        return False
    return True


_START: dict[str, Callable[[Children, Settings], str]] = {
    "redis": _start_redis,
    "kafka": _start_kafka,
    "mlflow": _start_mlflow,
}
