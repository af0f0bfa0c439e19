"""Minutes of traffic under random faults of workers, Redis, brokers and the disk; then everything must be exact.

`python -m benchmarks.soak --minutes 10` on three real Kafka brokers, `--kafka embedded` without Java.
"""

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from features.errors import Overloaded, Unavailable
from features.kafka.broker import EmbeddedBroker
from features.kafka.topics import TOPICS, ensure_topics
from features.settings import Settings
from tests.apache_cluster import ApacheCluster
from tests.apache_kafka import fetched, jars_folder
from tests.pipelines.stream_world import World
from tests.pipelines.traffic import traffic
from tests.redis_server import RedisServer

WORKER = "tests.pipelines.full_disk_worker"
SAID = {
    "batches refused and read again": "paused",
    "sessions begun anew": "starting over",
    "recoveries": "resumed with",
}
EACH = 400  # events of one customer; beyond 1,024 within a day a duplicate may count


@dataclass
class Soak:
    """What runs, and what has been done to it."""

    world: World
    redis: RedisServer
    broker: EmbeddedBroker | ApacheCluster
    workers: int
    random: random.Random
    snapshots: list[Path] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    sent: int = 0

    @property
    def running(self) -> "list[int]":
        """Places of the workers that run."""
        return [at for at, worker in enumerate(self.world.workers) if worker.poll() is None]

    def fill(self) -> None:
        """As many workers as there should be."""
        while len(self.running) < self.workers:
            self.world.worker(WORKER)

    def kill_worker(self) -> None:
        """Ended as by a power cut."""
        self.world.workers[self.random.choice(self.running)].kill()

    def end_worker(self) -> None:
        """Ended in order, while others take over."""
        worker = self.world.workers[self.random.choice(self.running)]
        worker.terminate()
        worker.wait(60)

    def freeze_worker(self) -> None:
        """Asleep until long after others took over: a zombie."""
        worker = self.world.workers[self.random.choice(self.running)]
        worker.send_signal(signal.SIGSTOP)
        time.sleep(4 if isinstance(self.broker, EmbeddedBroker) else 14)
        worker.send_signal(signal.SIGCONT)

    def kill_redis(self) -> None:
        """Ended as by a power cut, and started again with its append-only file."""
        self.redis.kill()
        time.sleep(self.random.uniform(0.5, 3))
        self.redis.start()

    def freeze_redis(self) -> None:
        """Silent for seconds."""
        self.redis.freeze()
        time.sleep(self.random.uniform(1, 6))
        self.redis.thaw()

    def roll_back_redis(self) -> None:
        """Started again with older data."""
        if self.snapshots:
            self.redis.roll_back(self.random.choice(self.snapshots))
        self.snapshots.append(self.redis.snapshot())

    def fill_disk(self) -> None:
        """No file can be written."""
        full = self.world.settings.data / "full"
        full.touch()
        time.sleep(self.random.uniform(1, 4))
        full.unlink()

    def kill_broker(self) -> None:
        """One of three away for a while; others lead its partitions."""
        node = self.random.choice([1, 2, 3])
        if isinstance(self.broker, EmbeddedBroker):
            self.move_leaders(away_from=node)
            self.broker.set_down(node)
            time.sleep(self.random.uniform(1, 3))
            self.broker.set_up(node)
            return
        self.broker.nodes[node].kill()
        time.sleep(self.random.uniform(1, 5))
        self.broker.nodes[node].start()
        for topic in TOPICS:
            self.broker.wait_in_sync(topic)

    def move_leaders(self, away_from: int = 0) -> None:
        """Every partition led by another broker, at random; real brokers do so when one is killed."""
        if isinstance(self.broker, EmbeddedBroker):
            nodes = [node for node in self.broker.nodes if node != away_from]
            for name, topic in TOPICS.items():
                for partition in range(topic.partitions):
                    self.broker.move_leader(name, partition, self.random.choice(nodes))


FAULTS: dict[str, Callable[[Soak], None]] = {
    "worker killed (-9)": Soak.kill_worker,
    "worker ended in order": Soak.end_worker,
    "worker asleep past its session": Soak.freeze_worker,
    "Redis killed (-9), started with its log": Soak.kill_redis,
    "Redis silent for seconds": Soak.freeze_redis,
    "Redis fallen back to a snapshot": Soak.roll_back_redis,
    "disk full for seconds": Soak.fill_disk,
    "broker away for seconds": Soak.kill_broker,
    "leaders moved": Soak.move_leaders,
}


