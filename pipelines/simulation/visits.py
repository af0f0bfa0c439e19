"""What people do on a visit: where they look, what they put into the cart and whether they pay."""

from dataclasses import dataclass

import numpy as np

from pipelines.simulation.catalogue import Items, Shelf
from pipelines.simulation.customers import Memory, People, activity, category_wish, item_wish
from pipelines.simulation.shop import Flags, Floats, Ints, Shop, category_season
from pipelines.simulation.words import CATEGORIES

LEGS = (0.55, 0.3, 0.15)  # chances of one, two or three categories in a visit
LISTED = 6  # items that a list shows
VISITORS = 0.17  # share of visits by people without an account
SIGNED_OUT = 0.1  # share of customers' visits that begin signed out
ON_A_MISSION = 0.22  # share of visits that mean to buy
CYCLE = np.array([category.cycle for category in CATEGORIES])

_NOT_SOLD = np.float32(-1e9)


@dataclass(frozen=True)
class World:
    """What visits are drawn from; `shelf` and `season` are of `day`."""

    shop: Shop
    items: Items
    people: People
    memory: Memory
    day: int
    shelf: Shelf
    season: Floats


@dataclass(frozen=True)
class Legs:
    """Categories gone through, in order of visits: `shown` (n, LISTED) item rows by liking, -1 where there is none."""

    visit: Ints
    category: Ints
    shown: Ints
    searched: Flags
    listed: Flags


@dataclass(frozen=True)
class Looks:
    """Products looked at, in order of visits, and what came of it."""

    visit: Ints
    leg: Ints
    nth: Ints
    item: Ints
    clicked: Flags
    wished: Flags
    added: Flags
    removed: Flags
    quantity: Ints


@dataclass(frozen=True)
class Visits:
    """Some visits of one day, each by another person, in no particular order."""

    person: Ints
    signed_out: Flags
    signs_in: Flags
    landed: Flags
    checks_out: Flags
    orders: Flags
    legs: Legs
    looks: Looks


def make_world(shop: Shop, items: Items, people: People, memory: Memory, day: int, shelf: Shelf) -> World:
    """The world of one day."""
    return World(shop, items, people, memory, day, shelf, category_season(shop, day))


def draw_visits(world: World, count: int, rng: np.random.Generator) -> Visits:
    """About `count` visits: somewhat fewer where the same person was drawn twice, never none."""
    person = _persons(world, count, rng)
    account = person < world.people.customers
    due = account & (world.memory.due_day[person] <= world.day)
    wanted = np.where(due, world.memory.due_item[person], -1)
    mission = (rng.random(len(person)) < ON_A_MISSION) | (wanted >= 0)
    legs = _legs(world, person, wanted, rng)
    looks = _looks(world, person, wanted, mission, legs, rng)
    filled = np.bincount(looks.visit[looks.added & ~looks.removed], minlength=len(person)) > 0
    chance = rng.random((4, len(person)))
    checks_out = filled & account & (chance[0] < np.where(mission, 0.65, 0.3))
    known = world.memory.signed_in[person]
    signed_out = ~known | (chance[1] < SIGNED_OUT)
    return Visits(
        person=person,
        signed_out=signed_out,
        signs_in=signed_out & (checks_out | (account & ~known & (chance[2] < 0.5))),
        landed=rng.random(len(person)) < 0.5,
        checks_out=checks_out,
        orders=checks_out & (chance[3] < 0.75),
        legs=legs,
        looks=looks,
    )


