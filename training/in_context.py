"""What trends in a visitor's context against what trends for everybody, on what came after."""

from collections.abc import Sequence

import numpy as np

from features.items import Item
from features.trends import context_key, in_context
from models.arrays import Int32
from models.trending import Trending
from training import datasets, evaluation, statistics
from training.splits import Split

K = 10


def measured(model: Trending, split: Split, catalogue: Sequence[Item], seed: int) -> dict[str, float]:
    """NDCG@10 of the list in each customer's newest context, and what it gains over the one list, with its interval.

    The context is the newest country and device, and the category of the item met last; nothing where none is known.
    """
    asked = evaluation.question(split, model.items, False)
    categories = {item.item_id: item.category for item in catalogue}
    trends, known = model.trends(categories), _contexts(split, categories)
    keys = [known.get(user, ()) for user in asked.users.ids]
    if not any(key in trends for each in keys for key in each):
        return {}
    lists = {each: _rows(model, in_context(trends, each)) for each in {*keys, ()}}
    own, plain = np.stack([lists[each] for each in keys]), np.stack([lists[()]] * len(keys))
    found, without = (evaluation.judge(answers, asked, (K,)) for answers in (own, plain))
    apart = statistics.paired(found.values[f"ndcg@{K}"], without.values[f"ndcg@{K}"], seed)
    return {
        f"ndcg@{K}_in_context": found.metrics[f"ndcg@{K}"],
        "gain_in_context": apart.mean,
        "gain_in_context_low": apart.low,
        "gain_in_context_high": apart.high,
    }


def _rows(model: Trending, listed: Sequence[tuple[str, float]]) -> Int32:
    rows = model.items.rows([item for item, _ in listed[:K]])
    return np.concatenate([rows, np.full(K - len(rows), -1)]).astype(np.int32)


def _contexts(split: Split, categories: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """Of each customer the contexts of the newest row."""
    newest = datasets.in_order(split.known).drop_duplicates("user_id", keep="last")
    columns = [newest[kind].astype("str").fillna("") for kind in datasets.CONTEXTS if kind in newest.columns]
    kinds = [*(kind for kind in datasets.CONTEXTS if kind in newest.columns), "category"]
    columns.append(newest["item_id"].map(lambda item: categories.get(item, "")))
    found = zip(newest["user_id"], *columns, strict=True)
    return {
        user: tuple(key for kind, value in zip(kinds, values, strict=True) if (key := context_key(kind, value)))
        for user, *values in found
    }
