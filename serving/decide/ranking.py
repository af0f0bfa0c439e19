"""The ranker: candidates in the order in which what is known at this moment puts them."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from features.profiles import Profile
from models.ranker_rows import ITEM, NAMES, OF_CUSTOMER, RECENT, Customer, Things, table_of
from serving.decide.pool import Candidate, Pool, below
from serving.decide.question import Question

STAGE = "ranker"  # as `degraded` names it
RANKED = 100  # candidates: as many as it learns from
UNKNOWN = (float("nan"),) * len(ITEM)

LiveItems = Mapping[str, Sequence[float]]  # item_id -> the values of ITEM, NaN where there is none


def ranked(asked: Question, pool: Pool) -> Pool:
    """The best RANKED in the ranker's order, with its scores; the rest below them, and what was met before last.

    A list to be ordered is ordered whole. Without a ranker, or of somebody of whom nothing is known, the pool stays as
    it is.

    Raises:  BadInput: the ranker was fitted with other columns; and whatever else it fails with.
    """
    ranker = asked.state.ranker
    if ranker is None or not pool or not asked.asked.features or asked.asked.alike is not None:
        return pool
    whole = asked.asked.item_ids is not None
    new = [candidate for candidate in pool if whole or candidate.item_id not in asked.seen]
    met = [candidate for candidate in pool if not whole and candidate.item_id in asked.seen]
    best, rest = (new, []) if whole else (new[:RANKED], new[RANKED:])
    scores = ranker.model.score(table_of(_customer(asked), _things(asked, best)), NAMES).tolist()
    rescored = [candidate.scored(score) for candidate, score in zip(best, scores, strict=True)]
    first = sorted(rescored, key=lambda candidate: (-candidate.score, candidate.item_id))
    return below(below(first, rest), met)


def features_of(profile: Profile, now: int) -> Mapping[str, Any]:
    """The live features of a customer that a ranker reads; empty where nothing is known.

    Those that an older generation lacks while it serves are left out, and so unknown to the ranker.
    """
    known = [name for name in OF_CUSTOMER if name in profile.table.features and name != RECENT]
    return {**profile.features(now, known), RECENT: profile.recent} if profile.last_seen else {}


def _customer(asked: Question) -> Customer:
    touches = asked.asked.touches
    last = asked.shop.get(touches[-1].item_id) if touches else None
    return Customer(asked.asked.now, asked.asked.features, "" if last is None else last.category)


def _things(asked: Question, pool: list[Candidate]) -> Things:
    shop, live = asked.shop, asked.state.items
    ids = [candidate.item_id for candidate in pool]
    known = [shop.get(item_id) for item_id in ids]
    numbers = chain.from_iterable([live.get(item_id, UNKNOWN) for item_id in ids])
    return Things(
        ids=ids,
        live=np.fromiter(numbers, np.float64, len(ids) * len(ITEM)).reshape(len(ids), len(ITEM)),
        price=np.array([np.nan if item is None or item.price is None else item.price for item in known]),
        in_stock=np.array([np.nan if item is None else float(item.in_stock) for item in known]),
        category=["" if item is None else item.category for item in known],
    )
