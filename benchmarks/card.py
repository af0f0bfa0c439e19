"""Beauty and Diginetica with several wide networks for `sasrec`, alone and in the blend, on a GPU.

python -m benchmarks.card --case beauty --device cuda
python -m benchmarks.card --case diginetica --device cuda

All seeds at once, on the test file; split, asked and measured as `kindred benchmark` does it, a line of JSON for each
model of each seed as soon as it is there. Where the settings are from: benchmarks/quality.md, "On a GPU". On a card it
takes minutes; on a CPU it was not tried.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from models.arrays import Int32
from models.blend import Blend, BlendConfig
from models.contracts import Model
from pipelines.benchmark_input import prefixes, read
from pipelines.imports.columns import mapping_from
from training import datasets, evaluation, splits
from training.evaluation import Question
from training.splits import Split

KS = (10, 20)
ASKING = 5  # threads that ask
SHOWN = ("hr@10", "ndcg@10", "hr@20", "mrr@20")


@dataclass(frozen=True)
class Case:
    """`members` of the blend, and their `settings` where these aren't the defaults; whether what somebody took before
    is `masked`."""

    masked: bool
    settings: Mapping[str, float]
    members: tuple[str, ...] = BlendConfig().members


CASES = {
    "beauty": Case(masked=True, settings={"sasrec.embedding_size": 128, "sasrec.members": 5}),
    "diginetica": Case(
        masked=False,
        settings={
            "sasrec.embedding_size": 128,
            "sasrec.members": 4,
            "sasrec.full_softmax_on_cuda_up_to": 0,
            "sasrec.negatives": 8_192,
            "session_knn.neighbours": 300,
            "session_knn.anchor": 0.6,
            "session_knn.damping": 0.2,
            "session_knn.repeated": 1.5,
            "session_knn.length": 0.1,
            "session_knn.distance_decay": 3.0,
        },
        # beside neighbours and ease no other member counted anything, without sasrec
        members=("ease", "session_knn", "sasrec"),
    ),
}


def split_of(case: str, data: Path) -> Split:
    """What is learned from, known and to be found."""
    if case == "beauty":
        rows = read(data / "beauty.csv.gz", None, mapping_from(), "leave-last-out").train
        return splits.leave_last_out(datasets.checked(rows), "strict")
    folder = data / "diginetica"
    sessions = read(folder / "train_sessions.csv.gz", None, mapping_from("user_id=session_id"), "prefixes").train
    return splits.prefixes(datasets.checked(sessions), prefixes(folder / "test_prefixes.csv.gz", {}))


def measured(case: str, data: Path, device: str, seed: int) -> None:
    """Fit the blend of a seed; print what it and each of its members find."""
    split, how = split_of(case, data), CASES[case]
    learned = datasets.interactions(split.fit)
    asked = evaluation.question(split, learned.items, how.masked)
    said = tuple(f"{name}={value}" for name, value in how.settings.items())
    began = time.perf_counter()

    def told(done: int, total: int) -> None:
        passed = time.perf_counter() - began
        print(f"{case}, seed {seed}: {done} of {total} fits after {passed:.0f} s", file=sys.stderr, flush=True)

    fitted = Blend(BlendConfig(how.members, member_settings=said, device=device), seed).fit(learned, told)
    took = time.perf_counter() - began
    every: dict[str, Model] = {"blend": fitted, **fitted.members}
    for name, model in every.items():
        found = evaluation.judge(_answered(model, asked), asked, KS).metrics
        row = {"model": name, "seed": seed, **{key: round(found[key], 5) for key in SHOWN}}
        if model is fitted:
            row |= {"fit_s": round(took), "weights": {key: round(value, 2) for key, value in fitted.facts.items()}}
        print(json.dumps(row), flush=True)


def _answered(model: Model, asked: Question) -> Int32:
    """(n, 20) int32, as evaluation.slates() of one question, by several threads."""
    edges = np.linspace(0, len(asked.asked), ASKING + 1).astype(int).tolist()
    parts = [
        Question(
            asked.users,
            asked.asked.rows(start, stop),
            asked.wanted[start:stop],
            asked.unknown[start:stop],
            None if asked.hidden is None else asked.hidden[start:stop],
        )
        for start, stop in pairwise(edges)
        if start < stop
    ]
    with ThreadPoolExecutor(ASKING) as pool:
        return np.concatenate([*pool.map(lambda part: evaluation.slates(model, [part], max(KS))[0], parts)])


def main() -> None:
    """Measure the seeds, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, default="beauty")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    with ProcessPoolExecutor(given.seeds, multiprocessing.get_context("spawn")) as pool:
        seeds = [pool.submit(measured, given.case, given.data, given.device, seed) for seed in range(given.seeds)]
        for done in as_completed(seeds):
            done.result()


if __name__ == "__main__":
    main()
