"""Fills a topic with events and lets each peer read it, alone and in a process of its own; prints medians.

    .venv/bin/python -m benchmarks.streaming --kafka real --events 1000000

`events/CPU-s` counts the CPU of the peer's process alone; what it made Redis spend stands beside it.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import redis

from benchmarks.streaming.environments import NotInstalled, kafka_of, python_of
from benchmarks.streaming.peers import PEERS, Peer
from benchmarks.streaming.traffic import Traffic, produce
from features.kafka.topics import first_offsets
from pipelines import console
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
TOPIC = "events"
RUN_S = 1_800.0
Run = dict[str, float]


class Failed(Exception):
    """A run that gave no figures; the message is the end of what it said."""


def main() -> None:
    """Exit status 1 where a peer failed; one that can't be installed is left out, and said so."""
    options = _options()
    traffic = Traffic(options.events, options.customers, days=options.days, seed=options.seed)
    with tempfile.TemporaryDirectory() as folder, kafka_of(options.kafka, Path(folder)) as bootstrap:
        size = produce(bootstrap, TOPIC, traffic)
        _check_nothing_dropped(bootstrap)
        pythons, absent = prepared(options.peers, options.kafka)
        runs = measure(pythons, bootstrap, traffic.events, options.repeats, Path(folder))
    report = {
        "kafka": options.kafka,
        "events": traffic.events,
        "bytes_per_event": round(size / traffic.events),
        "customers": traffic.customers,
        "repeats": options.repeats,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "peers": {name: summary(of_one) for name, of_one in runs.items()},
        "absent": absent,
    }
    _print(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


def prepared(names: list[str], kafka: str) -> tuple[dict[str, str], dict[str, str]]:
    """The Python that runs each peer, and for each of the others why it can't run here."""
    pythons: dict[str, str] = {}
    absent: dict[str, str] = {}
    for name in names:
        try:
            if PEERS[name].real_only and kafka != "real":
                raise NotInstalled("it needs --kafka real")
            pythons[name] = python_of(PEERS[name].packages, ROOT / ".kindred" / "peers")
        except NotInstalled as reason:
            absent[name] = str(reason)
    return pythons, absent


def measure(pythons: dict[str, str], bootstrap: str, events: int, repeats: int, folder: Path) -> dict[str, list[Run]]:
    """The runs of each peer, in turns so that a busy minute hits all alike.

    Raises:  Failed: a run that gave no figures.
    """
    runs: dict[str, list[Run]] = {name: [] for name in pythons}
    server = RedisServer(folder / "redis", options={"save": ""})
    server.start()
    try:
        with console.progress("streaming") as bar:
            for n in range(repeats * len(pythons)):
                name = list(pythons)[n % len(pythons)]
                runs[name].append(one(PEERS[name], pythons[name], bootstrap, server, events))
                bar(n + 1, repeats * len(pythons))
    finally:
        server.close()
    return runs


def one(peer: Peer, python: str, bootstrap: str, server: RedisServer, events: int) -> Run:
    """One run against an empty Redis.

    Raises:  Failed: it ended without a result, or with another number of events.
    """
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        before = _redis_cpu(client)
        command = [python, "-m", "benchmarks.streaming.worker", peer.module, bootstrap, TOPIC, server.url, str(events)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=RUN_S, check=False)
        if done.returncode:
            raise Failed(f"{peer.module}: {done.stderr.strip()[-800:]}")
        found: Run = json.loads(done.stdout.splitlines()[-1])
        if found["events"] != events:
            raise Failed(f"{peer.module} took {found['events']} of {events} events")
        return found | {"redis_cpu_s": _redis_cpu(client) - before}


def summary(runs: list[Run]) -> dict[str, Any]:
    """Medians, and the runs they are of."""
    return {
        "events_per_cpu_s": statistics.median(run["events"] / run["cpu_s"] for run in runs),
        "events_per_s": statistics.median(run["events"] / run["wall_s"] for run in runs),
        "peak_rss_mb": statistics.median(run["peak_rss_mb"] for run in runs),
        "redis_cpu_us_per_event": statistics.median(1e6 * run["redis_cpu_s"] / run["events"] for run in runs),
        "runs": runs,
    }


def _check_nothing_dropped(bootstrap: str) -> None:
    """The embedded broker keeps 5 MiB a partition and drops the rest without a word."""
    if any(first_offsets(bootstrap, TOPIC).values()):
        sys.exit("the embedded broker has dropped events, it holds about 80 MiB of them: fewer, or --kafka real")


def _redis_cpu(client: redis.Redis) -> float:
    used = client.info("cpu")
    return float(used["used_cpu_sys"]) + float(used["used_cpu_user"])


def _print(report: dict[str, Any]) -> None:
    rows = [
        [
            name,
            PEERS[name].what,
            PEERS[name].promise,
            f"{found['events_per_cpu_s']:,.0f}",
            f"{found['events_per_s']:,.0f}",
            f"{found['peak_rss_mb']:,.0f}",
            f"{found['redis_cpu_us_per_event']:.1f}",
        ]
        for name, found in report["peers"].items()
    ]
    title = (
        f"{report['events']:,} events of {report['bytes_per_event']} bytes, {report['customers']:,} customers, "
        f"{report['kafka']} Kafka, median of {report['repeats']}"
    )
    columns = ["peer", "what it does", "promise", "events/CPU-s", "events/s", "peak RSS MiB", "Redis CPU us/event"]
    console.table(title, columns, rows)
    for name, reason in report["absent"].items():
        print(f"{name} is left out: {reason}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streaming", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kafka", choices=["real", "embedded"], default="real")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=7, help="of event time that the events are spread over")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", type=lambda text: text.split(","), default=list(PEERS), help=", ".join(PEERS))
    parser.add_argument("--json", type=Path, help="a file for all figures, each run's too")
    options = parser.parse_args()
    if unknown := [name for name in options.peers if name not in PEERS]:
        parser.error(f"no peer is called {', '.join(unknown)}: there are {', '.join(PEERS)}")
    return options


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(str(error))
