"""What each worker tells about itself: kept in Redis for half a minute, for `kindred freshness` and Prometheus."""

import uuid
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from features.kafka.consumer import Place
from features.online import Client
from pipelines.stream.latency import Latency

KEPT_S = 30
INDEX = "kindred:stream"


class Reports:
    """The reports of one worker."""

    def __init__(self, client: Client, generation: str) -> None:
        self.client = client
        self.generation = generation
        self.name = uuid.uuid4().hex[:8]

    def publish(self, latency: Latency, lag: Mapping[Place, int]) -> None:
        """Replace this worker's report.

        Args:    lag: records that wait, by partition.
        """
        report = latency.report() | {
            "worker": self.name,
            "generation": self.generation,
            "dead_letters": latency.counted["dead_letters"],
            "rekeyed": latency.counted["rekeyed"],
            "lag": {f"{topic}[{partition}]": behind for (topic, partition), behind in sorted(lag.items())},
        }
        self.client.hset(INDEX, self.name, msgspec.json.encode(report))
        self.client.set(_alive(self.name), b"1", ex=KEPT_S)


def read_reports(client: Client) -> list[dict[str, Any]]:
    """The newest report of every worker that runs; those of workers that ended are taken away."""
    found = cast("dict[bytes, bytes]", client.hgetall(INDEX))
    reports = []
    for name, raw in sorted(found.items()):
        if client.exists(_alive(name.decode())):
            reports.append(msgspec.json.decode(raw))
        else:
            client.hdel(INDEX, name)
    return reports


def _alive(name: str) -> str:
    return f"{INDEX}:{name}"
