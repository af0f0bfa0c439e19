"""The running `kindred stream`: how fresh the live state is at a steady rate, and what more workers bring.

.venv/bin/python -m benchmarks.streaming.live --rate 500 --seconds 30
.venv/bin/python -m benchmarks.streaming.live --events 1000000 --workers 1,2,4
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.streaming.environments import kafka_of
from benchmarks.streaming.traffic import Traffic, messages, produce
from features.kafka.producer import Producer
from features.online import Client, connect
from features.settings import Settings, to_environment
from pipelines import console
from pipelines.stream.latency import STAGES, quantile, together
from pipelines.stream.reports import read_reports
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
WAIT_S = 1_800.0
EVENTS_OF_ONE = 50  # of a customer on average, where many events wait


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.streaming.live", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--kafka", choices=["real", "embedded"], default="real")
    parser.add_argument("--rate", type=int, help="events a second, for the freshness")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--events", type=int, help="events that wait, for the curve over workers")
    parser.add_argument("--workers", default="1", help="comma-separated")
    asked = parser.parse_args()
    numbers = [int(number) for number in asked.workers.split(",")]
    with tempfile.TemporaryDirectory() as name, kafka_of(asked.kafka, Path(name)) as bootstrap:
        folder = Path(name)
        redis = RedisServer(folder / "redis", options={"save": ""})
        redis.start()
        with contextlib.closing(redis), contextlib.closing(connect(redis.url)) as client:
            if asked.rate:
                _freshness(folder, bootstrap, redis.url, client, asked.rate, asked.seconds, numbers[0])
            if asked.events:
                _curve(folder, bootstrap, redis.url, client, asked.events, numbers)


def _freshness(folder: Path, bootstrap: str, url: str, client: Client, rate: int, seconds: int, workers: int) -> None:
    """Events evenly in time, each measured from its arrival to its state in Redis; the first tenth warms up."""
    traffic = Traffic(rate * seconds, days=1)
    warm = traffic.events // 10
    with _stream(folder / "live", bootstrap, url, workers):
        _until(lambda: len(read_reports(client)) >= workers)
        producer = Producer(bootstrap, linger_ms=0)
        begin, before = time.monotonic(), []
        for number, (key, value) in enumerate(messages(traffic)):
            if number == warm:
                _until(lambda: _taken(client) >= warm)
                time.sleep(1.5)
                before = read_reports(client)
                begin = time.monotonic() - number / rate
            time.sleep(max(0.0, begin + number / rate - time.monotonic()))
            producer.send("events", key, value)
        producer.close()
        _until(lambda: _taken(client) >= traffic.events)
        time.sleep(1.5)  # the last report comes within a second
        stages, earlier = together(read_reports(client)), together(before)
    left = {
        stage: {at: number - earlier[stage].get(at, 0) for at, number in counts.items()}
        for stage, counts in stages.items()
    }
    rows = [(stage, *(f"{quantile(left[stage], q):.1f}" for q in (0.5, 0.9, 0.99))) for stage in STAGES]
    console.table(f"ms at {rate} events a second, {workers} worker(s)", ("stage", "p50", "p90", "p99"), rows)


def _curve(folder: Path, bootstrap: str, url: str, client: Client, events: int, numbers: list[int]) -> None:
    """What waits is taken by one, two, ... workers, each time from nothing."""
    produce(bootstrap, "events", Traffic(events, customers=max(Traffic.customers, events // EVENTS_OF_ONE)))
    rows = []
    for workers in numbers:
        client.flushall()
        begin = time.monotonic()
        with _stream(folder / f"curve-{workers}", bootstrap, url, workers) as process:
            _until(lambda: _taken(client) > 0)
            begin, already = time.monotonic(), _taken(client)
            _until(lambda: _taken(client) >= events)
            wall = time.monotonic() - begin
            cpu, memory = _used(process)
        rows.append((workers, f"{(events - already) / wall:,.0f}", f"{events / cpu:,.0f}", f"{memory:,.0f}"))
    columns = ("workers", "events/s", "events/CPU-s, start included", "RSS MiB, all workers")
    console.table(f"{events:,} events that wait, {os.cpu_count()} cores", columns, rows)


@contextlib.contextmanager
def _stream(folder: Path, bootstrap: str, url: str, workers: int) -> Iterator["subprocess.Popen[bytes]"]:
    folder.mkdir()
    settings = Settings(folder, kafka=bootstrap, redis=url)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pipelines.cli", "stream", "--workers", str(workers)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **to_environment(settings), "PYTHONPATH": str(ROOT)},
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _used(process: "subprocess.Popen[bytes]") -> tuple[float, float]:
    """CPU seconds and memory (MiB) of a command with all that it started."""
    parent = psutil.Process(process.pid)
    family = [parent, *parent.children(recursive=True)]
    times: list[Any] = [each.cpu_times() for each in family]
    return sum(each.user + each.system for each in times), sum(each.memory_info().rss for each in family) / 2**20


def _taken(client: Client) -> int:
    return sum(report["counted"]["events"] for report in read_reports(client))


def _until(ready: Any) -> None:
    deadline = time.monotonic() + WAIT_S
    while not ready():
        if time.monotonic() > deadline:
            sys.exit("the stream processor took too long")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
