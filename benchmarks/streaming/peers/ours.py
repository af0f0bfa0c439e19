"""Kindred's own processor, unchanged, in a data folder of its own: `kindred stream` until it has taken all events."""

import tempfile
from pathlib import Path

from benchmarks.streaming.meter import Meter, Result
from features.compiled import warm
from features.kafka.consumer import Consumer, Record
from features.online import connect
from features.settings import Settings
from pipelines.stream import run as stream
from pipelines.stream import session


def run(bootstrap: str, topic: str, redis_url: str, n_events: int) -> Result:
    """Processes so many events; the processor is done with a batch before it asks whether to stop.

    Raises:  ValueError: another topic than the one that it reads.
    """
    if topic != "events":
        raise ValueError(f"kindred stream reads the topic events, not {topic}")
    warm()  # kernels are loaded as modules are: before what is measured
    meter, done = Meter(), 0

    class Counting(Consumer):
        def poll_batch(self, max_records: int, timeout_s: float) -> list[Record]:
            nonlocal done
            records = super().poll_batch(max_records, timeout_s)
            if records:
                meter.first()
            done += sum(record.topic == topic for record in records)
            return records

    # The only way in that changes nothing of what is measured.
    session.Consumer = Counting  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder), kafka=bootstrap, redis=redis_url)
        stream(settings, connect(redis_url), lambda: done >= n_events)
        return meter.result(done)
