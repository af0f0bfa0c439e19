"""Who comes to the shop, what they like, when they come and when they stop; and the truth about it, for tests."""

from dataclasses import dataclass, field

import numpy as np

from pipelines.simulation.catalogue import TASTES, Items, make_items
from pipelines.simulation.shop import DAY_MS, Flags, Floats, Ints, Shop
from pipelines.simulation.words import CATEGORIES

HAZARD = 0.0025  # of stopping, per day, for an average customer
FADE_DAYS = 21  # who will stop comes ever less often before
NEVER = 1 << 40  # a day that doesn't come
OWNED = 8  # lasting purchases remembered, so that nobody buys the same lamp twice

_STREAM_PEOPLE = 3

# When people shop, weights of the hours 0 to 23 UTC: before work, over lunch, in the evening.
HABITS = np.array(
    [
        [1, 0, 0, 0, 0, 2, 8, 14, 14, 8, 6, 5, 5, 5, 4, 4, 4, 4, 4, 4, 4, 3, 2, 1],
        [1, 0, 0, 0, 0, 0, 1, 2, 4, 6, 8, 11, 14, 13, 9, 7, 6, 5, 4, 4, 4, 3, 2, 1],
        [3, 1, 0, 0, 0, 0, 1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 6, 9, 13, 16, 16, 12, 6],
    ],
    dtype=np.float64,
)
_HABIT_SHARES = (0.25, 0.3, 0.45)


@dataclass(frozen=True)
class People:
    """Customers, then visitors without an account, as arrays over person rows.

    `taste` (n, TASTES), `interest` (categories, TASTES) and `base` (categories,) give how much a person wants a
    category; `thrift` (n,) how much a high price puts off. `rate` is how often a customer comes, relative to others;
    `joins` and `churns` are days, both (n_customers,), `hazard` the true daily probability of stopping.
    """

    customers: int
    taste: Floats
    thrift: Floats
    habit: Ints
    mobile: Flags
    interest: Floats
    base: Floats
    rate: Floats
    joins: Ints
    churns: Ints
    hazard: Floats


@dataclass
class Memory:
    """What visits leave behind: who has signed in before, what is due again and when, what lasts and is owned."""

    signed_in: Flags
    due_item: Ints
    due_day: Ints
    owned: Ints
    bought: Ints
    orders: int = 0
    refunds: dict[int, list["Refund"]] = field(default_factory=dict)


@dataclass(frozen=True)
class Refund:
    """An order's lines that come back: (item row, quantity, price in cents)."""

    time: int
    person: int
    order_id: str
    lines: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Truth:
    """What the events are drawn from, which no model gets to see.

    `tastes` (n_customers, TASTES) and `item_tastes` (n_items, TASTES) are float32; `churned_at` (n_customers,) is the
    time in ms UTC from which a customer leaves no more events, -1 for one who stays; `hazard` (n_customers,) is the
    daily probability with which that was drawn.
    """

    customers: tuple[str, ...]
    items: tuple[str, ...]
    categories: tuple[str, ...]
    tastes: Floats
    item_tastes: Floats
    hazard: Floats
    churned_at: Ints
    _people: People
    _items: Items

    def preference(self, customers: Ints) -> Floats:
        """The share of a customer's looks that each item gets, before season, discount and stock.

        Args:    customers: (n,) rows of `customers`.
        Returns: (n, n_items) float32; every row sums to 1.
        """
        share = _softmax(category_wish(self._people, customers))
        parts = []
        for k in range(len(CATEGORIES)):
            rows = slice(int(self._items.bounds[k]), int(self._items.bounds[k + 1]))
            parts.append(share[:, k : k + 1] * _softmax(item_wish(self._people, self._items, customers, rows)))
        return np.concatenate(parts, axis=1)


