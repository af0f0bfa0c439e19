"""Where the CPU time of a batch goes: `Processor.process` in this process, stage by stage, in us an event.

    .venv/bin/python -m benchmarks.streaming.stages --events 300000

Records come from memory and not from Kafka (a broker is there for its names alone), states go to a Redis of this
benchmark's own, the log to a temporary folder. It is CPU time of this process with all its threads, so it can be
repeated on a busy machine; what Redis spent stands beside it. Indented lines are parts of the stage that ends after
them.
"""

import argparse
import functools
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.streaming.traffic import Traffic, messages
from features.kafka.broker import EmbeddedBroker
from features.kafka.consumer import Record
from features.kafka.producer import Producer
from features.kafka.topics import murmur2_many, partitions_of
from features.offline import Segments
from features.online import CatalogueStore, StateStore, connect
from features.settings import Settings
from pipelines import console, folding
from pipelines.stream import Processor, sources
from pipelines.stream.session import LARGE
from tests.redis_server import RedisServer

PARTS: tuple[tuple[str, Any, str], ...] = (
    ("decode and columns", sources, "take_in"),
    ("read states", StateStore, "read"),
    ("unpack", folding, "unpack"),
    ("fold", folding, "fold"),
    ("pack", folding, "pack"),
    ("co-views", folding, "coviewed"),
    ("tiles", folding, "packed_additions"),
    ("write files", Segments, "append_all"),
    ("commit states", StateStore, "commit"),
    ("catalogue", CatalogueStore, "create_missing"),
)


class Stopwatch:
    """CPU seconds of this process by name."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._last = time.process_time()

    def lap(self, name: str) -> None:
        """What has been spent since the lap before."""
        now = time.process_time()
        self.spent[name] += now - self._last
        self._last = now

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, with what it spends counted."""

        @functools.wraps(call)
        def measured(*args: Any, **named: Any) -> Any:
            begin = time.process_time()
            try:
                return call(*args, **named)
            finally:
                self.spent[name] += time.process_time() - begin

        return measured


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.streaming.stages", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=LARGE)
    parser.add_argument("--warm", type=int, default=3, help="batches before anything is counted")
    asked = parser.parse_args()
    watch = Stopwatch()
    for name, home, attribute in PARTS:
        if hasattr(home, attribute):
            setattr(home, attribute, watch.around(f"  {name}", getattr(home, attribute)))
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker() as broker:
        server = RedisServer(Path(folder) / "redis", options={"save": ""})
        server.start()
        try:
            settings = Settings(Path(folder) / "data", kafka=broker.bootstrap, redis=server.url)
            traffic = Traffic(asked.events, asked.customers)
            events, redis_s = run(settings, traffic, asked.batch, asked.warm, watch)
        finally:
            server.close()
    rows = [[name, f"{1e6 * spent / events:.2f}"] for name, spent in watch.spent.items()]
    whole = sum(spent for name, spent in watch.spent.items() if not name.startswith(" "))
    rows += [["all", f"{1e6 * whole / events:.2f}"], ["Redis", f"{1e6 * redis_s / events:.2f}"]]
    console.table(
        f"{events:,} events, batches of {asked.batch:,}: {events / whole:,.0f} a CPU-second",
        ["stage", "us/event"],
        rows,
    )


def run(settings: Settings, traffic: Traffic, batch: int, warm: int, watch: Stopwatch) -> tuple[int, float]:
    """Process the traffic; returns how many events were counted, and the CPU seconds of Redis meanwhile."""
    client = connect(settings.redis)
    producer = Producer(settings.kafka)
    partitions = partitions_of(settings.kafka, "events")
    processor = Processor(settings, client, producer, lambda: time.time() * 1_000, step=watch.lap)
    processor.assign([("events", partition) for partition in range(partitions)])
    counted, before = 0, 0.0
    for number, records in enumerate(_batches(traffic, partitions, batch)):
        if number == warm:
            watch.spent.clear()
            before, counted = _redis_cpu(client), 0
        watch.lap("")
        watch.spent.pop("")
        processor.process(records)
        counted += len(records)
    used = _redis_cpu(client) - before
    producer.close()
    client.close()
    return counted, used


def _batches(traffic: Traffic, partitions: int, size: int) -> Iterator[list[Record]]:
    """Batches as a consumer gets them that reads all partitions alike."""
    ends = [0] * partitions
    rows: list[Record] = []
    now = int(time.time() * 1_000)
    for key, value in messages(traffic):
        place = int(murmur2_many([key])[0] & np.uint32(0x7FFFFFFF)) % partitions
        rows.append(Record("events", place, ends[place], key, value, now, ()))
        ends[place] += 1
        if len(rows) == size:
            yield rows
            rows = []
    if rows:
        yield rows


def _redis_cpu(client: Any) -> float:
    used = client.info("cpu")
    return float(used["used_cpu_sys"]) + float(used["used_cpu_user"])


if __name__ == "__main__":
    main()
