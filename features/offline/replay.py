"""Features of the past by the fold itself: the states that were known at each moment, and what was read of them.

Asking an entity about L moments by folding all that was known at each costs L times its events. So its moments go in
blocks: one state takes the events up to a block's first moment, each of the block's moments takes those since then
into a copy of it, and the last of them is where the next block starts.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from features.cells import Cells, merge, select, series_of
from features.checks import OTHERS
from features.columns import Bools, Events
from features.contributions import SUB_BITS, Deltas, Reader, key_of
from features.folds import state_of
from features.offline.gather import Facts
from features.offline.ranges import places, spread
from features.reading import Column, evaluate
from features.states import Names, States, Touches, add_names, no_states, ragged
from features.table import Table
from features.tiles import named
from features.windows import Ints

WORK = 400_000  # events of a chunk, about
PIECE = 200_000  # events folded at once
_ROUND = 5_000  # a round of blocks costs as much as so many events

Fold = Callable[[States, Ints, Ints], States]  # states, rows of the facts, the state that each belongs to
Answers = tuple[Ints, dict[str, Column]]  # which asks, and their features


class _Blocks(NamedTuple):
    """Asks of entities in blocks: where an entity's facts begin, and those known at each ask end; and its block."""

    entity: Ints
    as_of: Ints
    first: Ints
    end: Ints
    block: Ints
    chunk: Ints


def replay(
    table: Table, names: Sequence[str], facts: Facts, entity: Ints, as_of: Ints, ids: Sequence[str] | None
) -> Iterator[Answers]:
    """The named features at each moment, a part of the asks at a time.

    Args:    entity, as_of: (n,) who is asked about and when, ms UTC; by entity, then moment.
             ids: of items, where the entities are items; None where they are customers, none where they are all.
    """
    order = np.lexsort((facts.known, facts.entity))
    facts = Facts(facts.entity[order], facts.known[order], facts.events.take(order))
    blocks = _blocks(facts, entity, as_of)
    fold = _folder(table, facts, ids)
    edges = np.flatnonzero(np.diff(blocks.chunk, prepend=-1, append=-1)) if len(entity) else np.zeros(1, np.int64)
    for start, end in pairwise(edges.tolist()):
        part = _Blocks(*(column[start:end] for column in blocks))
        for rows, states in _rounds(fold, part):
            yield rows + start, evaluate(table, states, part.as_of[rows], names)