@contextmanager
def servers(kafka: str, folder: Path) -> Iterator[tuple[EmbeddedBroker | ApacheCluster, RedisServer]]:
    """Three brokers and a Redis that keeps an append-only file."""
    redis = RedisServer(folder / "redis", appendonly=True, options={"appendfsync": "always", "maxclients": "1000"})
    redis.start()
    try:
        if kafka == "embedded":
            with EmbeddedBroker(brokers=3) as broker:
                yield broker, redis
        else:
            cluster = ApacheCluster(fetched(jars_folder()), folder / "kafka")
            try:
                cluster.start()
                yield cluster, redis
            finally:
                cluster.stop()
    finally:
        redis.close()


def pour(soak: Soak, events: int, per_second: float, over: threading.Event) -> None:
    """Traffic until all is sent or it is over; what no broker takes was never sent."""
    began = time.monotonic()
    for key, value in traffic(soak.random.randrange(2**32), events, customers=max(events // EACH, 40)):
        if over.wait(max(0.0, began + soak.sent / per_second - time.monotonic())):
            return
        try:
            soak.world.send_raw(value, key)
        except (Overloaded, Unavailable):
            time.sleep(0.5)
        soak.sent += 1


def harm(soak: Soak, seconds: float, chosen: list[str]) -> None:
    """Random faults, a few seconds apart, each kind as often as the others."""
    until = time.monotonic() + seconds
    waiting: list[str] = []
    while time.monotonic() < until:
        time.sleep(soak.random.uniform(1, 5))
        soak.fill()
        if not waiting:
            waiting = soak.random.sample(chosen, len(chosen))
        name = waiting.pop()
        FAULTS[name](soak)
        soak.done[name] += 1
    soak.fill()


def run(arguments: argparse.Namespace) -> bool:
    """One soak from start to verdict, told as a table."""
    with tempfile.TemporaryDirectory() as folder, servers(arguments.kafka, Path(folder)) as (broker, redis):
        ensure_topics(broker.bootstrap)
        clean = RedisServer(Path(folder) / "clean")
        clean.start()
        settings = Settings(data=Path(folder) / "data", kafka=broker.bootstrap, redis=redis.url)
        soak = Soak(World(settings, clean.url), redis, broker, arguments.workers, random.Random(arguments.seed))
        soak.fill()
        over = threading.Event()
        seconds = arguments.minutes * 60
        producing = threading.Thread(target=pour, args=(soak, int(seconds * arguments.rate), arguments.rate, over))
        producing.start()
        verdict, caught_up = "not compared", float("nan")
        try:
            harm(soak, seconds, [name for name in FAULTS if arguments.kafka == "embedded" or name != "leaders moved"])
            over.set()
            producing.join()
            soak.world.producer.flush()
            began = time.monotonic()
            soak.world.caught_up(300)
            caught_up = time.monotonic() - began
            soak.world.assert_exact()
            verdict = "exact"
        except AssertionError as error:
            verdict = f"WRONG: {error}"
        finally:
            over.set()
            producing.join()
            tell(soak, arguments, verdict, caught_up)
            soak.world.close()
            clean.close()
    return verdict == "exact"


def tell(soak: Soak, arguments: argparse.Namespace, verdict: str, caught_up: float) -> None:
    """The table for benchmarks/streaming.md."""
    said = soak.world.log_file.read_text()
    rows = [
        (
            "Kafka, minutes, workers, seed",
            f"{arguments.kafka}, {arguments.minutes:g}, {soak.workers}, {arguments.seed}",
        ),
        ("events sent", f"{soak.sent:,}"),
        *((name, str(number)) for name, number in soak.done.items()),
        *((name, str(said.count(words))) for name, words in SAID.items()),
        ("seconds to catch up at the end", f"{caught_up:.1f}"),
        ("states, log, tiles, items, identities against a clean pass", verdict),
    ]
    print("| what | number |\n| --- | --- |")
    for name, number in rows:
        print(f"| {name} | {number} |")


def main() -> None:
    """Exit status 0 where everything is exact."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--kafka", choices=["cluster", "embedded"], default="cluster", help="three brokers of either")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--rate", type=float, default=200.0, help="events a second")
    parser.add_argument("--seed", type=int, default=1)
    sys.exit(0 if run(parser.parse_args()) else 1)


if __name__ == "__main__":
    main()
