"""Consume and decode with msgspec, and forget: no processor in Python can be faster than this."""

import uuid

from benchmarks.streaming.meter import Meter, Result
from benchmarks.streaming.peers.reading import batches, consumer, decode


def run(bootstrap: str, topic: str, _redis_url: str, n_events: int) -> Result:
    """Decodes so many events."""
    meter, done = Meter(), 0
    kafka = consumer(bootstrap, f"ceiling-{uuid.uuid4().hex}")
    for batch in batches(kafka, topic, n_events, 5_000, meter):
        done += len([decode(message.value() or b"") for message in batch])
    result = meter.result(done)
    kafka.close()
    return result
