"""What a warm start loses against a full fit: by the event log of KINDRED_DATA, asked as serving asks.

    python -m benchmarks.refresh --models als,two_tower,sasrec,blend --holdout 30

`stale` was fitted on everything before the window before the last one, `refreshed` started from it and saw that window,
`full` was fitted on the same events from nothing; all are asked for the last window, repeats included.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence

from features.items import Item
from features.offline import EventLog, interactions
from features.settings import from_environment
from features.states import RECENT
from models.contracts import Model
from pipelines.training import catalogue_of
from training import datasets, evaluation, statistics, trainer
from training.evaluation import Evaluation
from training.splits import Split, time_split
from training.trainer import Recipe

DAY_MS = 86_400_000
K = 10


def refreshed(
    recipe: Recipe, rows: datasets.Frame, holdout_ms: int, catalogue: Sequence[Item] = ()
) -> dict[str, float]:
    """NDCG@10 and seconds of each of the three, and what `refreshed` is better than the others, with intervals."""
    split = time_split(rows, holdout_ms)
    before = split.fit[split.fit["timestamp"] < int(rows["timestamp"].max()) + 1 - 2 * holdout_ms]
    old, new = (trainer.interactions_of(recipe, part, catalogue) for part in (before, split.fit))
    stale, stale_s = _timed(lambda: recipe.create().fit(old))
    warm, warm_s = _timed(lambda: stale.refreshed(new))  # type: ignore[attr-defined]
    full, full_s = _timed(lambda: recipe.create().fit(new))
    judged = {name: _judged(model, split) for name, model in (("stale", stale), ("refreshed", warm), ("full", full))}
    found = {f"{name}_ndcg": each.metrics[f"ndcg@{K}"] for name, each in judged.items()}
    for other in ("full", "stale"):
        values = (judged[name].values[f"ndcg@{K}"] for name in ("refreshed", other))
        apart = statistics.paired(*values, recipe.seed)
        found |= {f"over_{other}": apart.mean, f"over_{other}_low": apart.low, f"over_{other}_high": apart.high}
    return found | {"stale_s": stale_s, "refreshed_s": warm_s, "full_s": full_s}


def _timed(make: Callable[[], Model]) -> tuple[Model, float]:
    started = time.process_time()
    return make(), time.process_time() - started


def _judged(model: Model, split: Split) -> Evaluation:
    asked = evaluation.question(split, model.items, False, RECENT)
    return evaluation.judge(evaluation.slates(model, [asked], K)[0], asked, (K,))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a JSON line of each model and seed; seconds are of the CPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="als,two_tower")
    parser.add_argument("--holdout", type=float, default=30, help="days")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args(arguments)
    settings = from_environment()
    rows, catalogue = datasets.checked(interactions(EventLog(settings.data))), catalogue_of(settings)
    for name in given.models.split(","):
        for seed in range(given.seeds):
            found = refreshed(Recipe(name, seed), rows, int(given.holdout * DAY_MS), catalogue)
            print(json.dumps({"model": name, "seed": seed, **{key: round(value, 4) for key, value in found.items()}}))


if __name__ == "__main__":
    main()
