"""A small world with a known answer: half of the users like the first half of the items, half the second."""

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from models.interactions import IdMap, Interactions

DAY_MS = 86_400_000


def checkerboard(users: int = 20, items: int = 10) -> Interactions:
    """User u has taken every item of u's own parity, but for one; the one right answer is that one."""
    taken = (np.arange(users)[:, None] + np.arange(items)[None]) % 2 == 0
    taken[np.arange(users), _missing(users, items)] = False
    matrix = csr_matrix(taken.astype(np.float32))
    matrix.sort_indices()
    return Interactions.of(_ids("u", users), _ids("i", items), matrix)


def missing(users: int = 20, items: int = 10) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """The row of the item that each user of the checkerboard lacks."""
    return _missing(users, items)


def two_tastes(days: int = 60, users: int = 40, items: int = 20, seed: int = 0) -> pd.DataFrame:
    """Orders of one item a day and user, nine in ten from the user's own half, as features.offline gives them."""
    rng = np.random.default_rng(seed)
    at, user = np.divmod(np.arange(days * users), users)
    own = rng.random(len(user)) < 0.9
    half = (user % 2) ^ ~own
    item = half * (items // 2) + rng.integers(0, items // 2, len(user))
    return pd.DataFrame(
        {
            "user_id": [f"u:{number:03d}" for number in user],
            "item_id": [f"i{number:03d}" for number in item],
            "timestamp": 1_700_000_000_000 + at * DAY_MS + user,
            "event": "Order Completed",
            "quantity": 1.0,
        }
    )


def _ids(prefix: str, count: int) -> IdMap:
    return IdMap(tuple(f"{prefix}{number:03d}" for number in range(count)))


def _missing(users: int, items: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    rows = np.arange(users)
    return (rows % 2 + 2 * (rows // 2 % (items // 2))) % items
