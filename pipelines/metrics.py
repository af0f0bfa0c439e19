"""What Prometheus is told of the stream processors: events, lag, freshness by stage, and the last reconciliation."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from features.errors import BadInput
from features.online import AWAY, Client
from pipelines.stream.latency import quantile, together
from pipelines.stream.reports import read_reports

QUANTILES = (0.5, 0.9, 0.99)
RECONCILED = ("customers", "missing", "unexpected", "different", "repaired", "expired", "items")


class StreamCollector(Collector):
    """Reads the reports of all workers from Redis, and the last reconciliation from the data folder, at each scrape."""

    def __init__(self, client: Client, data: Path) -> None:
        self.client = client
        self.data = data

    def collect(self) -> Iterator[Metric]:
        """While Redis is away `kindred_stream_redis_up` is 0 and the workers' figures are left out."""
        up = GaugeMetricFamily("kindred_stream_redis_up", "Whether the workers' reports could be read")
        try:
            reports = read_reports(self.client)
        except AWAY:
            up.add_metric([], 0)
            yield up
        else:
            up.add_metric([], 1)
            yield up
            yield from _of_workers(reports)
        yield from _of_reconciliation(self.data / "reconcile.json")


@contextmanager
def served(client: Callable[[], Client], data: Path, host: str, port: int) -> Iterator[None]:
    """Answers scrapes on a thread of its own meanwhile; port 0 is nobody's.

    Raises:  BadInput: the address can't be listened on.
    """
    if not port:
        yield
        return
    registry, own = CollectorRegistry(), client()
    registry.register(StreamCollector(own, data))
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise BadInput(f"metrics can't be served on {host}:{port}: {error.strerror}", "metrics_port") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        own.close()


def _of_workers(reports: list[dict[str, Any]]) -> Iterator[Metric]:
    yield GaugeMetricFamily("kindred_stream_workers", "Workers that run", len(reports))
    events = CounterMetricFamily("kindred_stream_events", "Events by worker and outcome", labels=["worker", "outcome"])
    waiting: dict[str, int] = {}
    for report in reports:
        for outcome, number in report["counted"].items():
            events.add_metric([report["worker"], outcome], number)
        for place, behind in report["lag"].items():
            topic = place.partition("[")[0]
            waiting[topic] = waiting.get(topic, 0) + behind
    yield events
    lag = GaugeMetricFamily("kindred_stream_lag", "Records that wait in Kafka, by topic", labels=["topic"])
    for topic, behind in sorted(waiting.items()):
        lag.add_metric([topic], behind)
    yield lag
    fresh = GaugeMetricFamily(
        "kindred_stream_freshness_seconds",
        "From an event's append in Kafka to its state in Redis (total), and what its batch took by stage",
        labels=["stage", "quantile"],
    )
    for stage, counts in together(reports).items():
        for q in QUANTILES:
            fresh.add_metric([stage, f"{q:g}"], quantile(counts, q) / 1_000)
    yield fresh


def _of_reconciliation(path: Path) -> Iterator[Metric]:
    """Nothing before the first one."""
    if not path.exists():
        return
    found = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    figures = GaugeMetricFamily(
        "kindred_reconciled",
        "What the last reconciliation compared and found, customers but for items",
        labels=["what"],
    )
    for what in RECONCILED:
        figures.add_metric([what], found.get(what, 0))
    yield figures
    at = datetime.fromisoformat(found["at"]).timestamp()
    yield GaugeMetricFamily("kindred_reconciled_timestamp_seconds", "When that was", at)
