"""A shop's events, seeded and fast to make: views, additions and orders of one line, 300 to 400 bytes each.

`kindred simulate` makes a shop with a truth behind its events; this one only has the shape that a processor feels: few
customers who do much and many who do little, a catalogue of the same kind, times that go on.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import confluent_kafka
import numpy as np
from numpy.typing import NDArray

START_MS = 1_767_225_600_000  # 2026-01-01
NAMES, SHARES = ("Product Viewed", "Product Added", "Order Completed"), (0.78, 0.14, 0.08)
CATEGORIES, BRANDS = 24, 40
CHUNK = 50_000


@dataclass(frozen=True)
class Traffic:
    """So many events, evenly over so many days; customers and items by Zipf's law."""

    events: int
    customers: int = 20_000
    items: int = 2_000
    days: int = 7
    seed: int = 0


def messages(traffic: Traffic) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) in time order; the same traffic gives the same bytes."""
    random = np.random.default_rng(traffic.seed)
    lines = _lines(traffic, random)
    for start in range(0, traffic.events, CHUNK):
        count = min(CHUNK, traffic.events - start)
        customers = random.choice(traffic.customers, count, p=_zipf(traffic.customers)).tolist()
        items = random.choice(traffic.items, count, p=_zipf(traffic.items)).tolist()
        names = random.choice(len(NAMES), count, p=SHARES).tolist()
        times = START_MS + np.arange(start, start + count, dtype=np.int64) * traffic.days * 86_400_000 // traffic.events
        happened, arrived = _iso(times), _iso(times + random.integers(20, 400, count))
        for n in range(count):
            customer, name = f"c{customers[n]:06d}", NAMES[names[n]]
            line = lines[items[n]]
            if name == "Order Completed":
                line = f'{{"order_id":"o-{start + n}","currency":"GBP","products":[{line}]}}'
            message_id = f"{traffic.seed:04x}-{start + n:08x}"
            message = (
                f'{{"type":"track","messageId":"{message_id}","anonymousId":"v{customers[n]:06d}","userId":"{customer}",'
                f'"event":"{name}","timestamp":"{happened[n]}Z","receivedAt":"{arrived[n]}Z",'
                f'"context":{{"device":{{"type":"mobile"}},"locale":"en-GB"}},"properties":{line}}}'
            )
            yield customer.encode(), message.encode()


def produce(bootstrap: str, topic: str, traffic: Traffic) -> int:
    """Puts all of it into a topic and returns its bytes; in large zstd batches, as the embedded broker needs them.

    Raises:  RuntimeError: Kafka didn't take a record.
    """
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "compression.type": "zstd",
            "linger.ms": 100,
            "batch.size": 1_000_000,
            "batch.num.messages": 10_000,
            "acks": "all",
            "enable.idempotence": True,
            "log_level": 3,  # a real Kafka that has just started makes it wait a moment, and it would say so
        }
    )
    size, refused = 0, 0

    def delivered(error: confluent_kafka.KafkaError | None, _message: confluent_kafka.Message) -> None:
        nonlocal refused
        refused += error is not None

    for key, value in messages(traffic):
        size += len(value)
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
    left = producer.flush(60)
    if left or refused:
        raise RuntimeError(f"Kafka at {bootstrap} took all events but {left + refused}")
    return size


def _lines(traffic: Traffic, random: np.random.Generator) -> list[str]:
    """One product line an item, as JSON."""
    prices = np.round(random.lognormal(3, 0.7, traffic.items) + 1, 2).tolist()
    kinds = random.integers(CATEGORIES, size=traffic.items).tolist()
    brands = random.integers(BRANDS, size=traffic.items).tolist()
    return [
        f'{{"product_id":"sku-{item:05d}","category":"category-{kinds[item]:02d}","brand":"brand-{brands[item]:02d}",'
        f'"price":{prices[item]},"quantity":1,"currency":"GBP"}}'
        for item in range(traffic.items)
    ]


def _zipf(count: int) -> NDArray[np.float64]:
    """Zipf-Mandelbrot: the most frequent of 20,000 has 0.7% of all."""
    weights = 1 / (np.arange(count) + 20.0)
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def _iso(times: NDArray[np.int64]) -> list[str]:
    texts: list[str] = np.datetime_as_string(times.astype("datetime64[ms]")).tolist()
    return texts
