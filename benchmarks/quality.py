"""Every goal of the design's quality page: our models under the papers' protocols, beside the published bests.

.venv/bin/python -m benchmarks.quality                  all cases, hours on two cores
.venv/bin/python -m benchmarks.quality --cases gowalla  one case
.venv/bin/python -m benchmarks.quality --table          only print what was measured before

A case is one call of `kindred benchmark` a model, in a process of its own so that its memory is its own, and one of
`python -m benchmarks.peers` a peer, with one seed; what is measured stands in benchmarks/quality.json as soon as it is
there, so that a run which was cut off goes on where it was.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOUND = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Case:
    """`options` are those of `kindred benchmark`, paths from the data's folder; `shown` are the table's metrics."""

    options: tuple[str, ...]
    models: tuple[str, ...]
    shown: tuple[str, ...]
    published: str
    goal: str
    peers: tuple[str, ...] = ()
    seeds: int = 3


LINEAR = ("trending", "als", "item_knn", "ease", "graph_filter")
QUICK = ("implicit-als", "rectools-item-knn", "lenskit-item-knn")  # peers
ALL = (*LINEAR, "session_knn", "sasrec", "two_tower", "blend")
CASES = {
    "gowalla": Case(
        ("--interactions", "gowalla/train.csv.gz", "--test", "gowalla/test.csv.gz", "--protocol", "split", "--k", "20"),
        (*LINEAR, "blend"),
        ("recall@20", "ndcg@20"),
        ".1941 / .1616 ChebyCF; .1830 / .1554 LightGCN",
        ".196 / .164",
        QUICK,
    ),
    "beauty": Case(
        ("--interactions", "beauty.csv.gz", "--protocol", "leave-last-out", "--fit", "strict", "--k", "10"),
        ALL,
        ("hr@10", "ndcg@10"),
        ".1008 / .0611 BSARec; .0928 / .0531 eSASRec",
        ".102 / .0625",
        ("implicit-als", "rectools-ease", "rectools-item-knn", "rectools-sasrec", "lenskit-item-knn"),
    ),
    "diginetica": Case(
        (
            *("--interactions", "diginetica/train_sessions.csv.gz", "--map", "user_id=session_id"),
            *("--test", "diginetica/test_prefixes.csv.gz", "--protocol", "prefixes", "--k", "20"),
        ),
        ("trending", "item_knn", "session_knn", "sasrec", "blend"),
        ("hr@20", "mrr@20"),
        ".5567 / .1945 SGNN-HN; .5422 / .1904 GCE-GNN",
        ".557 / .195; on CPU .543 / .191",
        QUICK,
    ),
    "online-retail": Case(
        (
            *("--interactions", "online_retail.csv.gz", "--preset", "online-retail", "--protocol", "time-split"),
            *("--holdout", "30d", "--no-mask", "--k", "10,20"),
        ),
        ("popularity", *ALL),
        ("ndcg@10", "ndcg@10_new", "recall@20", "recall@20_new"),
        "none on this copy",
        "more than popularity, recency and item_knn, beyond the seeds",
        QUICK,
    ),
    "retailrocket": Case(
        (
            *("--interactions", "retailrocket/events_train.csv.gz", "--test", "retailrocket/test_buy.csv.gz"),
            *("--protocol", "split", "--k", "10"),
        ),
        ALL,
        ("hr@10", "ndcg@10"),
        "sampled metrics only: not comparable",
        "more than als and item_knn on purchases alone",
        QUICK,
    ),
}


def measure(case: Case, model: str, seeds: int, folder: Path) -> dict[str, Any]:
    """One model or peer under one case, by the command that a reader would type."""
    paths = [str(folder / part) if part.endswith(".csv.gz") else part for part in case.options]
    if model in case.peers:
        command = [sys.executable, "-m", "benchmarks.peers", *paths, "--peers", model, "--json"]
    else:
        command = [sys.executable, "-m", "pipelines.cli", "benchmark", *paths]
        command += ["--models", model, "--seeds", str(seeds), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)[model]
    return found


def table(name: str, found: dict[str, dict[str, Any]]) -> str:
    """What was measured of a case, in Markdown."""
    case = CASES[name]
    lines = [
        f"### {name}",
        "",
        f"Published best: {case.published}. Goal: {case.goal}.",
        "",
        f"| model | {' | '.join(case.shown)} | fit s | ask s | MB | seeds |",
        f"| --- | {'--- | ' * (len(case.shown) + 4)}",
    ]
    for model, each in found.items():
        cells = [_cell(each, metric) for metric in case.shown]
        costs = [f"{each.get(key, 0):,.0f}" for key in ("seconds", "seconds_asking", "memory_mb")]
        lines.append(f"| {model} | {' | '.join(cells)} | {' | '.join(costs)} | {each['seeds']} |")
    return "\n".join([*lines, ""])


def _cell(found: dict[str, Any], metric: str) -> str:
    spread = found.get(f"{metric}_sd")
    return f"{found[metric]:.4f}" + (f" ± {spread:.4f}" if spread else "")


def main() -> None:
    """Measure what isn't measured yet, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--models", default="", help="only these")
    parser.add_argument("--seeds", type=int, help="instead of each case's own number")
    parser.add_argument("--again", action="store_true", help="measure also what is there")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    given = parser.parse_args()
    found: dict[str, dict[str, Any]] = json.loads(FOUND.read_text()) if FOUND.exists() else {}
    for name in given.cases.split(","):
        measured = found.setdefault(name, {})
        case = CASES[name]
        for model in [] if given.table else (*case.models, *case.peers):
            wanted = not given.models or model in given.models.split(",")
            if wanted and (given.again or model not in measured):
                seeds = 1 if model in case.peers else given.seeds or case.seeds
                measured[model] = {**measure(case, model, seeds, given.data), "seeds": seeds}
                FOUND.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
                print(table(name, {model: measured[model]}), flush=True)
    for name in given.cases.split(","):
        print(table(name, found.get(name, {})))


if __name__ == "__main__":
    main()
