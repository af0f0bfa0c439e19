"""What Prometheus reads of the stream processors."""

import json
import socket
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from features.definitions import FEATURES
from features.errors import BadInput
from features.events import iso
from features.kafka.consumer import Record
from features.online import connect
from pipelines.metrics import StreamCollector, served
from pipelines.reconcile import Report, keep_report
from pipelines.stream.latency import Latency
from pipelines.stream.reports import Reports

T = 1_767_225_600_000


def told(text: str) -> dict[tuple[str, ...], float]:
    """Values by name and labels, these in the order of their names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(url: str, data: Path) -> dict[tuple[str, ...], float]:
    registry = CollectorRegistry()
    registry.register(StreamCollector(connect(url), data))
    return told(generate_latest(registry).decode())


def report(url: str, events: int, waiting: int) -> None:
    """One worker's report of a batch that took 40 ms to fold, of records 10 ms old."""
    latency = Latency()
    clock = iter([T + 10.0, T + 10.0, T + 50.0, T + 50.0, T + 50.0])
    records = [Record("events", 0, n, b"k", b"v", T, ()) for n in range(events)]
    took = latency.batch(records, lambda: next(clock))
    for stage in ("decode", "fold", "log", "commit"):
        took(stage)
    latency.count(events=events, duplicates=2, dead_letters=1)
    Reports(connect(url), FEATURES.generation).publish(latency, {("events", 0): waiting, ("events", 1): 1})


def test_events_lag_and_freshness_of_all_workers_are_told(redis_server: str, tmp_path: Path) -> None:
    report(redis_server, events=30, waiting=5)
    report(redis_server, events=70, waiting=0)
    found = scraped(redis_server, tmp_path)
    by_outcome: Counter[str] = Counter()
    for name, value in found.items():
        if name[0] == "kindred_stream_events_total":
            by_outcome[name[1]] += int(value)
    assert (by_outcome["events"], by_outcome["duplicates"], by_outcome["dead_letters"]) == (100, 4, 2)
    assert found["kindred_stream_workers",] == 2
    assert found["kindred_stream_lag", "events"] == 7
    assert found["kindred_stream_freshness_seconds", "0.5", "fold"] == pytest.approx(0.040, rel=0.1)
    assert found["kindred_stream_freshness_seconds", "0.99", "total"] == pytest.approx(0.050, rel=0.1)


def test_what_the_last_reconciliation_found_is_told(redis_server: str, tmp_path: Path) -> None:
    assert not any(name[0].startswith("kindred_reconciled") for name in scraped(redis_server, tmp_path))
    keep_report(tmp_path, Report("046c67", customers=9, missing=2, repaired=2, items=3), T)
    found = scraped(redis_server, tmp_path)
    assert found["kindred_reconciled", "missing"] == 2
    assert found["kindred_reconciled", "items"] == 3
    assert found["kindred_reconciled_timestamp_seconds",] == T / 1_000
    assert iso(T) == json.loads((tmp_path / "reconcile.json").read_text())["at"]


def test_while_redis_is_away_that_is_told(tmp_path: Path) -> None:
    found = scraped("redis://127.0.0.1:1", tmp_path)
    assert found == {("kindred_stream_redis_up",): 0}


def test_a_scrape_over_http_is_answered_while_it_runs_and_no_longer(redis_server: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    with served(lambda: connect(redis_server), tmp_path, "127.0.0.1", port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            assert told(answer.read().decode())["kindred_stream_redis_up",] == 1
        with (
            pytest.raises(BadInput, match=f"metrics can't be served on 127.0.0.1:{port}"),
            served(lambda: connect(redis_server), tmp_path, "127.0.0.1", port),
        ):
            pass
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_without_a_port_nothing_is_served(tmp_path: Path) -> None:
    with served(lambda: pytest.fail("no Redis is asked"), tmp_path, "127.0.0.1", 0):
        pass
