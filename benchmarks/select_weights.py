"""What events should weigh (features.weights.WEIGHTS), by validation data alone; prints the table it was judged by.

    KINDRED_DATA=.kindred/demo python -m benchmarks.select_weights --data ../shared/data

The grid and the rule stood here before the first run. A view weighs 1. Data: the newest tenth of the training rows of
each RetailRocket buyer; and of the event log of KINDRED_DATA, a simulated shop, the 30 days before the last 30. What is
to be found are orders, repeats included. Online Retail has orders alone: no other event's weight can be learned there.

Rule: of each model and data set the NDCG@10 over that of the weights as they are, and the mean of these. The weights
stay unless others are better by more than CLOSE: every live state is folded with them, and a change makes a new
generation.
"""

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from features.offline import EventLog, interactions
from features.settings import from_environment
from features.weights import WEIGHTS
from models import create
from pipelines.benchmark_input import read
from pipelines.imports.columns import mapping_from
from training import datasets, evaluation
from training.splits import Split, time_split
from training.trainer import TARGET
from training.tuning import weighed
from training.validation import validation

HOLDOUT_MS = 30 * 86_400_000
CARTS, ORDERS = (1.0, 3.0, 8.0), (1.0, 5.0, 20.0)  # 3 and 5 are as they are
MODELS = ("als", "item_knn")
CLOSE = 0.01


def rocket(folder: Path) -> Split:
    """Orders among the newest tenth of each buyer's training rows."""
    rows = read(folder / "retailrocket" / "events_train.csv.gz", None, mapping_from(), "leave-last-out").train
    known = datasets.checked(rows)
    return validation(Split(known, known, known), "split", target=TARGET)


def shop(data: Path) -> Split:
    """Orders of the 30 days before the last 30 of an event log."""
    before = time_split(datasets.checked(interactions(EventLog(data))), HOLDOUT_MS).fit
    return time_split(before, HOLDOUT_MS, TARGET)


def found(split: Split, model: str, cart: float, order: float) -> float:
    """NDCG@10 with these weights."""
    split = weighed(split, weights_of(cart, order))
    fitted = create(model).fit(datasets.interactions(split.fit))
    return evaluation.evaluate(fitted, split, (10,), mask=False)["ndcg@10"]


def weights_of(cart: float, order: float) -> dict[str, float]:
    """All events' weights; a wish lies between a view and a cart, and a refund takes back what an order is worth."""
    known = {name: float(weight) for name, weight in WEIGHTS.items()}
    wish = (1 + cart) / 2
    return known | {
        "Product Added to Wishlist": wish,
        "Product Added": cart,
        "Order Completed": order,
        "Order Refunded": -order,
    }


def judged(table: Mapping[tuple[float, float], Sequence[float]]) -> dict[tuple[float, float], float]:
    """The mean over data and models of what each weights give over those that are."""
    now = np.array(table[WEIGHTS["Product Added"], WEIGHTS["Order Completed"]])
    return {weights: float((np.array(values) / now).mean()) for weights, values in table.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a JSON line of each weights, and what the rule says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args(arguments)
    splits = (rocket(given.data), shop(from_environment().data))
    table = {}
    for cart, order in itertools.product(CARTS, ORDERS):
        table[cart, order] = [found(split, model, cart, order) for split in splits for model in MODELS]
        print(
            json.dumps({"cart": cart, "order": order, "ndcg@10": [round(v, 4) for v in table[cart, order]]}), flush=True
        )
    relative = judged(table)
    best = max(relative, key=lambda weights: relative[weights])
    chosen = best if relative[best] > 1 + CLOSE else (WEIGHTS["Product Added"], WEIGHTS["Order Completed"])
    shown = {f"{cart:g}, {order:g}": round(value, 4) for (cart, order), value in relative.items()}
    print(json.dumps({"relative": shown, "best": best, "chosen": chosen}))


if __name__ == "__main__":
    main()
