"""Slates over HTTP by one worker on loopback: requests a second, times, CPU; ours and what people use today.

    .venv/bin/python -m benchmarks.serving

Closed loop: 16 connections that ask again once they are answered, which gives the requests a second; then one alone.
Open loop: at half of that rate, at random moments. `CPU us` is that of the contender's processes; what Redis spent
stands beside it, the load's own process and the parts' (broker, registry) do not.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.serving.contenders import CONTENDERS, Contender, World, is_ready
from benchmarks.serving.load import write_requests
from benchmarks.serving.shop import Shop, place_ranker, prepared
from benchmarks.streaming.environments import NotInstalled
from features.errors import Unavailable
from features.online import Client, connect
from features.settings import Settings
from pipelines import console
from pipelines.embedded import parts
from pipelines.processes import Child, Children

ROOT = Path(__file__).parents[2]
PORT = 3900
START_S = 120.0
Figures = dict[str, float]


def main() -> None:
    """Measure and print."""
    asked = _options()
    shop = Shop(items=asked.items, dims=asked.dims)
    data = ROOT / ".kindred" / "serving" / f"{shop.items}x{shop.dims}"
    children = Children(data / "logs")
    with parts(Settings(data=data), "redis", "kafka", "mlflow", children=children) as settings:
        world = World(shop, settings, prepared(shop, settings), data)
        found: dict[str, dict[str, Any]] = {}
        absent: dict[str, str] = {}
        for name in asked.contenders:
            try:
                found[name] = measured(CONTENDERS[name], world, children, asked.seconds)
            except (NotInstalled, Unavailable) as reason:
                absent[name] = str(reason)
    report = {
        "items": shop.items,
        "dims": shop.dims,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "contenders": found,
        "absent": absent,
    }
    _print(report)
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=2) + "\n")


def measured(contender: Contender, world: World, children: Children, seconds: float) -> dict[str, Any]:
    """One contender, started and stopped again.

    Raises:  NotInstalled: its packages can't be had; Unavailable: it doesn't start.
    """
    place_ranker(world.settings, contender.ranker)
    port = children.port(PORT)
    file = world.folder / "requests"
    write_requests(file, contender.requests(world))
    command, environment = contender.command(world, port)
    began = time.perf_counter()
    child = children.start("contender", command, environment)
    client = connect(world.settings.redis)
    try:
        children.wait_until(child, lambda: is_ready(port, contender.ready), START_S)
        started = time.perf_counter() - began
        _load(port, file, seconds=2.0)
        closed = _counted(child, client, lambda: _load(port, file, seconds=seconds))
        alone = _load(port, file, seconds=seconds / 2, connections=1)
        rate = closed["requests_per_s"] / 2
        opened = _counted(child, client, lambda: _load(port, file, seconds=seconds, rate=rate, connections=64))
        memory = sum(each.memory_info().rss for each in _family(child)) / 2**20
    finally:
        client.close()
        _stop(child, children)
    return {"start_s": started, "rss_mib": memory, "closed": closed, "alone": alone, "open": opened}


def _load(port: int, file: Path, seconds: float, connections: int = 16, rate: float = 0.0) -> Figures:
    command = [sys.executable, "-m", "benchmarks.serving.load", str(port), str(file)]
    command += ["--seconds", str(seconds), "--connections", str(connections), "--rate", str(rate)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode:
        raise Unavailable(f"the load failed: {done.stderr.strip()[-500:]}")
    found: Figures = json.loads(done.stdout)
    return found


def _counted(child: Child, client: Client, load: Any) -> Figures:
    """The load's figures, with the CPU that each answer cost the contender and Redis, in us."""
    before, redis_before = _cpu(child), _redis_cpu(client)
    found: Figures = load()
    cpu, redis = _cpu(child) - before, _redis_cpu(client) - redis_before
    return found | {"cpu_us": 1e6 * cpu / found["answered"], "redis_cpu_us": 1e6 * redis / found["answered"]}


def _family(child: Child) -> list[psutil.Process]:
    parent = psutil.Process(child.process.pid)
    return [parent, *parent.children(recursive=True)]


def _cpu(child: Child) -> float:
    times: list[Any] = [each.cpu_times() for each in _family(child)]
    return float(sum(each.user + each.system for each in times))


def _redis_cpu(client: Client) -> float:
    used = client.info("cpu")
    return float(used["used_cpu_sys"]) + float(used["used_cpu_user"])


def _stop(child: Child, children: Children) -> None:
    if child.process.stdin is not None:
        child.process.stdin.close()
    child.process.wait(60)
    children.running.remove(child)


def _print(report: dict[str, Any]) -> None:
    rows = [
        [
            CONTENDERS[name].what,
            f"{found['closed']['requests_per_s']:,.0f}",
            f"{found['closed']['p50_ms']:.2f}",
            f"{found['closed']['p99_ms']:.2f}",
            f"{found['alone']['p50_ms']:.2f}",
            f"{found['open']['p50_ms']:.2f}",
            f"{found['open']['p99_ms']:.2f}",
            f"{found['closed']['cpu_us']:,.0f}",
            f"{found['closed']['redis_cpu_us']:,.0f}",
            f"{found['closed']['failed'] + found['open']['failed']:,.0f}",
            f"{found['rss_mib']:,.0f}",
        ]
        for name, found in report["contenders"].items()
    ]
    columns = ["what", "requests/s", "p50 ms", "p99 ms", "alone p50", "open p50", "open p99"]
    columns += ["CPU us", "Redis CPU us", "failed", "RSS MiB"]
    console.table(f"{report['items']:,} items x {report['dims']}, one worker, {report['cores']} cores", columns, rows)
    for name, reason in report["absent"].items():
        print(f"{name} is left out: {reason}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dims", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each load")
    known = ", ".join(CONTENDERS)
    parser.add_argument("--contenders", type=lambda text: text.split(","), default=list(CONTENDERS), help=known)
    parser.add_argument("--json", type=Path, help="a file for all figures")
    options = parser.parse_args()
    if unknown := [name for name in options.contenders if name not in CONTENDERS]:
        parser.error(f"no contender is called {', '.join(unknown)}: there are {known}")
    return options


if __name__ == "__main__":
    main()
