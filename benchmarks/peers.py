"""Peers from PyPI on the same files, protocols and metrics: they write slates, Kindred's harness measures them.

    .venv/bin/python -m benchmarks.peers --interactions FILE --protocol leave-last-out

The peers live in an environment of their own (.kindred/peers-venv), which is made on the first run; nothing of it
comes near .venv. Equal scores are ordered by the peer, not against it as Kindred's own are. Who is left without a slate
(a peer that knows nothing of a history) is shown nothing, which counts as missed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from features.errors import KindredError
from models.arrays import Int32
from models.interactions import IdMap
from pipelines import console
from pipelines.benchmark import arena_of, split_of
from pipelines.benchmark_input import read
from pipelines.benchmark_options import Options
from pipelines.benchmark_runs import Arena
from pipelines.benchmark_table import rows
from pipelines.cli.options import duration, listed
from pipelines.imports.columns import mapping_from
from training import evaluation, statistics
from training.datasets import in_order
from training.splits import Split

ENVIRONMENT = Path(".kindred/peers-venv")
# RecTools brings implicit, in a build of its own (pm-implicit), and numpy below 2, which a newer pyarrow refuses.
PACKAGES = ("rectools[torch]==0.19.0", "lenskit==2025.8.1", "torch==2.13.0", "pm-implicit==0.7.3", "pyarrow==20.0.0")
PARAMS: dict[str, dict[str, Any]] = {
    "implicit-als": {"factors": 128, "iterations": 15, "regularization": 0.01, "alpha": 10.0},
    "rectools-ease": {"regularization": 500.0},
    "rectools-item-knn": {"K": 100},
    "rectools-sasrec": {"epochs": 10, "n_factors": 128, "session_max_len": 50},
    "lenskit-item-knn": {"max_nbrs": 100},
}
WORKER = Path(__file__).with_name("peers_worker.py")


def environment() -> Path:
    """The peers' Python; made with pip where it isn't there yet."""
    python = ENVIRONMENT / "bin" / "python"
    done = ENVIRONMENT / "installed"
    if not done.exists() or done.read_text() != " ".join(PACKAGES):
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        done.write_text(" ".join(PACKAGES))
    return python


def slates_of(
    peer: str, split: Split, arena: Arena, options: Options, folder: Path, which: int = 0
) -> tuple[Int32, dict[str, float]]:
    """What the peer shows to everybody who is asked for, and its seconds.

    Args:    which: of the arena's questions; the second, where there is one, masks what somebody had.
    Returns: (n, max(ks)) int32 rows of the arena's items, padded with -1.
    """
    names = {"user_id": "user", "item_id": "item"}
    users, items = arena.questions[which].users, arena.learned.items
    asked = split.known[split.known["user_id"].isin(set(users.ids))]
    for name, frame in (("fit", split.fit), ("asked", asked)):
        in_order(frame)[list(names)].rename(columns=names).to_csv(folder / f"{name}.csv", index=False)
    job = {
        "peer": peer,
        "k": max(options.ks),
        "mask": options.masked or which > 0,
        "seed": options.seed,
        "params": PARAMS[peer],
    }
    (folder / "job.json").write_text(json.dumps({**job, "users": list(users.ids)}))
    subprocess.run([str(environment()), str(WORKER), str(folder)], check=True, stdout=sys.stderr)
    lines = (folder / "slates.jsonl").read_text().splitlines()
    return _rows([json.loads(line) for line in lines], users, items, max(options.ks)), json.loads(
        (folder / "cost.json").read_text()
    )


def measured(peer: str, split: Split, arena: Arena, options: Options) -> dict[str, float]:
    """Everything that a benchmark measures of a model, of a peer."""
    with tempfile.TemporaryDirectory() as folder:
        slates, cost = slates_of(peer, split, arena, options, Path(folder))
    question = arena.questions[0]
    judged = evaluation.judge(slates, question, options.ks)
    found = dict(judged.metrics)
    for name, ends in statistics.intervals(judged.values, options.seed).items():
        found |= {f"{name}_low": ends.low, f"{name}_high": ends.high}
    for which in range(1, len(arena.questions)):
        with tempfile.TemporaryDirectory() as folder:
            again, _ = slates_of(peer, split, arena, options, Path(folder), which)
        masked = evaluation.judge(again, arena.questions[which], options.ks)
        found |= {f"{name}_new": value for name, value in masked.metrics.items()}
    return found | evaluation.described(slates, question, arena.learned, options.ks, options.seed) | cost


def _rows(lines: list[dict[str, Any]], users: IdMap, items: IdMap, k: int) -> Int32:
    slates = np.full((len(users), k), -1, dtype=np.int32)
    for line in lines:
        shown = items.rows(line["items"][:k])
        slates[users.row(line["user"]), : len(shown)] = shown
    return slates


def main() -> None:
    """Print the table, or JSON; exit status 1 with one line where something doesn't fit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--interactions", type=Path, required=True)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--protocol", required=True)
    parser.add_argument("--holdout", default="30d")
    parser.add_argument("--fit", default="strict")
    parser.add_argument("--no-mask", action="store_true")
    parser.add_argument("--k", default="10,20")
    parser.add_argument("--map", default="")
    parser.add_argument("--preset", default="")
    parser.add_argument("--target-event", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peers", default=",".join(PARAMS))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    options = Options(
        protocol=given.protocol,
        ks=tuple(int(part) for part in listed(given.k)),
        holdout_ms=duration(given.holdout),
        fit=given.fit,
        mask=not given.no_mask,
        target_event=given.target_event or None,
        seed=given.seed,
    )
    try:
        options.check(given.test is not None)
        files = read(given.interactions, given.test, mapping_from(given.map, preset=given.preset), options.protocol)
        split = split_of(files.train, files.test, options)
        arena = arena_of(split, options, None)
        results = {peer: measured(peer, split, arena, options) for peer in listed(given.peers)}
    except KindredError as error:
        sys.exit(str(error))
    if given.json:
        console.as_json(results)
    else:
        console.table("peers", ("metric", *results), rows(results))


if __name__ == "__main__":
    main()
