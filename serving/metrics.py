"""Kindred's own metrics, labelled by route template and never by a path or an id."""

import os
from functools import cache

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

REQUESTS = Counter("kindred_requests", "Requests by route and HTTP status", ["route", "status"])
SECONDS = Histogram(
    "kindred_request_seconds",
    "Time to answer by route",
    ["route"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
HOOKS_FAILED = Counter("kindred_hooks_failed", "Answers that a hook could not be told of, by hook", ["hook"])
MODELS_FAILED = Counter("kindred_models_failed", "Slates that a model failed on, by model", ["model"])
DEGRADED = Counter("kindred_degraded", "Slates that had to do without something, by what it was", ["missing"])
EXPOSURES = Counter("kindred_exposures", "Slates by whether they were logged, or why not", ["outcome"])
SERVING = Gauge(
    "kindred_champion_version", "Version that is served, by model", ["model"], multiprocess_mode="mostrecent"
)
UNGATED = Gauge(
    "kindred_champion_ungated", "1 where no gate saw the champion", ["model"], multiprocess_mode="mostrecent"
)
SWAPS = Counter("kindred_swaps", "Champions that were put in place, by model", ["model"])
REFUSED = Counter("kindred_refused_versions", "Versions that could not be loaded, by model", ["model"])
CANARY_ANSWERS = Counter("kindred_canary_answers", "Answers while a canary is tried, by arm", ["arm"])
CANARY_ERRORS = Counter("kindred_canary_errors", "Decisions that failed while a canary is tried, by arm", ["arm"])
ENDED = Counter("kindred_trials_ended", "Trials that ended by themselves, by model and how", ["model", "how"])
SHADOW_ERRORS = Counter("kindred_shadow_errors", "Decisions of a shadow that failed")
SHADOW_SECONDS = Histogram(
    "kindred_shadow_seconds", "Time of a shadow to decide", buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)
)
SHADOW_OVERLAP = Histogram(
    "kindred_shadow_overlap", "Part of a slate that the shadow shows too", buckets=(0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
)
ACTIONS = Counter("kindred_actions_files", "Files of business actions by outcome", ["outcome"])
EVENTS = Counter("kindred_events", "Events from callers by outcome", ["outcome"])


@cache
def requests_of(route: str, status: int) -> Counter:
    """The counter of one route and status; looked up once, since labels take 5 us."""
    return REQUESTS.labels(route, str(status))


@cache
def exposures_of(outcome: str) -> Counter:
    """The counter of one outcome of logging a slate."""
    return EXPOSURES.labels(outcome)


@cache
def seconds_of(route: str) -> Histogram:
    """The histogram of one route."""
    return SECONDS.labels(route)


def exposition() -> tuple[bytes, str]:
    """All metrics of all workers as Prometheus reads them, and their content type."""
    registry: CollectorRegistry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ or "prometheus_multiproc_dir" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
