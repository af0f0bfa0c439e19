"""What becomes of slates while servers are frozen or killed: `python -m benchmarks.faults`.

One service worker, an ALS of a simulated shop, slates asked for at a steady rate by eight callers, and one fault after
the other. A slate that is no 200 counts as failed; what is refused with 429 is counted apart.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import numpy as np

from pipelines import console
from tests.serving.faults import Load, frozen, killed, under_load
from tests.serving.world import World, bearer, eventually, start_service, world

COLUMNS = (
    "fault", "asked", "200", "of them degraded", "429", "5xx", "no answer", "p50 ms", "p99 ms", "worst ms", "without",
)  # fmt: skip
RECOVERY_S = 120.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=6.0, help="that each fault lasts")
    parser.add_argument("--rate", type=float, default=50.0, help="slates a second")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, world(Path(name)) as shop:
        rows = [_row(*each) for each in _all(shop, asked.seconds, asked.rate)]
    console.table(f"{asked.rate:g} slates a second, each fault for {asked.seconds:g} s", COLUMNS, rows)


def _all(shop: World, seconds: float, rate: float) -> list[tuple[str, Load]]:
    """Faults that pass first; then servers that stay away, one more each time."""

    def freezing(name: str) -> Callable[[], None]:
        def fault() -> None:
            with frozen(shop, name):
                time.sleep(seconds)

        return fault

    def events_too() -> None:
        """Events wait for a frozen Kafka; they must not take the slates' place."""
        with frozen(shop, "kafka"), httpx.Client(base_url=shop.client.base_url, timeout=0.05) as impatient:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                with suppress(httpx.HTTPError):
                    impatient.post("/v1/track", json={"userId": "u", "event": "Seen"}, headers=bearer(shop.secret))

    found = [("none", under_load(shop, lambda: None, seconds, rate))]
    for name, fault in (
        ("Redis frozen (SIGSTOP)", freezing("redis")),
        ("MLflow frozen", freezing("mlflow")),
        ("Kafka frozen, events sent meanwhile", events_too),
    ):
        found.append((name, under_load(shop, fault, 1.0, rate)))
        eventually(lambda: shop.recommend(user_id="c000001")["degraded"], lambda missing: not missing, RECOVERY_S)
    for name, of in (("MLflow", "mlflow"), ("Kafka", "kafka"), ("stream processor", "stream"), ("Redis", "redis")):
        found.append((f"{name} killed (-9)", under_load(shop, partial(killed, shop, of), seconds, rate)))
    return [*found, ("2,000/s asked, 2 in flight at most; all of the above away", _overload(shop, seconds))]


def _overload(shop: World, seconds: float) -> Load:
    """Another worker that takes on little, asked for much more; it finds no server, and serves what it was left."""
    url = start_service(replace(shop.settings, most_in_flight=2), shop.children)
    load = Load(url, shop.secret, rate=2_000, threads=24)
    with load.going():
        time.sleep(seconds)
    return load


def _row(name: str, load: Load) -> tuple[object, ...]:
    statuses = load.statuses()
    took = np.array([answer.ms for answer in load.answers if answer.status == 200])
    return (
        name,
        len(load.answers),
        statuses[200],
        sum(bool(answer.degraded) for answer in load.answers),
        statuses[429],
        sum(count for status, count in statuses.items() if status >= 500),
        statuses[0],
        *(f"{value:.1f}" for value in (*np.quantile(took, [0.5, 0.99]), took.max())),
        ", ".join(sorted(load.missing())) or "nothing",
    )


if __name__ == "__main__":
    main()