def _blocks(facts: Facts, entity: Ints, as_of: Ints) -> _Blocks:
    n = len(entity)
    if not n:
        return _Blocks(*(np.empty(0, np.int64) for _ in range(6)))
    known = facts.known if len(facts.known) else as_of
    to = places(int(entity.max()) + 1, int(known.min()), int(known.max()))
    place = to.of(facts.entity, facts.known)
    first = np.searchsorted(place, to.of(entity, np.full(n, -1)))
    end = np.searchsorted(place, to.of(entity, as_of + 1))
    begins = np.flatnonzero(np.diff(entity, prepend=-1))
    whose = np.cumsum(np.diff(entity, prepend=-1) != 0) - 1
    asks = np.diff(np.append(begins, n))
    events = (end - first)[np.append(begins[1:], n) - 1]
    size = np.clip(np.sqrt(_ROUND * asks / np.maximum(events, 1)), 1, asks).astype(np.int64)
    block = (np.arange(n) - begins[whose]) // size[whose]
    opens = np.maximum.accumulate(np.where(_changes(whose, block), np.arange(n), 0))
    costs = end - end[opens] + 20
    costs[begins] += events
    chunk = (np.cumsum(costs) // WORK)[begins]  # an entity is never split
    return _Blocks(entity, as_of, first, end, block, chunk[whose])


def _changes(*columns: Ints) -> Bools:
    changed = np.zeros(len(columns[0]), np.bool_)
    changed[0] = True
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    return changed


def _rounds(fold: Fold, part: _Blocks) -> Iterator[tuple[Ints, States]]:
    """All entities of a chunk, a block of each at a time."""
    base, before = no_states(0), np.empty(0, np.int64)
    more = np.diff(part.entity, append=-1) == 0
    order = np.argsort(part.block, kind="stable")
    ends = np.searchsorted(part.block[order], np.arange(int(part.block.max()) + 2)).tolist()
    for number, (start, end) in enumerate(pairwise(ends)):
        rows = order[start:end]
        opens = np.flatnonzero(np.diff(part.entity[rows], prepend=-1))
        closes = np.append(opens[1:], len(rows)) - 1
        if not number:
            base, before = no_states(len(opens)), part.first[rows[opens]]
        sofar, fresh = spread(before, part.end[rows[opens]])
        base = fold(base, fresh, sofar)
        whose = np.repeat(np.arange(len(opens)), np.diff(np.append(opens, len(rows))))
        owner, later = spread(part.end[rows[opens]][whose], part.end[rows])
        states = fold(taken(base, whose) if len(rows) > len(opens) else base, later, owner)
        yield rows, states
        closes = closes[more[rows[closes]]]
        base, before = taken(states, closes), part.end[rows[closes]]


def taken(states: States, rows: Ints) -> States:
    """Some of the states, in the order given, any of them several times; without the messages seen."""
    cells, touches, names = states.cells, states.touches, states.names
    ends, at = _taken(cells.ends, rows)
    touch_ends, touch = _taken(touches.ends, rows)
    name_ends, name = _taken(names.ends, rows)
    return States(
        Cells(ends, cells.key[at], cells.value[at]),
        Touches(touch_ends, touches.time[touch], touches.event[touch], touches.sub[touch]),
        Names(name_ends, names.sub[name], *ragged(names.heap, names.at[:-1][name], np.diff(names.at)[name])),
        no_states(len(rows)).seen,
    )


def _taken(ends: Ints, rows: Ints) -> tuple[Ints, Ints]:
    starts, stops = ends[rows], ends[rows + 1]
    return np.concatenate(([0], np.cumsum(stops - starts))).astype(np.int64), spread(starts, stops)[1]


def _folder(table: Table, facts: Facts, ids: Sequence[str] | None) -> Fold:
    """Folds facts into states, a piece at a time, so that memory stays bounded; the pieces can't be seen."""
    owns = None if ids is None else _own_lines(facts, ids)

    def fold(states: States, rows: Ints, owner: Ints) -> States:
        for start in range(0, len(rows), PIECE):
            piece, whose = rows[start : start + PIECE], owner[start : start + PIECE]
            events = facts.events.take(piece)
            if owns is None:
                states = state_of(table, states, events, whose)
            else:
                states = _shared(table, states, events, whose, owns(piece, events))
        return states

    return fold


def _own_lines(facts: Facts, ids: Sequence[str]) -> Callable[[Ints, Events], Bools]:
    """Which lines are of the item that their fact is about; all where the facts are about all items together."""
    numbers = {item: number for number, item in enumerate(ids)}
    text = facts.events.line_texts["item"]
    item = np.array([numbers.get(value, -1) for value in text.values] or [-1], np.int64)

    def owns(rows: Ints, events: Events) -> Bools:
        if not ids:
            return np.ones(len(events.line_of), np.bool_)
        own: Bools = item[events.line_texts["item"].codes] == facts.entity[rows][events.line_of]
        return own

    return owns


def _shared(table: Table, states: States, events: Events, owner: Ints, own: Bools) -> States:
    """The fold of items and of all customers together: the same cells from the same reader."""
    read = Reader(events)
    deltas = [Deltas(owner, np.zeros(len(owner), np.uint64), events.time)]
    names = states.names
    for number, series in enumerate(table.series):
        if series.need.entity not in {"item", "global"}:
            continue
        rows = read.rows(series.need)
        mine = np.flatnonzero((rows.line < 0) | own[rows.line]) if len(own) else np.arange(len(rows.event))
        event, sub = rows.event[mine], rows.sub[mine]
        deltas.append(Deltas(owner[event], key_of(number, sub, read.start(series.step)[event]), rows.value[mine]))
        if named(series.need):
            codes = read.codes("item" if series.need.by in OTHERS else series.need.by)[rows.key[mine]]
            names = add_names(names, owner[event] << SUB_BITS | sub, read.texts, codes)
    cells, _ = merge(table, states.cells, Deltas(*(np.concatenate(column) for column in zip(*deltas, strict=True))))
    cells = select(cells, (cells.value != 0) | (series_of(cells.key) == 0))  # as `features.totals.set_cells` has them
    return states._replace(cells=cells, names=names)
