"""Variety: no category takes more of a slate than its share, and what was shown in vain moves down."""

import math
from collections import Counter

from serving.decide.pool import Pool
from serving.decide.question import Question


def spread(asked: Question, pool: Pool) -> Pool:
    """Of each category no more items among the first n than its share of them; the others follow, in their order.

    Where nothing but a few categories is left, they take the places that remain: a slate is never shorter for it. Items
    without a category count as different, and a slate that the caller limits to categories is left alone.
    """
    share = asked.state.policy.category_share
    if share >= 1.0 or asked.limited:
        return pool
    most, shop = max(1, math.ceil(share * asked.asked.n)), asked.shop
    counts: Counter[str] = Counter()
    first: Pool = []
    later: Pool = []
    for candidate in pool:
        item = shop.get(candidate.item_id)
        category = "" if item is None else item.category
        fits = len(first) < asked.asked.n and (not category or counts[category] < most)
        counts[category] += fits
        (first if fits else later).append(candidate)
    return first + later


def rotated(asked: Question, pool: Pool) -> Pool:
    """What lists showed this customer lately, too often by the policy, moves down a place for each further time.

    What the customer turned to since is not in vain: it stays. A grace of 0 moves nothing.
    """
    listed, grace = asked.asked.listed, asked.state.policy.grace
    if not listed or not grace:
        return pool
    down = [
        max(0, listed.get(candidate.item_id, 0) - grace) * (candidate.item_id not in asked.seen) for candidate in pool
    ]
    # Half a place more, or an item that moves by one would tie with the next and stay.
    return [pool[at] for at in sorted(range(len(pool)), key=lambda at: at + (down[at] + 0.5) * (down[at] > 0))]
