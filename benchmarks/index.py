"""Nearest items by inner product in one thread: how much each index finds, how long it takes, and what it holds.

    .venv/bin/python -m benchmarks.index --items 1000000

Two kinds of vectors around 1,000 centres: `als`, whose lengths are log-normal like those of the ALS that
`benchmarks.serving` fits, and `cosine`, all of one length, like those of a transformer. Queries are means of a few
items' vectors, as a fold-in makes them. `chosen` is what models/index.py takes by itself for that catalogue.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from models.arrays import Float32, Mask
from models.blocks import Blocks
from models.index import Index, IndexConfig
from models.ranking import Slate, top
from pipelines import console

CENTRES, NOISE, SPREAD = 1_000, 1.0, 0.62
OF_A_QUERY = 20
AT = 20
SHARES = (1.0, 0.5, 0.1, 0.01)
Search = Callable[[Float32, int, Mask | None], Slate]


def vectors(items: int, dims: int, kind: str, seed: int = 0) -> tuple[Float32, Float32]:
    """(items, dims) vectors and (300, dims) queries."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(CENTRES, dims)).astype(np.float32)
    of = random.integers(CENTRES, size=items)
    made: Float32 = centres[of] + np.float32(NOISE) * random.standard_normal((items, dims), dtype=np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    if kind == "als":
        made *= np.exp(SPREAD * random.standard_normal((items, 1), dtype=np.float32))
    chosen = [random.choice(np.flatnonzero(of == of[random.integers(items)]), OF_A_QUERY) for _ in range(300)]
    queries = np.stack([made[rows].mean(axis=0) for rows in chosen]).astype(np.float32)
    return made, queries


def measured(search: Search, queries: Float32, right: list[Slate], allowed: Mask | None) -> dict[str, float]:
    """Recall of the exact top, and times in us."""
    took, found = [], 0
    for query in queries[:20]:
        search(query, AT, allowed)
    for query, (rows, _) in zip(queries, right, strict=True):
        began = time.perf_counter()
        got = search(query, AT, allowed)[0]
        took.append(1e6 * (time.perf_counter() - began))
        found += len(np.intersect1d(got, rows))
    wanted = sum(len(rows) for rows, _ in right)
    p50, p90 = np.percentile(took, (50, 90))
    return {"recall": found / wanted, "p50_us": float(p50), "p90_us": float(p90)}


def alike(index: Index, made: Float32, items: int = 100) -> dict[str, float]:
    """us of what is most like some items, and by comparing all of them; whether that is the same is tested."""
    inverse = 1 / np.linalg.norm(made, axis=1)

    def whole(item: int) -> Slate:
        return top((made @ made[item]) * inverse * inverse[item], AT, np.arange(len(made)) != item)

    searches: dict[str, Callable[[int], Slate]] = {"index": lambda item: index.alike(item, AT), "comparing all": whole}
    return {name: _median_us(search, items) for name, search in searches.items()}


def _median_us(search: Callable[[int], Slate], items: int) -> float:
    took = []
    for item in range(items):
        began = time.perf_counter()
        search(item)
        took.append(1e6 * (time.perf_counter() - began))
    return float(np.median(took))


def hnsw(made: Float32) -> tuple[Search, float]:
    """FAISS' graph, and its MiB."""
    graph = faiss.IndexHNSWFlat(made.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    graph.add(made)
    graph.hnsw.efSearch = 128

    def search(query: Float32, k: int, allowed: Mask | None) -> Slate:
        many = k if allowed is None else 4 * k  # it can't be told what is allowed but by asking for more
        scores, rows = graph.search(query[None], many)
        kept = rows[0] if allowed is None else rows[0][allowed[rows[0]]]
        return kept[:k].astype(np.int32), scores[0][:k]

    return search, len(faiss.serialize_index(graph)) / 2**20


def contenders(made: Float32, queries: Float32, with_graph: bool) -> dict[str, tuple[Search, float, float]]:
    """Each search with the seconds that it took to build, and the MiB it holds beside the vectors."""
    found: dict[str, tuple[Search, float, float]] = {}
    began = time.perf_counter()
    blocks = Blocks(made)
    found["by length, exact"] = blocks.search, time.perf_counter() - began, blocks.nbytes / 2**20
    began = time.perf_counter()
    index = Index.build(made, queries, IndexConfig(recall=0.95))
    lists = 0 if index._searcher is None else len(faiss.serialize_index(index._searcher))
    size = (blocks.nbytes + lists) / 2**20
    name = "chosen: exact" if index.kind == "exact" else f"chosen: ivf, {index.probes} of {index._searcher.nlist} lists"
    found[name] = index.search, time.perf_counter() - began, size
    if with_graph:
        began = time.perf_counter()
        search, size = hnsw(made)
        found["HNSW 32, ef 128"] = search, time.perf_counter() - began, size
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dims", type=int, default=64)
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=["als", "cosine"])
    parser.add_argument("--graph", action="store_true", help="HNSW too: minutes to build for a million items")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    report: list[dict[str, object]] = []
    likeness: dict[str, dict[str, float]] = {}
    with threadpool_limits(1):
        for kind in asked.kinds:
            made, queries = vectors(asked.items, asked.dims, kind)
            learned, queries = queries[:200], queries[200:]
            built = contenders(made, learned, asked.graph)
            likeness[kind] = alike(Index(made, None, 0, 1.0), made)
            for share in SHARES:
                allowed = None if share == 1 else np.random.default_rng(1).random(asked.items) < share
                right = [top(made @ query, AT, allowed) for query in queries]
                for name, (search, seconds, size) in built.items():
                    found = measured(search, queries, right, allowed)
                    report.append(
                        {"kind": kind, "index": name, "allowed": share, **found, "build_s": seconds, "mib": size}
                    )
    columns = ("vectors", "index", "allowed", f"recall@{AT}", "p50 us", "p90 us", "built in s", "MiB")
    rows = [
        (
            str(each["kind"]),
            str(each["index"]),
            f"{each['allowed']:.0%}",
            f"{each['recall']:.3f}",
            f"{each['p50_us']:,.0f}",
            f"{each['p90_us']:,.0f}",
            f"{each['build_s']:.1f}",
            f"{each['mib']:,.0f}",
        )
        for each in report
    ]
    size = asked.items * asked.dims * 4 / 2**20
    console.table(f"{asked.items:,} items x {asked.dims}, the vectors themselves {size:,.0f} MiB", columns, rows)
    for kind, took in likeness.items():
        print(f"{kind}: items like one, us: " + ", ".join(f"{us:,.0f} by {name}" for name, us in took.items()))
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
