"""Quix Streams, as its documentation has it: a stateful update by key, state in RocksDB.

It runs in an environment of its own and therefore imports nothing that only Kindred's has. Changelog topics are off,
which is to its favour: it writes nothing to Kafka, and a lost disk loses its state.
"""

import tempfile
import uuid
from datetime import datetime
from typing import Any

from quixstreams import Application, State  # type: ignore[import-not-found,unused-ignore]  # in its own environment

from benchmarks.streaming.meter import Meter, Result

WEIGHTS = {"Product Viewed": 1, "Product Added": 3, "Order Completed": 5}
TOUCHES = 100


def run(bootstrap: str, topic: str, _redis_url: str, n_events: int) -> Result:
    """Folds so many events."""
    with tempfile.TemporaryDirectory() as folder:
        app = Application(
            broker_address=bootstrap,
            consumer_group=f"quix-{uuid.uuid4().hex}",
            auto_offset_reset="earliest",
            state_dir=folder,
            auto_create_topics=False,
            use_changelog_topics=False,
            loglevel="WARNING",
        )
        meter, done = Meter(), 0

        def update(event: dict[str, Any], state: State) -> None:
            nonlocal done
            meter.first()
            done += 1
            fold(event, state)

        stream = app.dataframe(app.topic(topic, value_deserializer="json", key_deserializer="str"))
        stream.update(update, stateful=True)
        app.run(count=n_events, timeout=30, collect=False)
        return meter.result(done)


def fold(event: dict[str, Any], state: State) -> None:
    """Hours under keys of their own, so that what is read and written for an event stays small."""
    name, line = event["event"], event["properties"]
    at = datetime.fromisoformat(event["timestamp"])
    hour = f"hour:{at:%Y%m%d%H}"
    hours = state.get(hour, {})
    hours[name] = hours.get(name, 0) + 1
    state.set(hour, hours)
    profile = state.get("profile") or {"counts": {}, "affinity": {}, "cents": 0, "recent": []}
    profile["counts"][name] = profile["counts"].get(name, 0) + 1
    for each in line.get("products") or [line]:
        category = each["category"]
        profile["affinity"][category] = profile["affinity"].get(category, 0) + WEIGHTS[name]
        profile["recent"].append([event["timestamp"], each["product_id"]])
        if name == "Order Completed":
            profile["cents"] += round(each["price"] * 100) * each["quantity"]
    profile["recent"] = sorted(profile["recent"])[-TOUCHES:]
    state.set("profile", profile)
