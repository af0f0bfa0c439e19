"""Audience expansion on public data: `python -m benchmarks.lookalike [--data ../shared/data] [--tune] [--json]`.

FROZEN PROTOCOL. A random half of an audience is the seed, the other half is hidden among all other candidates; three
draws (seeds 0, 1, 2). Metrics are those of training/audiences.py. Four groups of audiences:

- category: Online Retail; who orders from a category in the 60 days after the cut, among all customers known before it;
- prospects: the same, among those who had never ordered from that category before the cut;
- behaviour: Online Retail, the tenth with the most order lines' worth in the window (top spenders); RetailRocket, who
  comes back (any event), and who buys, in the window. Known before the cut, all of them;
- taste: RetailRocket; who has met one of the most met items (any event), every event with that item taken away from
  everybody: whoever has no other event is no candidate. There is no cut: the item is what is hidden.

Vectors, features and peers see events before the cut alone (taste: without the item). Reported: cut 60 days before the
end of the data; the 10 categories at odd places of the alphabet ("other" left out); of the 20 most met items those at
even places (the second, the fourth, ...). Tuned on (`--tune`): cut 120 days (RetailRocket 90) before the end, so
that windows don't overlap but for RetailRocket's; categories at even places; items at odd places; who adds to the cart.

Contenders: random; activity (most events first); jaccard (mean Jaccard likeness of item sets to the seed's customers);
cosine (1 and 4 centroids of the vectors) and euclid (of vectors and features); features (the classifier
without vectors); classifier (defaults).
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.arrays import Float32, Mask
from models.customers.customer_space import CustomerSpace
from models.customers.lookalike import Lookalike, LookalikeConfig
from models.interactions import Interactions
from pipelines import console
from pipelines.imports.cells import categoriser
from pipelines.imports.columns import mapping_from
from pipelines.imports.interactions import interactions_from
from pipelines.imports.rows import Rows
from training import audiences, datasets, lookalike

RETAIL, ROCKET = Path("online_retail.csv.gz"), Path("retailrocket/events_train.csv.gz")
DAY_MS = 86_400_000
WINDOW_MS = 60 * DAY_MS
METRICS = ("recall_at_size", "auc", "lift@1", "lift@5", "lift@10")
ITEMS = 20
TOP = 0.1

Frame = pd.DataFrame
Flags = NDArray[np.bool_]


class Audience(NamedTuple):
    """Members and candidates by the rows of the users of `interactions`."""

    group: str
    name: str
    interactions: Interactions
    now: int
    members: Flags
    candidates: Flags


class Case(NamedTuple):
    """What a contender is given: candidates only, the seed's rows among them."""

    told: lookalike.Customers
    interactions: Interactions
    rows: NDArray[np.int64]
    seeds: NDArray[np.int64]
    draw: int


def retail(folder: Path, tune: bool) -> Iterator[Audience]:
    """Categories, prospects and top spenders of the gift shop."""
    rows = _retail_rows(folder)
    before, after, now = _cut(rows, 120 if tune else 60)
    met, users = _met(before, now)
    named = sorted(set(rows["category"].dropna()) - {"other"})
    everybody = np.ones(len(users), dtype=np.bool_)
    for category in named[0 if tune else 1 :: 2]:
        buys = users.isin(after.loc[after["category"] == category, "user_id"])
        had = users.isin(before.loc[before["category"] == category, "user_id"])
        yield Audience("category", category, met, now, buys, everybody)
        yield Audience("prospects", category, met, now, buys & ~had, ~had)
    if not tune:
        spent = after[after["user_id"].isin(users)].groupby("user_id")["value"].sum().sort_values(kind="stable")
        best = spent.tail(round(TOP * len(spent))).index
        yield Audience("behaviour", "top spenders", met, now, users.isin(best), everybody)


def rocket(folder: Path, tune: bool) -> Iterator[Audience]:
    """Who does something in the window, and who has met an item."""
    rows = _read(folder / ROCKET, "retailrocket")
    before, after, now = _cut(rows, 90 if tune else 60)
    met, users = _met(before, now)
    kinds = {"adds to the cart": ["Product Added"]}
    if not tune:
        kinds = {"comes back": list(after["event"].unique()), "buys": ["Order Completed"]}
    for name, events in kinds.items():
        doers = users.isin(after.loc[after["event"].isin(events), "user_id"])
        yield Audience("behaviour", name, met, now, doers, np.ones(len(users), dtype=np.bool_))
    counts = rows.groupby("item_id")["user_id"].nunique().sort_index().sort_values(ascending=False, kind="stable")
    for item in counts.index[:ITEMS][0 if tune else 1 :: 2]:
        rest = rows[rows["item_id"] != item]
        met, users = _met(rest, int(rows["timestamp"].max()) + 1)
        members = users.isin(rows.loc[rows["item_id"] == item, "user_id"])
        yield Audience("taste", f"item {item}", met, int(rows["timestamp"].max()) + 1, members, members | True)


def contenders() -> dict[str, Callable[[Case], Float32]]:
    """(n,) scores of all candidates, by name."""
    one = LookalikeConfig()
    return {
        "random": lambda case: np.random.default_rng(1_000 + case.draw).random(len(case.rows)).astype(np.float32),
        "activity": lambda case: case.interactions.histories.counts[case.rows].astype(np.float32),
        "jaccard": _jaccard,
        "cosine": lambda case: _model(case, replace(one, method="cosine")),
        "cosine, 4": lambda case: _model(case, replace(one, method="cosine", centroids=4)),
        "euclid": lambda case: _model(case, replace(one, method="euclid")),
        "features": lambda case: _model(case, replace(one, taste=1e-6)),
        "classifier": lambda case: _model(case, one),
    }


