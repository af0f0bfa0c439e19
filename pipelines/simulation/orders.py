"""What a visit leaves behind: a signed-in customer, an order, what it fills up for how long, and what comes back."""

import numpy as np

from pipelines.simulation.customers import NEVER, OWNED, Memory, Refund
from pipelines.simulation.shop import DAY_MS, Ints
from pipelines.simulation.steps import IDENTIFY, ORDER, Steps
from pipelines.simulation.visits import CYCLE, Visits, World
from pipelines.simulation.words import CATEGORIES

# One basket line: item row, quantity, price in cents.
BasketLine = tuple[int, int, int]

REFUNDED, FASHION_REFUNDED = 0.06, 0.18
WHOLE_ORDER_REFUNDED = 0.3
REFUND_DAYS = (3, 25)


def baskets(world: World, visits: Visits, chosen: Ints) -> dict[int, tuple[BasketLine, ...]]:
    """The lines in the cart at checkout, for the chosen visits."""
    looks = visits.looks
    kept = np.flatnonzero(looks.added & ~looks.removed)
    first, end = np.searchsorted(looks.visit[kept], [chosen, chosen + 1])
    item, quantity = looks.item[kept], looks.quantity[kept]
    lines = list(zip(item.tolist(), quantity.tolist(), world.shelf.price[item].tolist(), strict=True))
    return {int(visit): tuple(lines[a:b]) for visit, a, b in zip(chosen, first, end, strict=True)}


def settle(world: World, visits: Visits, steps: Steps, rng: np.random.Generator) -> dict[int, str]:
    """Writes what the steps change into the memory; returns the order ids by visit."""
    memory, person = world.memory, visits.person
    came = person[np.unique(steps.visit)]
    served = came[memory.due_day[came] <= world.day]
    memory.due_day[served] = NEVER
    memory.due_item[served] = -1
    memory.signed_in[person[steps.visit[steps.kind == IDENTIFY]]] = True
    ordered = steps.visit[steps.kind == ORDER]
    ids = {}
    for visit, lines in baskets(world, visits, ordered).items():
        memory.orders += 1
        ids[visit] = f"o{memory.orders:07d}"
        buyer = int(person[visit])
        _remember(world, buyer, lines, rng)
        _maybe_return(world, buyer, ids[visit], lines, rng)
    return ids


def due_refunds(memory: Memory, day: int) -> list[Refund]:
    """The refunds of a day, which are then done."""
    return memory.refunds.pop(day, [])


def returned_share(lines: tuple[BasketLine, ...], category: Ints) -> float:
    """How likely an order comes back, in part or as a whole: clothes often don't fit."""
    worn = any(CATEGORIES[category[item]].department == "fashion" for item, _, _ in lines)
    return FASHION_REFUNDED if worn else REFUNDED


def _remember(world: World, buyer: int, lines: tuple[BasketLine, ...], rng: np.random.Generator) -> None:
    memory = world.memory
    for item, quantity, _ in lines:
        cycle = CYCLE[world.items.category[item]]
        if cycle == 0:
            memory.owned[buyer, memory.bought[buyer] % OWNED] = item
            memory.bought[buyer] += 1
        else:
            memory.due_item[buyer] = item
            memory.due_day[buyer] = world.day + int(cycle * (0.75 + 0.25 * quantity) * rng.uniform(0.8, 1.2))


def _maybe_return(
    world: World, buyer: int, order_id: str, lines: tuple[BasketLine, ...], rng: np.random.Generator
) -> None:
    """A refund some days later, unless the customer has stopped or the simulation has ended by then."""
    chance, whole, at = rng.random(3)
    day = world.day + int(rng.integers(*REFUND_DAYS))
    which = int(rng.integers(0, len(lines)))
    if chance < returned_share(lines, world.items.category) and day < min(world.people.churns[buyer], world.shop.days):
        back = lines if whole < WHOLE_ORDER_REFUNDED else (lines[which],)
        time = world.shop.starts(day) + int(at * DAY_MS)
        world.memory.refunds.setdefault(day, []).append(Refund(time, buyer, order_id, back))


def totals(lines: tuple[BasketLine, ...]) -> int:
    """What the lines cost together, in cents."""
    return sum(quantity * price for _, quantity, price in lines)
