"""What most live profiles are made of: some Redis commands an event, in a pipeline, then Kafka's offsets.

A crash between the two counts a batch twice: at least once.
"""

import uuid

import redis

from benchmarks.streaming.meter import Meter, Result
from benchmarks.streaming.peers.reading import WEIGHTS, Message, batches, consumer, decode

BATCH, TOUCHES = 1_000, 100
HOUR_MS = 3_600_000


def run(bootstrap: str, topic: str, redis_url: str, n_events: int) -> Result:
    """Counts so many events into hashes and sorted sets."""
    client = redis.Redis.from_url(redis_url)
    meter, done = Meter(), 0
    kafka = consumer(bootstrap, f"commands-{uuid.uuid4().hex}")
    for batch in batches(kafka, topic, n_events, BATCH, meter):
        with client.pipeline(transaction=False) as pipe:
            for message in batch:
                _count(pipe, decode(message.value() or b""))
            pipe.execute()
        kafka.commit(asynchronous=False)
        done += len(batch)
    result = meter.result(done)
    kafka.close()
    client.close()
    return result


def _count(pipe: "redis.client.Pipeline", event: Message) -> None:
    """Five commands, and one more for an order."""
    profile, recent = f"p:{event.user_id}", f"r:{event.user_id}"
    at = int(event.timestamp.timestamp() * 1_000)
    pipe.hincrby(profile, event.event, 1)
    pipe.hincrby(profile, f"{event.event}:{at // HOUR_MS}", 1)
    for line in event.properties.products or [event.properties]:
        pipe.hincrby(profile, f"category:{line.category}", WEIGHTS[event.event])
        pipe.zadd(recent, {f"{line.product_id}:{event.message_id}": at})
        if event.event == "Order Completed":
            pipe.hincrby(profile, "cents", round(line.price * 100) * line.quantity)
    pipe.zremrangebyrank(recent, 0, -TOUCHES - 1)