def make_people(shop: Shop) -> People:
    """Everyone who may come. Those who come often stay longer; those who mind prices leave sooner."""
    rng = shop.random(_STREAM_PEOPLE)
    customers, total = shop.n_customers, shop.n_customers + shop.n_visitors
    thrift = rng.gamma(2.0, 0.25, total)
    zeal = rng.normal(0.0, 1.0, customers)
    hazard = HAZARD * np.exp(-0.6 * zeal + 1.2 * (thrift[:customers] - 0.5))
    joins = np.where(rng.random(customers) < 0.6, -1, rng.integers(0, shop.days, customers))
    return People(
        customers=customers,
        taste=rng.normal(0.0, 1.0, (total, TASTES)).astype(np.float32),
        thrift=thrift.astype(np.float32),
        habit=rng.choice(len(HABITS), total, p=_HABIT_SHARES),
        mobile=rng.random(total) < 0.6,
        interest=rng.normal(0.0, 0.45, (len(CATEGORIES), TASTES)).astype(np.float32),
        base=np.log([category.share for category in CATEGORIES]).astype(np.float32),
        rate=np.exp(0.8 * zeal).astype(np.float32),
        joins=joins,
        churns=np.maximum(joins, 0) + rng.geometric(np.minimum(hazard, 0.5)),
        hazard=np.minimum(hazard, 0.5).astype(np.float32),
    )


def fresh_memory(people: People) -> Memory:
    """Before the first day: who has joined earlier is known, who joins later will come soon after joining."""
    total = len(people.taste)
    signed_in = np.zeros(total, dtype=np.bool_)
    signed_in[: people.customers] = people.joins < 0
    due_day = np.full(total, NEVER, dtype=np.int64)
    due_day[: people.customers] = np.where(people.joins < 0, NEVER, people.joins)
    return Memory(
        signed_in=signed_in,
        due_item=np.full(total, -1, dtype=np.int64),
        due_day=due_day,
        owned=np.full((total, OWNED), -1, dtype=np.int64),
        bought=np.zeros(total, dtype=np.int64),
    )


def activity(people: People, memory: Memory, day: int) -> Floats:
    """(n_customers,) relative chance of a visit on a day: none before joining and after stopping."""
    left = people.churns - day
    here = (people.joins <= day) & (left > 0)
    due = np.where(memory.due_day[: people.customers] <= day, 8.0, 1.0)
    return (people.rate * here * due * np.clip(left / FADE_DAYS, 0.15, 1.0)).astype(np.float32)


def category_wish(people: People, persons: Ints) -> Floats:
    """(n, categories) how much persons want each category; a softmax makes it a share."""
    return people.taste[persons] @ people.interest.T + people.base


def item_wish(people: People, items: Items, persons: Ints, rows: slice) -> Floats:
    """(n, items of one category) how much persons want each item; a softmax makes it a share."""
    # One product of matrices instead of three passes over a large one: taste, appeal and price are columns alike.
    ones = np.ones((len(persons), 1), dtype=np.float32)
    who = np.concatenate([people.taste[persons], ones, -people.thrift[persons, None]], axis=1)
    what = np.column_stack([items.taste[rows], items.appeal[rows], items.expensive[rows]])
    return np.asarray(who @ what.T)


def truth(shop: Shop) -> Truth:
    """The ground truth of a shop, for tests that ask whether a model recovered it."""
    items, people = make_items(shop), make_people(shop)
    stopped = np.where(people.churns < shop.days, shop.starts(0) + people.churns * DAY_MS, -1)
    return Truth(
        customers=tuple(customer_id(row) for row in range(people.customers)),
        items=items.ids,
        categories=tuple(CATEGORIES[k].name for k in items.category),
        tastes=people.taste[: people.customers],
        item_tastes=items.taste,
        hazard=people.hazard,
        churned_at=stopped,
        _people=people,
        _items=items,
    )


def customer_id(row: int) -> str:
    """The user_id of a customer."""
    return f"c{row:06d}"


def _softmax(wish: Floats) -> Floats:
    weight = np.exp(wish - wish.max(axis=1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), dtype=np.float32)
