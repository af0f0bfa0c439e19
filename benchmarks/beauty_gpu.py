"""Amazon Beauty with a large sasrec, alone and in the blend: `python -m benchmarks.beauty_gpu --device cuda`.

Leave-last-out, strict, everybody asked, known items masked: as `kindred benchmark` measures it. The configuration was
chosen on validation (benchmarks/quality.md, "On a GPU"). On a card it takes minutes; on a CPU it was not tried.
"""

import argparse
from pathlib import Path
from unittest.mock import patch

import pandas as pd

from models import blend
from models.contracts import Model
from models.sasrec.model import SasRec, SasRecConfig
from training import datasets, evaluation, splits

MEMBERS = ("graph_filter", "als", "session_knn", "sasrec")
KS = (10, 20)


def large(device: str) -> type[SasRec]:
    """A sasrec whose defaults are three networks of 128 dimensions, trained long."""
    chosen = SasRecConfig(
        embedding_size=128,
        dropout=0.5,
        learning_rate=0.001,
        steps=20_000,
        epochs=300,
        patience=10,
        members=3,
        full_softmax_up_to=20_000,
        device=device,
    )

    class Large(SasRec):
        def __init__(self, config: SasRecConfig | None = None, seed: int = 0) -> None:
            super().__init__(config or chosen, seed)

    return Large


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
    with patch.dict(blend.MEMBERS, sasrec=large(given.device)):
        mixture = blend.Blend(blend.BlendConfig(members=MEMBERS), given.seed).fit(learned)
    print("weights", {name: round(weight, 2) for name, weight in mixture.facts.items()})
    every: dict[str, Model] = {"blend": mixture, **mixture.members}
    for name, model in every.items():
        found = evaluation.judge(evaluation.slates(model, [asked], max(KS))[0], asked, KS).metrics
        print(f"{name:14} HR@10 {found['hr@10']:.4f}  NDCG@10 {found['ndcg@10']:.4f}", flush=True)


if __name__ == "__main__":
    main()
