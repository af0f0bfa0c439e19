"""Memory and time of a fit by size: synthetic customers straight into each model, each in a process of its own.

python -m benchmarks.scale --users 1000000 --items 50000 --models trending,session_knn,item_knn,ease,graph_filter
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from models import create
from models.histories import Histories
from models.interactions import IdMap, Interactions

EVENTS = 10  # of each user, on average
GROUPS = 200  # of items that the same people like
LIKED = 0.7  # of what people do is within their group
ASKED = 100  # slates
DAYS = 180
DAY_MS = 86_400_000
MODELS = "trending,session_knn,item_knn,ease,graph_filter,als"


def synthetic(users: int, items: int, seed: int = 0) -> Interactions:
    """Long-tailed popularity within groups of items, geometric numbers of events, times uniform over half a year."""
    rng = np.random.default_rng(seed)
    counts = rng.geometric(1 / EVENTS, users)
    total, width = int(counts.sum()), items // GROUPS
    who = np.repeat(np.arange(users), counts)
    place = np.minimum(rng.exponential(width / 6, total).astype(np.int64), width - 1)
    group = np.where(rng.random(total) < LIKED, who % GROUPS, rng.integers(GROUPS, size=total))
    times = rng.integers(DAYS * DAY_MS, size=total)
    order = np.lexsort((times, who))
    item = (place * GROUPS + group).astype(np.int32)[order]
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    histories = Histories(indptr, item, np.ones(total, dtype=np.float32), width * GROUPS, times[order])
    people = IdMap(tuple(f"u{at:08d}" for at in range(users)))
    return Interactions(
        people, IdMap(tuple(f"i{at:06d}" for at in range(width * GROUPS))), histories, (0, DAYS * DAY_MS)
    )


def one(name: str, users: int, items: int) -> dict[str, float]:
    """Peak of this process before and after the fit, its seconds, and milliseconds of a slate."""
    world = synthetic(users, items)
    world.matrix  # noqa: B018 - made once, by the data and not by the model
    before, started = _peak_gb(), time.perf_counter()
    model = create(name).fit(world)
    seconds, peak, started = time.perf_counter() - started, _peak_gb(), time.perf_counter()
    with threadpool_limits(1):  # as serving asks
        for row in range(0, users, max(1, users // ASKED)):
            model.recommend_one(world.histories[row], 10)
    asked = (time.perf_counter() - started) * 1_000 / ASKED
    return {"data_gb": before, "peak_gb": peak, "fit_seconds": seconds, "slate_ms": asked}


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a JSON line of each model as it is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--models", default=MODELS)
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.one:
        print(json.dumps(one(given.one, given.users, given.items)))
        return
    for name in given.models.split(","):
        words = [sys.executable, "-m", "benchmarks.scale", "--one", name]
        done = subprocess.run(
            [*words, "--users", str(given.users), "--items", str(given.items)],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        found = json.loads(done.stdout) if done.returncode == 0 else {"failed": done.returncode}
        print(json.dumps({"model": name, "users": given.users, "items": given.items, **found}), flush=True)


if __name__ == "__main__":
    main()