def _persons(world: World, count: int, rng: np.random.Generator) -> Ints:
    """Different persons in a random order. Visitors come within ten days of each other and not again."""
    shop = world.shop
    busy = np.cumsum(activity(world.people, world.memory, world.day), dtype=np.float64)
    strangers = int(rng.binomial(count, VISITORS)) if busy[-1] > 0 else count
    window = max(1, shop.n_visitors * 10 // (shop.days + 10))
    first = (shop.n_visitors - window) * world.day // shop.days
    visitors = shop.n_customers + first + rng.integers(0, window, strangers)
    customers = np.searchsorted(busy, rng.random(count - strangers) * busy[-1], side="right")
    return rng.permutation(np.unique(np.concatenate([customers, visitors])))


def _legs(world: World, person: Ints, wanted: Ints, rng: np.random.Generator) -> Legs:
    counts = rng.choice(len(LEGS), len(person), p=LEGS) + 1
    visit = np.repeat(np.arange(len(person)), counts)
    wish = category_wish(world.people, person)[visit] + world.season
    category = np.argmax(wish + rng.gumbel(size=wish.shape), axis=1)
    first = np.flatnonzero(np.diff(visit, prepend=-1))
    refill = first[wanted >= 0]
    category[refill] = world.items.category[wanted[wanted >= 0]]
    shown = np.full((len(visit), LISTED), -1, dtype=np.int64)
    for k in np.unique(category).tolist():
        rows = np.flatnonzero(category == k)
        shown[rows] = _shown(world, person[visit[rows]], k, rng)
    shown[refill] = _put_first(shown[refill], wanted[wanted >= 0])
    searched = rng.random(len(visit)) < 0.35
    return Legs(visit, category, shown, searched, searched | (rng.random(len(visit)) < 0.6))


def _shown(world: World, person: Ints, category: int, rng: np.random.Generator) -> Ints:
    """(n, LISTED) items drawn without replacement in proportion to exp(wish): the highest of wish + Gumbel noise."""
    items, shelf = world.items, world.shelf
    rows = slice(int(items.bounds[category]), int(items.bounds[category + 1]))
    today = np.where(shelf.launched[rows], 2 * shelf.discount[rows] - ~shelf.in_stock[rows], _NOT_SOLD)
    lively = item_wish(world.people, items, person, rows)
    lively += today.astype(np.float32)
    lively -= np.log(rng.standard_exponential(lively.shape, dtype=np.float32) + np.float32(1e-12))
    size = min(LISTED, lively.shape[1])
    top = np.argpartition(lively, lively.shape[1] - size, axis=1)[:, -size:]
    height = np.take_along_axis(lively, top, axis=1)
    order = np.argsort(-height, axis=1, kind="stable")
    sold = np.take_along_axis(height, order, axis=1) > _NOT_SOLD / 2
    shown = np.full((len(person), LISTED), -1, dtype=np.int64)
    shown[:, :size] = np.where(sold, np.take_along_axis(top, order, axis=1) + rows.start, -1)
    return shown


def _put_first(shown: Ints, wanted: Ints) -> Ints:
    """The lists with the wanted item in front; what stood there takes its place where it was shown already."""
    moved = np.where(shown == wanted[:, None], shown[:, :1], shown)
    moved[:, 0] = wanted
    return moved


def _looks(world: World, person: Ints, wanted: Ints, mission: Flags, legs: Legs, rng: np.random.Generator) -> Looks:
    """A person looks at the first few of what is shown, since those are what they like best."""
    there = (legs.shown >= 0).sum(axis=1)
    counts = np.minimum(rng.geometric(0.42, len(there)), there)
    leg = np.repeat(np.arange(len(counts)), counts)
    nth = np.arange(len(leg)) - np.repeat(np.cumsum(counts) - counts, counts)
    item, visit = legs.shown[leg, nth], legs.visit[leg]
    chance = rng.random((4, len(leg)))
    keen = np.where(mission[visit], 0.5, 0.03) * (1 + 1.5 * world.shelf.discount[item])
    keen = np.where(item == wanted[visit], 0.9, keen)
    added = (chance[0] < keen) & _may_add(world, person[visit], visit, item)
    again = CYCLE[world.items.category[item]] > 0
    return Looks(
        visit=visit,
        leg=leg,
        nth=nth,
        item=item,
        clicked=legs.listed[leg] & (chance[1] < 0.4),
        wished=~added & (chance[2] < 0.03),
        added=added,
        removed=added & (chance[3] < 0.12),
        quantity=np.where(again, rng.integers(1, 4, len(leg)), 1 + (rng.random(len(leg)) < 0.1)),
    )


def _may_add(world: World, person: Ints, visit: Ints, item: Ints) -> Flags:
    """In stock, not yet looked at in the same visit, and nothing lasting that the person owns already."""
    first = np.zeros(len(item), dtype=np.bool_)
    first[np.unique(visit * world.shop.n_items + item, return_index=True)[1]] = True
    owned = (world.memory.owned[person] == item[:, None]).any(axis=1)
    return np.asarray(world.shelf.in_stock[item] & first & ~owned)
