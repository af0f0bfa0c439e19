"""Chooses the defaults of AlsConfig on validation data alone, and prints the table that it chose from.

The test windows that the project quotes are never touched: of Online Retail the last 30 days are dropped before
anything else, and Gowalla's test.csv.gz isn't read. The grid and the rule stood here before the first run.

    .venv/bin/python benchmarks/select_als.py --data ../shared/data
"""

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import KindredError
from models.als import Als, AlsConfig
from models.interactions import Interactions
from pipelines import console
from pipelines.imports.columns import Mapping, mapping_from
from pipelines.imports.interactions import interactions_from
from pipelines.imports.rows import Rows
from training import datasets, evaluation, splits
from training.datasets import Frame
from training.splits import Split

RETAIL, GOWALLA = "online_retail.csv.gz", "gowalla/train.csv.gz"
HOLDOUT_MS = 30 * 86_400_000
SAMPLE, CARVED = 0.15, 0.10  # of Gowalla's users, and of the rows of those
SEED = 0

# `half_life_days` is of the list for an empty history, which 6 of 1,106 customers have; `threads` changes no answer.
GRID = [
    AlsConfig(embedding_size=size, alpha=alpha, regularization=regularization, epochs=15)
    for size, alpha, regularization in itertools.product(
        (32, 64, 128), (1.0, 4.0, 16.0, 40.0), (0.01, 0.04, 0.16, 0.64)
    )
]
CHOSEN = ["embedding_size", "alpha", "regularization", "epochs"]
COLUMNS = ["retail ndcg@10", "retail ndcg@10_new", "gowalla recall@20"]
CLOSE = 0.99  # a smaller model that reaches this part of the best one's value in every column is preferred


def retail(folder: Path) -> Split:
    """The 30 days before the test window, against everything before them."""
    before_test = splits.time_split(_rows(folder / RETAIL, mapping_from(preset="online-retail")), HOLDOUT_MS).fit
    return splits.time_split(before_test, HOLDOUT_MS)


def gowalla(folder: Path) -> Split:
    """A tenth of the training rows of some users, at random, against the rest of them."""
    rows = _rows(folder / GOWALLA, mapping_from())
    random = np.random.default_rng(SEED)
    users = np.sort(rows["user_id"].unique())
    rows = rows[rows["user_id"].isin(random.permutation(users)[: int(len(users) * SAMPLE)])]
    carved = random.random(len(rows)) < CARVED
    return splits.given(rows[~carved], rows[carved])


def measured(config: AlsConfig, shop: Split, places: Split, learned: list[Interactions]) -> list[float]:
    """One value for each of COLUMNS; NaN for a model that can't be fitted so."""
    try:
        bought, visited = (Als(config, SEED).fit(interactions) for interactions in learned)
        return [
            evaluation.evaluate(bought, shop, (10,), mask=False)["ndcg@10"],
            evaluation.evaluate(bought, shop, (10,), mask=True)["ndcg@10"],
            evaluation.evaluate(visited, places, (20,), mask=True)["recall@20"],
        ]
    except KindredError as error:
        print(f"{config}: {error}", file=sys.stderr)
        return [float("nan")] * len(COLUMNS)


def ranked(values: list[list[float]]) -> Frame:
    """The grid by mean rank over COLUMNS, best first; ties in the order of the grid, which is smaller models first."""
    table = pd.DataFrame([[getattr(config, name) for name in CHOSEN] for config in GRID], columns=CHOSEN)
    table[COLUMNS] = values
    table["mean rank"] = table[COLUMNS].rank(ascending=False, na_option="bottom").mean(axis=1)
    return table.sort_values("mean rank", kind="stable").reset_index(drop=True)


def winner(table: Frame) -> int:
    """Row of the smallest model that is within 1% of the best one in every column; of equals the best ranked."""
    close = table[(table[COLUMNS] >= CLOSE * table.loc[0, COLUMNS].astype(float)).all(axis=1)]
    return int(close.index[int(close["embedding_size"].argmin())])


def select(folder: Path) -> None:
    """Fit and measure the whole grid, print the table and the winner."""
    shop, places = retail(folder), gowalla(folder)
    learned = [datasets.interactions(shop.fit), datasets.interactions(places.fit)]
    values = []
    with console.progress("select als") as bar:
        for config in GRID:
            values.append(measured(config, shop, places, learned))
            bar(len(values), len(GRID))
    table = ranked(values)
    lines = [
        [*row[: len(CHOSEN)], *(f"{value:.4f}" for value in row[len(CHOSEN) :])]
        for row in table.itertuples(index=False)
    ]
    console.table(f"{len(GRID)} configurations, seed {SEED}", list(table.columns), lines)
    best = table.loc[winner(table)]
    print("chosen:", ", ".join(f"{name} {best[name]:g}" for name in CHOSEN))


def _rows(path: Path, mapping: Mapping) -> Frame:
    with Rows(path) as rows:
        return datasets.checked(interactions_from(rows, mapping))


def main() -> None:
    """Exit status 1 with one line where the data is absent."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help=f"folder with {RETAIL} and {GOWALLA}")
    folder = parser.parse_args().data
    for name in (RETAIL, GOWALLA):
        if not (folder / name).is_file():
            sys.exit(f"{folder / name} is absent: name the folder of the data with --data FOLDER")
    select(folder)


if __name__ == "__main__":
    main()
