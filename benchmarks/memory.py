"""Memory of live profiles in Redis: `python -m benchmarks.memory [--customers 1000000]`.

The activity that is measured, per customer: events log-normal with median 4 (mean about 10, at most 2,000), in sessions
of up to a dozen events spread over 180 days; 82% views, 8% into the cart, 4% orders, 6% searches; 10,000 items, popular
ones more often, of 40 categories and 200 brands. Every customer keeps what de-duplication needs (the messages of the
last 24 hours). The states are those that the stream processor writes, under its keys, in a Redis of its own. Printed
too is what reading a state costs, in CPU time of one process: five windows, and everything that the state can say.
"""

import argparse
import contextlib
import json
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from features.checks import entity_of
from features.columns import (
    EVENT_NUMBERS,
    EVENT_TEXTS,
    LINE_NUMBERS,
    LINE_TEXTS,
    MISSING,
    NAMES,
    Events,
    Text,
)
from features.definitions import FEATURES
from features.folds import fold
from features.online import Client, connect
from features.online.server import start_command
from features.online.state import bucket_of_customer, state_key
from features.packing import pack
from features.profiles import Profile
from features.states import no_states
from pipelines.processes import Children

CHUNK = 10_000
READ = 2_000  # states that are read for the time it takes
FIVE = ("views_24h", "views_7d", "adds_30d", "orders_90d", "spend_365d")
BUCKETS = 64
END = 1_767_225_600_000
MIX = (("Product Viewed", 0.82), ("Product Added", 0.08), ("Order Completed", 0.04), ("Products Searched", 0.06))


def activity(random: np.random.Generator, customers: int) -> tuple[Events, np.ndarray]:
    """Events of so many customers in the order of time, and each one's customer."""
    numbers = np.clip(np.rint(random.lognormal(np.log(4), 1.35, customers)), 1, 2_000).astype(np.int64)
    owner = np.repeat(np.arange(customers), numbers)
    n = len(owner)
    session = random.integers(0, np.maximum(numbers // 6, 1)[owner] + 1)
    begin = (owner * 7_919 + session * 104_729) % 15_552_000
    times = END - (15_552_000 - begin) * 1_000 + random.integers(0, 1_800_000, n)
    order = np.argsort(times, kind="stable")
    owner, times = owner[order], times[order]
    names = random.choice([NAMES.index(name) for name, _ in MIX], n, p=[share for _, share in MIX]).astype(np.int16)
    lined = np.flatnonzero(names != NAMES.index("Products Searched"))
    item = (random.power(0.3, len(lined)) * 10_000).astype(np.int64)
    price = (item * 37 % 9_900 + 100).astype(np.int64)
    texts = {name: Text(np.zeros(n, np.int32), [""]) for name in EVENT_TEXTS}
    texts |= {
        "currency": Text(np.zeros(n, np.int32), ["GBP"]),
        "device": Text(random.integers(0, 2, n).astype(np.int32), ["mobile", "desktop"]),
        "country": Text(np.zeros(n, np.int32), ["GB"]),
    }
    lines = {name: Text(np.zeros(len(lined), np.int32), [""]) for name in LINE_TEXTS}
    lines |= {
        "item": Text(item.astype(np.int32), [f"sku-{number:05d}" for number in range(10_000)]),
        "category": Text((item % 40).astype(np.int32), [f"category {number}" for number in range(40)]),
        "brand": Text((item % 200).astype(np.int32), [f"brand {number}" for number in range(200)]),
    }
    amounts = {"pieces": np.ones(len(lined), np.int64), "cents": price, "price": price}
    return Events(
        customer=Text(owner.astype(np.int32), [str(number) for number in range(customers)]),
        name=names,
        time=times,
        received=times + 200,
        available=times + 250,
        message=random.integers(0, 2**63, n).astype(np.uint64),
        trusted=np.ones(n, np.bool_),
        numbers={name: np.full(n, MISSING) for name in EVENT_NUMBERS},
        texts=texts,
        line_of=lined.astype(np.int32),
        line_numbers={name: amounts[name] for name in LINE_NUMBERS},
        line_texts=lines,
    ), owner


def read_us(states: list[bytes], names: Sequence[str]) -> dict[str, int]:
    """Microseconds of CPU to unpack a state and read features of it."""
    took = []
    for state in states:
        began = time.process_time_ns()
        Profile([state]).features(END, names)
        took.append((time.process_time_ns() - began) / 1_000)
    return {"median": round(float(np.median(took))), "p99": round(float(np.percentile(took, 99)))}


@contextlib.contextmanager
def redis_alone() -> Iterator[Client]:
    """A Redis of this benchmark's own."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
        probe.close()
        children = Children(Path(folder))
        child = children.start("redis", start_command(Path(folder), port), {})
        client = connect(f"redis://127.0.0.1:{port}")
        try:
            children.wait_until(child, lambda: _answers(port), 20)
            yield client
        finally:
            client.close()
            children.stop()


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    random = np.random.default_rng(0)
    sizes: list[int] = []
    some: list[bytes] = []
    events = 0
    started = time.process_time()
    with redis_alone() as client:
        empty = int(client.info("memory")["used_memory"])
        for first in range(0, asked.customers, CHUNK):
            columns, owner = activity(random, min(CHUNK, asked.customers - first))
            packed = pack(fold(FEATURES, no_states(len(columns.customer.values)), columns, owner).states)
            events += columns.n
            sizes += [len(each) for each in packed]
            some = packed[:READ]
            with client.pipeline(transaction=False) as pipe:
                for number, state in enumerate(packed, first):
                    customer = f"u:customer-{number:07d}"
                    pipe.set(state_key(bucket_of_customer(customer, BUCKETS), FEATURES.generation, customer), state)
                pipe.execute()
        used = int(client.info("memory")["used_memory"]) - empty
    every = [name for name, feature in FEATURES.features.items() if entity_of(feature) == "customer"]
    found = {
        "customers": asked.customers,
        "events": events,
        "events_per_customer": round(events / asked.customers, 2),
        "state_bytes": {
            "mean": round(float(np.mean(sizes))),
            **{f"p{q}": int(np.percentile(sizes, q)) for q in (50, 90, 99)},
            "largest": max(sizes),
        },
        "redis_bytes_per_customer": round(used / asked.customers),
        "gib_per_million_customers": round(used / asked.customers * 1_000_000 / 2**30, 3),
        "read_us_five_windows": read_us(some, FIVE),
        "read_us_all_features": read_us(some, every),
        "cpu_s": round(time.process_time() - started, 1),
    }
    print(json.dumps(found, indent=2) if asked.json else "\n".join(f"{name}: {value}" for name, value in found.items()))


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    main()
