"""From how many events on a history is learned from visit by visit: `visits_beyond` of the models' configurations.

    python -m benchmarks.select_visits --data ../shared/data

By validation data alone: of RetailRocket a purchase of each buyer, drawn at random, without whatever else the buyer did
with that item, as its test part has it; of Online Retail the two windows of 30 days before the last 30, with repeats,
and without beside it. Prints a line a model and bound; the last bound leaves every history whole. What was chosen:
benchmarks/quality.md, "Visits".
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from models import create
from models.interactions import Interactions
from pipelines.benchmark_input import read
from pipelines.imports.columns import mapping_from
from training import datasets, evaluation
from training.datasets import Frame
from training.splits import Split, time_split

BOUNDS = (50, 100, 200, 400, 800, 0)
MODELS = ("session_knn", "als", "graph_filter", "item_knn")
WINDOW_MS = 30 * 86_400_000
ORDER = "Order Completed"


def one_purchase(rows: Frame, seed: int) -> Split:
    """A purchase of everybody who bought two items or more; nothing else of that pair is known."""
    bought = rows[rows["event"] == ORDER].drop_duplicates(["user_id", "item_id"])
    bought = bought[bought.groupby("user_id")["item_id"].transform("size") > 1]
    asked = bought.sample(frac=1, random_state=seed).drop_duplicates("user_id")
    pairs = set(zip(asked["user_id"], asked["item_id"], strict=True))
    known = rows[[pair not in pairs for pair in zip(rows["user_id"], rows["item_id"], strict=True)]]
    return Split(known, known, asked[asked["user_id"].isin(known["user_id"].unique())])


def windows(rows: Frame, count: int) -> list[Split]:
    """The `count` windows before the last one, the newest first."""
    found = []
    for _ in range(count):
        rows = time_split(rows, WINDOW_MS).fit
        found.append(time_split(rows, WINDOW_MS))
    return found


def cases(folder: Path) -> Iterator[tuple[str, Split, Sequence[bool]]]:
    """The name of the data, the split, and with which masks it is asked."""
    rocket = read(folder / "retailrocket" / "events_train.csv.gz", None, mapping_from(), "leave-last-out")
    yield "retailrocket", one_purchase(datasets.checked(rocket.train), seed=3), (True,)
    shop = read(folder / "online_retail.csv.gz", None, mapping_from(preset="online-retail"), "time-split")
    for number, split in enumerate(windows(datasets.checked(shop.train), 2), 1):
        yield f"online-retail {number}", split, (False, True)


def found(split: Split, masks: Sequence[bool], model: str, bound: int) -> Mapping[str, float]:
    """NDCG@10, and `_new` without repeats, of the model with its defaults and histories cut from `bound` on."""
    learned: Interactions = datasets.interactions(split.fit)
    fitted = create(model, params={"visits_beyond": bound}).fit(learned)
    asked = [evaluation.question(split, learned.items, mask) for mask in masks]
    slates = evaluation.slates(fitted, asked, 10)
    values = [evaluation.judge(each, to, (10,)).metrics["ndcg@10"] for each, to in zip(slates, asked, strict=True)]
    return dict(zip(("ndcg@10", "ndcg@10_new"), (round(value, 4) for value in values), strict=False))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a JSON line of each data, model and bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", default=",".join(MODELS))
    given = parser.parse_args(arguments)
    for name, split, masks in cases(given.data):
        for model in given.models.split(","):
            for bound in BOUNDS:
                line = {"data": name, "model": model, "visits_beyond": bound, **found(split, masks, model, bound)}
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
