"""Runs in the peers' own environment: fits one peer and writes its slates; nothing of Kindred is there.

Reads fit.csv (user, item in time order), asked.csv (user, item in time order) and job.json from a folder; writes
slates.jsonl ({"user": ..., "items": [...]}) and cost.json there.
"""

# ruff: noqa: PLC0415 - each peer is imported only where it is the one that runs
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Frame = pd.DataFrame
Slates = dict[str, list[str]]


def implicit_als(fit: Frame, asked: Frame, job: dict[str, Any]) -> tuple[Slates, float]:
    """implicit's ALS; everybody's vector is computed from the history asked with."""
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    items = pd.Index(sorted(fit["item"].unique()))
    started = time.perf_counter()
    model = AlternatingLeastSquares(random_state=job["seed"], num_threads=1, **job["params"])
    model.fit(_matrix(fit, pd.Index(fit["user"].unique()), items), show_progress=False)
    seconds = time.perf_counter() - started
    users = pd.Index(job["users"])
    histories = csr_matrix(_matrix(asked, users, items))
    found = {}
    for at in range(0, len(users), 1_000):
        part = histories[at : at + 1_000]
        rows = np.arange(part.shape[0])
        ids, scores = model.recommend(
            rows, part, N=job["k"], filter_already_liked_items=job["mask"], recalculate_user=True
        )
        for user, slate, worth in zip(users[at : at + 1_000], ids, scores, strict=True):
            found[user] = [str(items[item]) for item, score in zip(slate, worth, strict=True) if score > -1e30]
    return found, seconds


def rectools(fit: Frame, asked: Frame, job: dict[str, Any]) -> tuple[Slates, float]:
    """RecTools' EASE, ItemKNN (implicit's cosine) or SASRec, asked with users of their own for the histories."""
    from rectools import Columns
    from rectools.dataset import Dataset

    model = _rectools_model(job)
    columns = {"user": Columns.User, "item": Columns.Item}
    known = asked[asked["item"].isin(set(fit["item"]))].assign(user=lambda rows: "asked:" + rows["user"])
    learned = Dataset.construct(_timed(fit.rename(columns=columns)))
    both = Dataset.construct(_timed(pd.concat([fit, known]).rename(columns=columns)))
    started = time.perf_counter()
    model.fit(learned)
    seconds = time.perf_counter() - started
    users = known["user"].unique()
    shown = model.recommend(users=users, dataset=both, k=job["k"], filter_viewed=job["mask"])
    slates = shown.sort_values([Columns.User, Columns.Rank]).groupby(Columns.User)[Columns.Item].apply(list)
    return {user.removeprefix("asked:"): [str(item) for item in items] for user, items in slates.items()}, seconds


def lenskit_knn(fit: Frame, asked: Frame, job: dict[str, Any]) -> tuple[Slates, float]:
    """LensKit's item neighbours for implicit feedback."""
    import lenskit
    from lenskit.data import ItemList, RecQuery, from_interactions_df
    from lenskit.knn import ItemKNNScorer

    pairs = fit.drop_duplicates(["user", "item"])
    data = from_interactions_df(pairs.rename(columns={"user": "user_id", "item": "item_id"}))
    pipeline = lenskit.topn_pipeline(ItemKNNScorer(feedback="implicit", **job["params"]), n=job["k"])
    started = time.perf_counter()
    pipeline.train(data)
    seconds = time.perf_counter() - started
    every = None if job["mask"] else ItemList(item_ids=data.items.ids())
    found = {}
    known = asked[asked["item"].isin(set(pairs["item"]))]  # it refuses whatever it wasn't fitted on
    for user, items in known.groupby("user", sort=False)["item"]:
        query = RecQuery(user_items=ItemList(item_ids=items.drop_duplicates().to_numpy()))
        found[str(user)] = [str(item) for item in lenskit.recommend(pipeline, query, items=every).ids()]
    return found, seconds


PEERS = {
    "implicit-als": implicit_als,
    "rectools-ease": rectools,
    "rectools-item-knn": rectools,
    "rectools-sasrec": rectools,
    "lenskit-item-knn": lenskit_knn,
}


def _rectools_model(job: dict[str, Any]) -> Any:
    params = job["params"]
    if job["peer"] == "rectools-ease":
        from rectools.models import EASEModel

        return EASEModel(**params)
    if job["peer"] == "rectools-item-knn":
        from implicit.nearest_neighbours import CosineRecommender
        from rectools.models import ImplicitItemKNNWrapperModel

        return ImplicitItemKNNWrapperModel(model=CosineRecommender(num_threads=1, **params))
    from rectools.models import SASRecModel

    return SASRecModel(**params)


def _timed(rows: Frame) -> Frame:
    """RecTools wants times: the order within the file is one."""
    from rectools import Columns

    at = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(len(rows)), unit="s")
    return rows.assign(**{Columns.Weight: 1.0, Columns.Datetime: at})


def _matrix(rows: Frame, users: "pd.Index[Any]", items: "pd.Index[Any]") -> Any:
    from scipy.sparse import csr_matrix

    user, item = users.get_indexer(rows["user"]), items.get_indexer(rows["item"])
    known = (user >= 0) & (item >= 0)
    values = (np.ones(int(known.sum()), dtype=np.float32), (user[known], item[known]))
    return csr_matrix(values, shape=(len(users), len(items)))


def main() -> None:
    """Args: the folder."""
    warnings.simplefilter("ignore")  # peers warn of one another's versions
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    fit, asked = (pd.read_csv(folder / f"{name}.csv", dtype=str) for name in ("fit", "asked"))
    if job["peer"] == "rectools-sasrec":
        import torch

        torch.manual_seed(job["seed"])
        torch.set_num_threads(1)
    started = time.perf_counter()
    slates, seconds = PEERS[job["peer"]](fit, asked, job)
    lines = [json.dumps({"user": user, "items": items}) for user, items in slates.items()]
    (folder / "slates.jsonl").write_text("\n".join(lines))
    asking = time.perf_counter() - started - seconds
    (folder / "cost.json").write_text(json.dumps({"seconds": seconds, "seconds_asking": asking}))


if __name__ == "__main__":
    main()
