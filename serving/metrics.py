"""Kindred's own metrics, labelled by route template and never by a path or an id."""

import os

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

REQUESTS = Counter("kindred_requests", "Requests by route and HTTP status", ["route", "status"])
SECONDS = Histogram(
    "kindred_request_seconds",
    "Time to answer by route",
    ["route"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
HOOKS_FAILED = Counter("kindred_hooks_failed", "Answers that a hook could not be told of, by hook", ["hook"])
EXPOSURES = Counter("kindred_exposures", "Slates by whether they were logged, or why not", ["outcome"])
EVENTS = Counter("kindred_events", "Events from callers by outcome", ["outcome"])


def exposition() -> tuple[bytes, str]:
    """All metrics of all workers as Prometheus reads them, and their content type."""
    registry: CollectorRegistry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ or "prometheus_multiproc_dir" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
