"""The two peers that are plain confluent-kafka loops: how they read, and what of an event they decode."""

from collections.abc import Iterator
from datetime import datetime

import confluent_kafka
import msgspec
from msgspec import Struct

from benchmarks.streaming.meter import Meter

WEIGHTS = {"Product Viewed": 1, "Product Added": 3, "Order Completed": 5}
PATIENCE_S = 30.0
Batch = list[confluent_kafka.Message]


class Line(Struct, gc=False):
    """A product, or an order with its lines."""

    product_id: str = ""
    category: str = ""
    price: float = 0.0
    quantity: int = 1
    order_id: str | None = None
    products: list["Line"] = []


class Message(Struct, rename="camel", gc=False):
    """What of a message the profile needs."""

    message_id: str
    user_id: str
    event: str
    timestamp: datetime
    properties: Line


decode = msgspec.json.Decoder(Message).decode


def consumer(bootstrap: str, group: str) -> confluent_kafka.Consumer:
    """A member of a group that starts at the beginning and commits when it is told to."""
    return confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 10,
        }
    )


def batches(kafka: confluent_kafka.Consumer, topic: str, n_events: int, size: int, meter: Meter) -> Iterator[Batch]:
    """Batches of the topic's records, of `size` at most, until there were `n_events`.

    Raises:  TimeoutError: no more come; KafkaException: as the client says.
    """
    kafka.subscribe([topic])
    done = 0
    while done < n_events:
        first = kafka.poll(PATIENCE_S)
        if first is None:
            raise TimeoutError(f"{topic} holds {done} events, not {n_events}")
        meter.first()
        batch = [first, *kafka.consume(size - 1, 0)]
        if error := next((found for message in batch if (found := message.error()) is not None), None):
            raise confluent_kafka.KafkaException(error)
        done += len(batch)
        yield batch
