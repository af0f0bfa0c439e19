"""Point-in-time frames against what a bare join costs: `python -m benchmarks.offline [--events 5000000] [--runs 3]`.

The log is Parquet in the event log's own schema, written from arrays: the bytes of each event as it came are empty, and
no broker or fold takes part. 100,000 customers, some far busier than others; 70% views, 15% into the cart, 5% orders of
one to three lines, 10% pages, over 180 days; 1% of the events become known up to three days late. 500,000 labels of
any customer, at any moment of the second half.

- asof: DuckDB's bare ASOF join of the labels with the events and ten of their columns; nothing is added up;
- sums: `training_frame` with ten features: counts, a sum, a mean and a ratio over windows of an hour and more;
- keys: `training_frame` with the number of different items, the favourite category and the newest item;
- oracle: `pandas.merge_asof` with a running number of orders, which the column `orders` of sums must equal.

Each runs in a process of its own. Time includes reading the log; memory is the largest resident set.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from features.columns import EVENT_NUMBERS, EVENT_TEXTS, LINE_TEXTS, MISSING, NAMES, Events, Text
from features.feature import count, distinct, last, mean, ratio, top, total
from features.offline import EventLog, append_columns, training_frame
from features.table import table

CUSTOMERS, ITEMS, CATEGORIES, SEGMENT = 100_000, 20_000, 40, 200_000
START, DAY = 1_767_225_600_000, 86_400_000
SPAN = 180 * DAY
VIEW, ADD, ORDER = "Product Viewed", "Product Added", "Order Completed"
MIX = {VIEW: 0.70, ADD: 0.15, ORDER: 0.05, "page": 0.10}
SUMS = table(
    [
        *(count(f"views_{window}", VIEW, window) for window in ("1h", "24h", "7d", "30d", "90d")),
        count("adds_30d", ADD, "30d"),
        count("orders", ORDER),
        total("spend_90d", ORDER, "90d", of="cents"),
        mean("price_30d", VIEW, "30d", of="price"),
        ratio("rate_30d", "adds_30d", "views_30d"),
    ]
)
KEYS = table(
    [
        distinct("items_30d", VIEW, "30d", by="item"),
        top("category_90d", VIEW, "90d", by="category"),
        last("newest_item", VIEW, by="item"),
    ]
)
TEN = (
    "total",
    "discount",
    "shipping",
    "tax",
    "available_at",
    "received_at",
    "message_hash",
    "offset",
    "layout",
    "event",
)


def write_log(folder: Path, events: int) -> None:
    """The log of so many events; the same each time."""
    random = np.random.default_rng(0)
    often = np.cumsum(1 / np.arange(1, CUSTOMERS + 1) ** 0.8)
    customers = [f"u:{number:06d}" for number in range(CUSTOMERS)]
    source = EventLog(folder).source("events.bench.p1")
    for first in range(0, events, SEGMENT):
        n = min(SEGMENT, events - first)
        known = START + (np.arange(first, first + n) * (SPAN / events)).astype(np.int64)
        customer = Text(np.searchsorted(often / often[-1], random.random(n)).astype(np.int32), customers)
        columns = _events(random, customer, known)
        names = [NAMES[code] for code in columns.name.tolist()]
        offsets, fresh = np.arange(first, first + n), np.zeros(n, np.bool_)
        append_columns(source, 0, first, first + n, columns, names, [""] * n, offsets, fresh, [b""] * n)


def _events(random: np.random.Generator, customer: Text, known: np.ndarray) -> Events:
    n = len(known)
    kinds = list(MIX)
    kind = random.choice(len(kinds), n, p=list(MIX.values()))
    orders = kind == kinds.index(ORDER)
    lines = np.where(orders, random.integers(1, 4, n), (kind < kinds.index("page")).astype(np.int64))
    line_of = np.repeat(np.arange(n, dtype=np.int32), lines)
    m = len(line_of)
    item = (ITEMS * random.random(m) ** 2).astype(np.int32)
    price = 100 + item.astype(np.int64) % 7_919
    pieces = np.where(orders[line_of], random.integers(1, 4, m), 1)
    late = np.where(random.random(n) < 0.01, random.random(n) ** 3 * 3 * DAY, 0).astype(np.int64)
    total = np.bincount(line_of, weights=price * pieces, minlength=n).astype(np.int64)
    none = Text(np.zeros(n, np.int32), [""])
    texts = {name: Text(np.zeros(m, np.int32), [""]) for name in LINE_TEXTS}
    texts["item"] = Text(item, [f"item-{number:05d}" for number in range(ITEMS)])
    texts["category"] = Text(item % CATEGORIES, [f"category {number}" for number in range(CATEGORIES)])
    return Events(
        customer=customer,
        name=np.array([NAMES.index(name) for name in kinds], np.int16)[kind],
        time=known - late,
        received=known,
        available=known,
        message=random.integers(0, 2**63, n).astype(np.uint64),
        trusted=np.ones(n, np.bool_),
        numbers={
            name: np.where(orders, total // by, MISSING) for name, by in zip(EVENT_NUMBERS, (1, 10, 20, 5), strict=True)
        },
        texts=dict.fromkeys(EVENT_TEXTS, none),
        line_of=line_of,
        line_numbers={"pieces": pieces, "cents": pieces * price, "price": price},
        line_texts=texts,
    )


def labels_of(number: int) -> pd.DataFrame:
    """So many labels; the same each time."""
    random = np.random.default_rng(1)
    users = np.char.add("u:", np.char.zfill(random.integers(0, CUSTOMERS, number).astype(str), 6))
    as_of = START + (SPAN / 2 * (1 + random.random(number))).astype(np.int64)
    return pd.DataFrame({"user_id": pd.Series(users, dtype="str"), "as_of": as_of})


def asof(folder: Path, labels: pd.DataFrame, _: int) -> pd.DataFrame:
    """The bare join."""
    picked = ", ".join(f'e."{name}"' for name in TEN)
    with duckdb.connect() as connection:
        connection.execute(f"SET threads = {os.cpu_count()}")
        connection.register("labels", labels)
        found: pd.DataFrame = connection.execute(
            f"SELECT l.*, {picked} FROM labels l ASOF LEFT JOIN "  # noqa: S608 - our own names
            f"(SELECT * FROM {_parquet(folder)} WHERE NOT duplicate) e "
            "ON l.user_id = e.customer AND l.as_of >= e.event_time"
        ).df()
    return found


def sums(folder: Path, labels: pd.DataFrame, memory_mb: int) -> pd.DataFrame:
    """Ours, ten features that add up."""
    return training_frame(EventLog(folder), labels, SUMS.features, SUMS, memory_mb=memory_mb)


def keys(folder: Path, labels: pd.DataFrame, memory_mb: int) -> pd.DataFrame:
    """Ours, three features by key."""
    return training_frame(EventLog(folder), labels, KEYS.features, KEYS, memory_mb=memory_mb)


def oracle(folder: Path, labels: pd.DataFrame, _: int) -> pd.DataFrame:
    """The running number of orders known at each label, by pandas."""
    with duckdb.connect() as connection:
        orders = connection.execute(
            f"SELECT customer AS user_id, available_at AS as_of FROM {_parquet(folder)} "  # noqa: S608 - our own names
            f"WHERE NOT duplicate AND event = '{ORDER}'"
        ).df()
    orders = orders.sort_values("as_of", kind="stable").astype({"user_id": "str"})
    orders["orders"] = orders.groupby("user_id").cumcount() + 1
    ordered = labels.assign(row=np.arange(len(labels))).sort_values("as_of", kind="stable")
    joined = pd.merge_asof(ordered, orders, on="as_of", by="user_id").sort_values("row")
    return joined[["orders"]].fillna(0).astype(np.int64).reset_index(drop=True)


CONTENDERS: dict[str, Callable[[Path, pd.DataFrame, int], pd.DataFrame]] = {
    "asof": asof,
    "sums": sums,
    "keys": keys,
    "oracle": oracle,
}


def _parquet(folder: Path) -> str:
    return f"read_parquet('{folder}/events/*/*/*.parquet', hive_partitioning = false)"


def measure(name: str, folder: Path, number: int, memory_mb: int) -> dict[str, Any]:
    """One run of a contender, in this process."""
    labels = labels_of(number)
    wall, cpu = time.perf_counter(), time.process_time()
    found = CONTENDERS[name](folder, labels, memory_mb)
    taken = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if "orders" in found:
        np.save(folder / f"{name}.npy", found["orders"].to_numpy())
    return {**taken, "rss_mb": peak, "rows": len(found)}


def compare(folder: Path, names: list[str], asked: argparse.Namespace) -> dict[str, Any]:
    """Median of each contender's runs, in turn so that what else the machine does meets all of them."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(asked.runs):
        for name in names:
            options = ["--one", name, "--folder", folder, "--labels", asked.labels, "--memory-mb", asked.memory_mb]
            command = [sys.executable, "-m", "benchmarks.offline", *map(str, options)]
            runs[name].append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
    medians = {
        name: {key: round(statistics.median(run[key] for run in mine), 2) for key in ("wall_s", "cpu_s", "rss_mb")}
        for name, mine in runs.items()
    }
    if {"sums", "oracle"} <= set(names) and not np.array_equal(
        np.load(folder / "sums.npy"), np.load(folder / "oracle.npy")
    ):
        raise SystemExit("the column orders differs from what pandas.merge_asof finds")
    return medians


def report(medians: dict[str, Any]) -> str:
    """The medians as a table, each beside the bare join."""
    base = medians.get("asof")
    lines = [
        "| contender | wall s | CPU s | peak RSS MB | wall | CPU | RSS |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in medians.items():
        ratios = [f"{row[key] / base[key]:.2f}x" if base else "" for key in row]
        lines.append(f"| {name} | {' | '.join(f'{value:g}' for value in row.values())} | {' | '.join(ratios)} |")
    return "\n".join(lines)


def main() -> None:
    """Write the log, run the contenders, print the table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--labels", type=int, default=500_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--memory-mb", type=int, default=3_000)
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--folder", type=Path, help="where the log lies already; by default it is written first")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one, asked.folder, asked.labels, asked.memory_mb)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        if not (folder / "events").is_dir():
            write_log(folder, asked.events)
        medians = compare(folder, asked.contenders.split(","), asked)
    about = {"events": asked.events, "labels": asked.labels, "runs": asked.runs, "cpus": os.cpu_count()}
    print(report(medians))
    print(json.dumps({**about, "machine": platform.machine(), "contenders": medians}))


if __name__ == "__main__":
    main()
