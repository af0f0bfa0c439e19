"""Events about items as columns, and what they say of items and of all customers together, counted the plain way."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

import numpy as np

from features import columns
from features.columns import MISSING, Events, Text
from features.contributions import MOST_TOGETHER
from features.feature import Feature
from features.table import Table, needs
from features.tiles import Part
from features.weights import WEIGHTS
from features.windows import TILE_MS, Window

HOUR_MS = 12 * TILE_MS
NAMES = ("Product Viewed", "Product Added", "Order Completed", "page")


class Fact(NamedTuple):
    """One event: its lines are (item, pieces, cents)."""

    name: str
    time: int
    bucket: int
    lines: tuple[tuple[str, int, int], ...]
    country: str = ""
    device: str = ""


def facts(rng: Random, n: int, newest: int, span_ms: int, buckets: int, items: int = 6) -> list[Fact]:
    """Random ones, in no order of time, the most of them lately."""
    made = []
    for _ in range(n):
        name = rng.choice(NAMES)
        count = {"Order Completed": rng.randrange(1, 4), "page": 0}.get(name, 1)
        lines = tuple((f"i{rng.randrange(items)}", rng.randrange(1, 4), rng.randrange(5_000)) for _ in range(count))
        time, where = newest - int(span_ms * rng.random() ** 3), rng.choice(("", "GB", "Utopia"))
        made.append(Fact(name, time, rng.randrange(buckets), lines, where, rng.choice(("", "mobile"))))
    return made


def events_of(found: Sequence[Fact]) -> Events:
    """As columns, in their order."""
    lines = [(at, *line) for at, fact in enumerate(found) for line in fact.lines]
    time = np.array([fact.time for fact in found], np.int64)
    none, nothing = Text(np.zeros(len(found), np.int32), [""]), Text(np.zeros(len(lines), np.int32), [""])
    pieces, cents = (np.array([line[at] for line in lines], np.int64) for at in (2, 3))
    return Events(
        customer=Text.of(["u:c"] * len(found)),
        name=np.array([columns.NAMES.index(fact.name) for fact in found], np.int16),
        time=time,
        received=time,
        available=time,
        message=np.arange(len(found), dtype=np.uint64),
        trusted=np.ones(len(found), np.bool_),
        numbers={name: np.full(len(found), MISSING) for name in columns.EVENT_NUMBERS},
        texts={
            **dict.fromkeys(columns.EVENT_TEXTS, none),
            "country": Text.of([fact.country for fact in found]),
            "device": Text.of([fact.device for fact in found]),
        },
        line_of=np.array([line[0] for line in lines], np.int32),
        line_numbers={"pieces": pieces, "cents": cents, "price": cents},
        line_texts={**dict.fromkeys(columns.LINE_TEXTS, nothing), "item": Text.of([line[1] for line in lines])},
    )


def part_of(found: Sequence[Fact]) -> Part:
    """As columns, with their buckets."""
    return Part(events_of(found), np.array([fact.bucket for fact in found], np.int64))


def counted(table: Table, name: str, item: str, found: Sequence[Fact], now: int) -> Any:
    """A feature of an item (of all customers where it has no name) at a moment, from the facts themselves."""
    feature = table.features[name]
    if feature.kind == "ratio":
        part, whole = (counted(table, each, item, found, now) for each in feature.parts)
        return part * feature.argument / whole if whole else None
    ((_, window),) = needs(feature)
    inside = [f for f in found if (not feature.events or f.name in feature.events) and _inside(window, f.time, now)]
    if feature.by == "with":
        return _together(item, inside)
    if feature.by == "beside":
        return {}  # no customer's touches are folded from these facts
    if feature.by:
        keys = sorted({getattr(fact, feature.by) for fact in inside if _lines(feature, item, fact)} - {""})
        plain = replace(feature, by="")
        return {key: _total(plain, item, [f for f in inside if getattr(f, feature.by) == key]) for key in keys}
    return _total(feature, item, inside)


def _total(feature: Feature, item: str, inside: Sequence[Fact]) -> int:
    return sum(_amount(feature, fact, line) for fact in inside for line in _lines(feature, item, fact))


def _inside(window: Window, time: int, now: int) -> bool:
    moment = np.array([now])
    return bool(window.start(moment)[0] <= time // TILE_MS < window.end(moment)[0])


def _lines(feature: Feature, item: str, fact: Fact) -> list[tuple[str, int, int]]:
    """The lines that count; an event without them counts once for all customers together."""
    if item:
        return [line for line in fact.lines if line[0] == item]
    return list(fact.lines) if feature.of in {"pieces", "cents"} else [("", 1, 0)]


def _amount(feature: Feature, fact: Fact, line: tuple[str, int, int]) -> int:
    amounts = {"one": 1, "pieces": line[1], "cents": line[2], "weight": WEIGHTS.get(fact.name, 0)}
    return amounts[feature.of]


def _together(item: str, inside: Sequence[Fact]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for fact in inside:
        items = {line[0] for line in fact.lines[:MOST_TOGETHER]}
        for other in sorted(items - {item}) if item in items else ():
            sums[other] = sums.get(other, 0) + 1
    return dict(sorted(sums.items()))
