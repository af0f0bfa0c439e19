"""Accuracy by how much was known: of the user when asked, of the item when the model was fitted.

Cold is fewer than 5 interactions, warm 5 to 19, hot 20 or more: of a user those of the history asked with, of an item
those of the fit. A target that the model doesn't know is a cold item.

| name                        | meaning                                                                      |
| --------------------------- | ---------------------------------------------------------------------------- |
| `ndcg@20_users_cold` ...    | mean over the users of that group; absent where there are none               |
| `users_cold` ...            | how many they are                                                            |
| `recall@20_items_cold` ...  | of the targets of that group those found: mean over users who have such ones |
"""

import numpy as np
from numpy.typing import NDArray

from models.arrays import Csr, Int32, Int64
from training.metrics import hits_of

Float64 = NDArray[np.float64]

WARM, HOT = 5, 20  # interactions from which on
NAMES = ("cold", "warm", "hot")


def by_user(values: dict[str, Float64], known: Int64) -> dict[str, float]:
    """The means of each group of users.

    Args:    values: (n,) of each user, by metric; known: (n,) events of the user's history.
    """
    group = np.digitize(known, (WARM, HOT))
    found: dict[str, float] = {}
    for at, name in enumerate(NAMES):
        chosen = group == at
        found[f"users_{name}"] = float(np.count_nonzero(chosen))
        if chosen.any():
            found |= {f"{metric}_users_{name}": float(value[chosen].mean()) for metric, value in values.items()}
    return found


def by_item(slates: Int32, wanted: Csr, unknown: Int64, met: Int64) -> dict[str, float]:
    """Recall of the targets of each group of items.

    Args:    slates: (n, k) int32; wanted: (n, n_items) csr of ones; unknown: (n,) targets outside of the catalogue;
             met: (n_items,) interactions of each item in the fit.
    """
    users, group = len(slates), np.digitize(met, (WARM, HOT))
    row = np.repeat(np.arange(users), np.diff(wanted.indptr))
    hit, place = np.nonzero(hits_of(slates, wanted))
    found: dict[str, float] = {}
    for at, name in enumerate(NAMES):
        targets = np.bincount(row[group[wanted.indices] == at], minlength=users) + (unknown if at == 0 else 0)
        hits = np.bincount(hit[group[slates[hit, place]] == at], minlength=users)
        if targets.any():
            recall = hits[targets > 0] / targets[targets > 0]
            found[f"recall@{slates.shape[1]}_items_{name}"] = float(recall.mean())
    return found
