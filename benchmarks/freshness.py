"""From an event that was accepted over HTTP to a slate that has changed: `python -m benchmarks.freshness --kafka real`.

Everything is there: the service, Kafka, the stream processor with its log on disk, Redis, an ALS of a simulated shop.
New visitors view one item each while other visitors' events flow by at a steady rate; each visitor's slate is asked for
again and again until it reflects the view, or once with `after`. Times are those of the caller, who shares the machine.
"""

import argparse
import contextlib
import itertools
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np

from benchmarks.streaming.environments import kafka_of
from features.settings import Settings
from pipelines import console
from tests.serving.world import Json, World, bearer, ids, world

PATIENCE_S = 10.0
WARM = 20


class Seen(NamedTuple):
    """One view, ms: until it was accepted, from then until the slate reflected it; whether the items were others."""

    accepted: float
    reflected: float
    changed: bool
    in_time: bool = True

    @property
    def whole(self) -> float:
        """From sending the event to having the slate."""
        return self.accepted + self.reflected


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.freshness", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kafka", choices=["real", "embedded"], default="real")
    parser.add_argument("--rate", type=float, default=50.0, help="events a second beside those that are measured")
    parser.add_argument("--every", type=float, default=1.0, help="ms between an answer and the next time it is asked")
    parser.add_argument("--views", type=int, default=300, help="that are measured, of each kind")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        kafka_of(asked.kafka, Path(name)) as bootstrap,
        world(data := Path(name) / "shop", given=Settings(data=data, demo=True, kafka=bootstrap)) as shop,
        _flowing(shop, asked.rate),
    ):
        polled = [_view(shop, number, asked.every / 1000) for number in range(WARM + asked.views)][WARM:]
        waited = [_view(shop, number, None) for number in range(asked.views)]
    rows = [
        _row("event sent to accepted (200)", [each.accepted for each in polled]),
        _row("accepted to a slate that reflects it, asked again and again", [each.reflected for each in polled]),
        _row("event sent to that slate", [each.whole for each in polled]),
        _row("accepted to the slate asked for with `after`", [each.reflected for each in waited]),
    ]
    console.table(f"ms, {asked.kafka} Kafka, {asked.rate:g} events a second beside it", ("", "p50", "p90", "p99"), rows)
    others = np.mean([each.changed for each in polled])
    console.say(
        f"{others:.0%} of the slates held other items; {np.mean([e.in_time for e in waited]):.1%} `after` in time"
    )


def _view(shop: World, number: int, pause_s: float | None) -> Seen:
    """A new visitor sees a slate, views an item of the shop, and sees the next slate: by asking again, or with `after`.

    Args:    pause_s: between two times that it is asked; None asks once, with `after`.
    """
    visitor, item = f"visitor-{uuid.uuid4().hex}", sorted(shop.items)[number % len(shop.items)]
    before = _slate(shop, visitor)
    message_id, sent = uuid.uuid4().hex, time.perf_counter()
    event = {"anonymousId": visitor, "event": "Product Viewed", "properties": {"product_id": item}}
    shop.post("/v1/track", event | {"messageId": message_id}).raise_for_status()
    accepted = time.perf_counter()
    if pause_s is None:
        slate = _slate(shop, visitor, after=message_id)
    else:
        while (slate := _slate(shop, visitor))["as_of"] is None:
            if time.perf_counter() - accepted > PATIENCE_S:
                raise SystemExit(f"an event was not reflected within {PATIENCE_S:g} s")
            time.sleep(pause_s)
    took = time.perf_counter() - accepted
    return Seen(1000 * (accepted - sent), 1000 * took, ids(slate) != ids(before), "after" not in slate["degraded"])


def _slate(shop: World, visitor: str, **more: object) -> Json:
    return shop.recommend(anonymous_id=visitor, n=10, **more)


@contextlib.contextmanager
def _flowing(shop: World, rate: float) -> Iterator[None]:
    """Events of other visitors, evenly in time, for as long as the block runs."""
    over = threading.Event()

    def send() -> None:
        items = itertools.cycle(sorted(shop.items))
        with httpx.Client(base_url=shop.client.base_url, timeout=30) as client:
            due = time.monotonic()
            for number in itertools.count():
                due += 1 / rate
                if over.wait(max(0.0, due - time.monotonic())):
                    return
                view = {"event": "Product Viewed", "properties": {"product_id": next(items)}}
                client.post("/v1/track", json={"userId": f"b{number % 1_000}", **view}, headers=bearer(shop.secret))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        over.set()
        sender.join()


def _row(name: str, ms: list[float]) -> tuple[str, ...]:
    return (name, *(f"{value:.1f}" for value in np.quantile(ms, [0.5, 0.9, 0.99])))


if __name__ == "__main__":
    main()
