"""Visits as steps in time: one row for each event, in the order in which it happens."""

from dataclasses import dataclass

import numpy as np

from pipelines.simulation.customers import HABITS
from pipelines.simulation.shop import DAY_MS, Flags, Ints
from pipelines.simulation.visits import Visits, World

# Kinds of steps, in the order in which they come within a visit, a leg or a look.
PAGE, SEARCH, LIST, CLICK, VIEW, ADD, WISH, REMOVE, IDENTIFY, CHECKOUT, ORDER, REFUND = range(12)

_HOUR_MS = 3_600_000
_LEG = 1_000  # room for the steps of a leg, ten for a look
_END = 9_000  # after the last leg
_LONGEST_GAP_MS = 300_000
_HABITS = np.cumsum(HABITS / HABITS.sum(axis=1, keepdims=True), axis=1)


@dataclass(frozen=True)
class Steps:
    """Steps visit by visit; `place` is the row of the leg or look that a step is about, `time` ms UTC.

    `named` says whether the person is signed in by then.
    """

    visit: Ints
    kind: Ints
    place: Ints
    time: Ints
    named: Flags

    def first(self, count: int) -> "Steps":
        """The first `count` steps."""
        return Steps(self.visit[:count], self.kind[:count], self.place[:count], self.time[:count], self.named[:count])


def make_steps(world: World, visits: Visits, rng: np.random.Generator) -> Steps:
    """The steps of visits, each visit within the day."""
    visit, kind, place, key = _ordered(visits)
    gap = np.clip(rng.lognormal(9.9, 0.9, len(visit)), 800, _LONGEST_GAP_MS).astype(np.int64)
    first = np.flatnonzero(np.diff(visit, prepend=-1))
    last = np.append(first[1:], len(visit)) - 1
    gap[first] = 0
    passed = np.cumsum(gap)
    passed -= passed[first][visit]
    time = _arrivals(world, visits.person, passed[last], rng)[visit] + passed
    named = ~visits.signed_out[visit] | (visits.signs_in[visit] & (key >= _END + IDENTIFY))
    return Steps(visit, kind, place, time, named)


def whole_visits(steps: Steps, wanted: int, most: int) -> int:
    """How many steps to keep so that visits stay whole: as few as reach `wanted`, but never more than `most`."""
    ends = np.flatnonzero(np.diff(steps.visit, append=-1)) + 1
    enough = min(int(np.searchsorted(ends, wanted)), len(ends) - 1)
    return min(int(ends[enough]), most)


def _ordered(visits: Visits) -> tuple[Ints, Ints, Ints, Ints]:
    """Visit, kind, place and order key of every step; every visit has at least one look."""
    legs, looks = visits.legs, visits.looks
    leg_key = _LEG * (1 + _rank(legs.visit))
    look_key = leg_key[looks.leg] + 10 + 10 * looks.nth
    end_key = np.full(len(visits.person), _END)
    everyone = np.arange(len(visits.person))
    blocks = [
        _block(PAGE, everyone, visits.landed, end_key * 0),
        _block(SEARCH, legs.visit, legs.searched, leg_key),
        _block(LIST, legs.visit, legs.listed, leg_key),
        _block(CLICK, looks.visit, looks.clicked, look_key),
        _block(VIEW, looks.visit, np.ones(len(looks.visit), dtype=np.bool_), look_key),
        _block(ADD, looks.visit, looks.added, look_key),
        _block(WISH, looks.visit, looks.wished, look_key),
        _block(REMOVE, looks.visit, looks.removed, end_key[looks.visit] - 500 + 10 * looks.nth),
        _block(IDENTIFY, everyone, visits.signs_in, end_key),
        _block(CHECKOUT, everyone, visits.checks_out, end_key),
        _block(ORDER, everyone, visits.orders, end_key),
    ]
    visit, kind, place, key = (np.concatenate(column) for column in zip(*blocks, strict=True))
    order = np.lexsort((place, key, visit))
    return visit[order], kind[order], place[order], key[order]


def _block(kind: int, visit: Ints, happens: Flags, key: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    place = np.flatnonzero(happens)
    return visit[place], np.full(len(place), kind), place, key[place] + kind


def _rank(group: Ints) -> Ints:
    """0, 1, 2, ... within each run of equal values."""
    first = np.flatnonzero(np.diff(group, prepend=-1))
    return np.arange(len(group)) - np.repeat(first, np.diff(np.append(first, len(group))))


def _arrivals(world: World, person: Ints, duration: Ints, rng: np.random.Generator) -> Ints:
    """When visits begin: at an hour of the person's habit, earlier where they would run into the next day."""
    start = world.shop.starts(world.day)
    chance = rng.random(len(person))
    hour = np.minimum((_HABITS[world.people.habit[person]] < chance[:, None]).sum(axis=1), 23)
    of_day = hour * _HOUR_MS + rng.integers(0, _HOUR_MS, len(person))
    offset = (of_day - start) % DAY_MS
    return np.asarray(start + np.maximum(0, np.minimum(offset, DAY_MS - 1 - duration)))
