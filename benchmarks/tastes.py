"""Every model with its defaults where taste tells much, little or nothing: NDCG@10 of the last item of each customer.

    python -m benchmarks.tastes --models popularity,als,blend

Customers are simulated: what is taken is drawn by popularity, and with a chance of `taste` within the customer's own
group of items. Without taste nothing is better than the popular list, and a model shouldn't be much worse than it.
"""

import argparse
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipelines.benchmark import benchmark
from pipelines.benchmark_options import Options
from training.datasets import Frame

GROUPS = 20
HOUR_MS = 3_600_000


class World(NamedTuple):
    """`pairs` of each of `users` with `items`, and how often these follow taste."""

    users: int
    items: int
    pairs: int
    taste: float


WORLDS = {
    "much": World(1_000, 600, 40, 0.9),
    "some": World(1_000, 600, 17, 0.5),
    "little": World(1_000, 600, 17, 0.15),
    "none": World(1_000, 600, 17, 0.0),
}
MODELS = "popularity,trending,als,item_knn,ease,graph_filter,session_knn,blend"


def customers(world: World, seed: int = 0) -> Frame:
    """user_id, item_id and timestamp: each item once a customer, in random order, long-tailed in all and in a group."""
    rng = np.random.default_rng(seed)
    popularity = 1 / (1 + rng.permutation(world.items)) ** 0.8
    group = np.arange(world.items) % GROUPS
    rows = []
    for user in range(world.users):
        own = np.where(group == user % GROUPS, popularity, 0)
        chances = world.taste * own / own.sum() + (1 - world.taste) * popularity / popularity.sum()
        able = min(world.pairs, int((chances > 0).sum()))
        rows.append(rng.choice(world.items, able, replace=False, p=chances))
    counts = [len(each) for each in rows]
    who = np.repeat(np.arange(world.users), counts)
    times = 1_700_000_000_000 + np.concatenate([np.arange(count) for count in counts]) * HOUR_MS
    return pd.DataFrame(
        {
            "user_id": [f"u{each:05d}" for each in who],
            "item_id": [f"i{each:05d}" for each in np.concatenate(rows)],
            "timestamp": times,
        }
    )


def found(world: World, models: Sequence[str], seed: int = 0) -> dict[str, float]:
    """NDCG@10 of each model, and how far it is over the popular list: the ends of the interval (95%, paired)."""
    options = Options("leave-last-out", ("popularity", *models), (10,), compare="popularity", seed=seed)
    results = benchmark(customers(world, seed), None, options)
    told = {name: each["ndcg@10"] for name, each in results.items()}
    for name, each in results.items():
        if name != "popularity":
            for end in ("low", "high"):
                told[f"{name}_over_popularity_{end}"] = each[f"ndcg@10_minus_popularity_{end}"]
    return told


def over_seeds(world: World, models: Sequence[str], seeds: Sequence[int]) -> dict[str, float]:
    """Means of what is found in a world of each seed; NDCG@10 with `_sd` beside it, their standard deviation."""
    runs = [found(world, models, seed) for seed in seeds]
    told = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
    if len(runs) > 1:
        told |= {f"{name}_sd": float(np.std([run[name] for run in runs], ddof=1)) for name in ("popularity", *models)}
    return told


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a JSON line of each world."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=MODELS)
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1, help="So many worlds of each kind, from --seed on.")
    given = parser.parse_args(arguments)
    seeds = range(given.seed, given.seed + given.seeds)
    for name in given.worlds.split(","):
        measured = over_seeds(WORLDS[name], given.models.split(","), seeds)
        print(json.dumps({"taste": name, **{key: round(value, 4) for key, value in measured.items()}}), flush=True)


if __name__ == "__main__":
    main()
