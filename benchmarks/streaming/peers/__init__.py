"""Who is measured. Each module has `run(bootstrap, topic, redis_url, n_events) -> Result` and runs in its own process.

All of them read the topic from its beginning, JSON as it comes, and keep the same profile of each customer where they
keep anything: counts by event, counts by event and hour, affinity by category, spend in cents, the newest 100 touches.
"""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.streaming.meter import Result

Run = Callable[[str, str, str, int], Result]


@dataclass(frozen=True)
class Peer:
    """`module` has the `run`; `packages` are what it needs instead of Kindred's, in an environment made on demand.

    `real_only` is one that asks the broker for more than the embedded one answers.
    """

    module: str
    what: str
    promise: str
    packages: tuple[str, ...] = ()
    real_only: bool = False


PEERS: dict[str, Peer] = {
    "ceiling": Peer("ceiling", "consume and decode, keep nothing", "none"),
    "kindred": Peer("ours", "kindred stream: log, profiles, positions", "exactly once"),
    "commands": Peer("commands", "Redis commands for each event, 1,000 events a pipeline", "at least once"),
    "quixstreams": Peer("quix", "Quix Streams, state in RocksDB", "at least once", ("quixstreams==3.28.1",), True),
}