def measured(audience: Audience, told: lookalike.Customers) -> Iterator[dict[str, object]]:
    """One row for each contender and draw."""
    rows = np.flatnonzero(audience.candidates)
    members = audience.members[rows]
    mine = lookalike.Customers(told.vectors[rows], told.features[rows])
    for draw in audiences.SEEDS:
        seeds, hidden = audiences.halves(np.flatnonzero(members), draw)
        left: Mask = ~np.isin(np.arange(len(rows)), seeds)
        wanted = np.isin(np.arange(len(rows)), hidden)[left]
        case = Case(mine, audience.interactions, rows, seeds, draw)
        for name, contender in contenders().items():
            found = audiences.measure(contender(case)[left], wanted)
            size = {"hidden": len(hidden), "candidates": int(left.sum())}
            yield {"group": audience.group, "audience": audience.name, "draw": draw, "contender": name, **size, **found}


def run(folder: Path, tune: bool) -> Frame:
    """Every audience, contender and draw."""
    found: list[dict[str, object]] = []
    held: tuple[Interactions, lookalike.Customers] | None = None
    for audience in (*retail(folder, tune), *rocket(folder, tune)):
        if held is None or held[0] is not audience.interactions:
            space = CustomerSpace().fit(audience.interactions)
            held = audience.interactions, lookalike.customers(space, audience.interactions, audience.now)
        found += measured(audience, held[1])
    return pd.DataFrame(found)


def show(found: Frame) -> None:
    """Means over audiences with the spread over draws, group by group; then classifier and activity by audience."""
    for group, part in found.groupby("group", sort=False):
        draws = part.groupby(["contender", "draw"], sort=False)[list(METRICS)].mean()
        mean, spread = (draws.groupby("contender", sort=False).agg(how) for how in ("mean", lambda x: x.std(ddof=0)))
        lines = [
            [name, *(f"{mean.loc[name, each]:.3f} ±{spread.loc[name, each]:.3f}" for each in METRICS)]
            for name in mean.index
        ]
        console.table(f"{group}: {part['audience'].nunique()} audiences", ["contender", *METRICS], lines)
    shown = ("activity", "jaccard", "cosine", "classifier")
    sizes = found.groupby(["group", "audience"], sort=False)[["hidden", "candidates"]].first()
    for metric in METRICS[:2]:
        wide = found.pivot_table(index=["group", "audience"], columns="contender", values=metric, sort=False)
        lines = [[*key, *sizes.loc[key], *(f"{wide.loc[key, each]:.3f}" for each in shown)] for key in wide.index]
        console.table(f"{metric} by audience", ["group", "audience", "hidden", "among", *shown], lines)


def _model(case: Case, config: LookalikeConfig) -> Float32:
    model = Lookalike(config, case.draw).fit(case.told.vectors, case.seeds, case.told.features)
    return model.score(case.told.vectors, case.told.features)


def _jaccard(case: Case) -> Float32:
    sets = (case.interactions.matrix[case.rows] > 0).astype(np.float32)
    seed = sets[case.seeds]
    shared = (sets @ seed.T).toarray()
    sizes = np.asarray(sets.sum(axis=1)) + np.asarray(seed.sum(axis=1)).T
    return np.asarray((shared / np.maximum(sizes - shared, 1)).mean(axis=1), dtype=np.float32)


def _cut(rows: Frame, days: int) -> tuple[Frame, Frame, int]:
    now = int(rows["timestamp"].max()) + 1 - days * DAY_MS
    return (
        rows[rows["timestamp"] < now],
        rows[(rows["timestamp"] >= now) & (rows["timestamp"] < now + WINDOW_MS)],
        now,
    )


def _met(rows: Frame, now: int) -> "tuple[Interactions, pd.Index[str]]":
    met = datasets.interactions(datasets.checked(rows[rows["timestamp"] < now]))
    return met, pd.Index(met.users.ids)


def _retail_rows(folder: Path) -> Frame:
    """Lines of orders with their category and value; refunds are left out."""
    rows = _read(folder / RETAIL, "online-retail")
    rows = rows[rows["event"] == "Order Completed"]
    titles = pd.read_csv(folder / RETAIL, dtype="str", usecols=["StockCode", "Description", "UnitPrice"])
    lines = titles.dropna(subset="Description").groupby("StockCode")
    category = (
        lines["Description"]
        .agg(lambda texts: texts.mode()[0])
        .map(categoriser(mapping_from(preset="online-retail").categories))
    )
    price = titles.assign(price=titles["UnitPrice"].astype(float)).groupby("StockCode")["price"].median()
    value = rows["quantity"].abs() * rows["item_id"].map(price).fillna(0.0)
    return rows.assign(category=rows["item_id"].map(category), value=value)


def _read(path: Path, preset: str) -> Frame:
    with Rows(path) as rows:
        frame = interactions_from(rows, mapping_from(preset=preset))
    frame.attrs.clear()
    return frame


def main() -> None:
    """Exit status 1 with one line where the data is absent."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help=f"folder with {RETAIL} and {ROCKET}")
    parser.add_argument("--tune", action="store_true", help="the audiences that defaults were chosen on")
    parser.add_argument("--json", action="store_true", help="every audience, contender and draw as JSON")
    given = parser.parse_args()
    for name in (RETAIL, ROCKET):
        if not (given.data / name).is_file():
            sys.exit(f"{given.data / name} is absent: name the folder of the data with --data FOLDER")
    started = time.perf_counter()
    found = run(given.data, given.tune)
    if given.json:
        print(json.dumps(found.to_dict(orient="records"), indent=1))
        return
    show(found)
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
