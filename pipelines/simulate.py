"""A shop that never was: seeded, any size, with a known truth behind its events."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pipelines.simulation.catalogue import make_items, shelves, upserts
from pipelines.simulation.clerk import Clerk
from pipelines.simulation.customers import Truth, fresh_memory, make_people, truth
from pipelines.simulation.orders import baskets, due_refunds, settle
from pipelines.simulation.shop import Shop, targets
from pipelines.simulation.steps import CHECKOUT, make_steps, whole_visits
from pipelines.simulation.visits import World, draw_visits, make_world
from pipelines.simulation.wire import Draft, write

__all__ = ["Shop", "Truth", "catalogue", "events", "simulate", "truth"]

_STREAM_VISITS = 4
_STEPS_PER_VISIT = 7  # somewhat fewer than there are: a second draw costs more than a few visits too many
_MOST_VISITS = 20_000  # at a time


def catalogue(shop: Shop) -> list[dict[str, Any]]:
    """Messages of the `items` topic in time order: launches, changes of price and of stock; the last of an id holds."""
    return [message for _, message in upserts(shop, make_items(shop))]


def events(shop: Shop) -> Iterator[bytes]:
    """Messages of the `events` topic, JSON, in time order; in order of arrival where some are late.

    Memory holds the customers, the catalogue and one day of events, however many days there are.
    """
    items, people = make_items(shop), make_people(shop)
    memory, done = fresh_memory(people), 0
    for day, (shelf, target) in enumerate(zip(shelves(shop, items), targets(shop).tolist(), strict=True)):
        world = make_world(shop, items, people, memory, day, shelf)
        rng = shop.random(_STREAM_VISITS, day)
        drafts = _day(world, target - done, shop.events - done, rng)
        yield from write(world, drafts, done, rng)
        done += len(drafts)


def simulate(shop: Shop, output: Path) -> None:
    """Writes `items.jsonl` and `events.jsonl.gz` into a folder, which is made where it is missing."""
    output.mkdir(parents=True, exist_ok=True)
    with (output / "items.jsonl").open("wb") as file:
        file.writelines(msgspec.json.encode(message) + b"\n" for message in catalogue(shop))
    # No file name and no time in the header: the same shop gives the same file.
    with (
        (output / "events.jsonl.gz").open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as file,
    ):
        file.writelines(message + b"\n" for message in events(shop))


def _day(world: World, wanted: int, most: int, rng: np.random.Generator) -> list[Draft]:
    """The events of a day, about `wanted` of them so that visits stay whole, and never more than `most`."""
    clerk = Clerk(world)
    drafts = [clerk.refund(refund) for refund in due_refunds(world.memory, world.day)][:most]
    while len(drafts) < wanted:
        missing = wanted - len(drafts)
        visits = draw_visits(world, min(missing // _STEPS_PER_VISIT + 1, _MOST_VISITS), rng)
        drawn = make_steps(world, visits, rng)
        steps = drawn.first(whole_visits(drawn, missing, most - len(drafts)))
        carts = baskets(world, visits, steps.visit[steps.kind == CHECKOUT])
        drafts += clerk.drafts(visits, steps, carts, settle(world, visits, steps, rng))
    return drafts
