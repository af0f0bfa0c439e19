"""Amazon Beauty with a large sasrec, alone and in the blend: `python -m benchmarks.beauty_gpu --device cuda`.

Leave-last-out, strict, everybody asked, known items masked: as `kindred benchmark` measures it. The configuration was
chosen on validation (benchmarks/quality.md, "On a GPU"). On a card it takes minutes; on a CPU it was not tried.
"""

import argparse
from pathlib import Path

import pandas as pd

from models import blend
from models.contracts import Model
from training import datasets, evaluation, splits

MEMBERS = ("graph_filter", "als", "session_knn", "sasrec")
KS = (10, 20)


SETTINGS = {
    "embedding_size": 128,
    "dropout": 0.5,
    "learning_rate": 0.001,
    "steps": 20_000,
    "epochs": 300,
    "patience": 10,
    "members": 3,
    "full_softmax_up_to": 20_000,
}


def mixture(device: str, seed: int) -> blend.Blend:
    """A blend whose sasrec is three networks of 128 dimensions, trained long."""
    said = tuple(f"sasrec.{name}={value}" for name, value in SETTINGS.items())
    return blend.Blend(blend.BlendConfig(members=MEMBERS, member_settings=said, device=device), seed)


def main() -> None:
    """Print HR@10 and NDCG@10 of the blend and of each of its members."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows = pd.read_csv(given.data / "beauty.csv.gz", dtype={"user_id": str, "item_id": str})
    split = splits.leave_last_out(datasets.checked(rows), "strict")
    learned = datasets.interactions(split.fit)
    asked = evaluation.question(split, learned.items, mask=True)
    fitted = mixture(given.device, given.seed).fit(learned)
    print("weights", {name: round(weight, 2) for name, weight in fitted.facts.items()})
    every: dict[str, Model] = {"blend": fitted, **fitted.members}
    for name, model in every.items():
        found = evaluation.judge(evaluation.slates(model, [asked], max(KS))[0], asked, KS).metrics
        print(f"{name:14} HR@10 {found['hr@10']:.4f}  NDCG@10 {found['ndcg@10']:.4f}", flush=True)


if __name__ == "__main__":
    main()
