"""The events of the log that a frame is about, found in one pass and put aside by part of the entities."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from features.columns import (
    EVENT_NUMBERS,
    EVENT_TEXTS,
    LINE_NUMBERS,
    LINE_TEXTS,
    NAMES,
    Bools,
    Events,
    Text,
    concat,
)
from features.components import Knowledge
from features.contributions import Reader
from features.offline.asks import Asks
from features.offline.log import EventLog
from features.offline.piles import Array, Pile, by_part, narrow, of_text, to_text
from features.offline.prefix import Ledger
from features.offline.ranges import spread
from features.offline.scan import Batch, Progress, scan
from features.offline.touches import CustomerTouches
from features.table import Need
from features.windows import Ints


@dataclass(frozen=True)
class Wanted:
    """What is read of the log, for entities of one kind: customer, item or global.

    `summed` are the series of which a ledger is kept; `folded` are the columns of events that are kept themselves,
    None if none are; `names` are the events that matter, none at all meaning every known one. `coviewed`: also what
    the touches of customers say of items viewed one after the other.
    """

    kind: str
    summed: Sequence[Need]
    folded: Collection[str] | None
    names: Collection[str]
    columns: Collection[str]
    knowledge: Knowledge
    coviewed: bool = False


class Facts(NamedTuple):
    """Events by entity, those of several entities several times."""

    entity: Ints
    known: Ints
    events: Events


class Gathered(NamedTuple):
    """What was put aside, by entity modulo the number of parts."""

    ledgers: Pile
    facts: Pile
    touches: Pile  # by customer


class _Found(NamedTuple):
    events: Events
    known: Ints  # by event, ms UTC
    row: Ints  # of the events, or of their lines where entities are items
    entity: Ints  # that the row belongs to


def gather(log: EventLog, asks: Asks, wanted: Wanted, into: Gathered, progress: Progress | None) -> None:
    """Put aside what of the log matters to the asks."""
    finder = _Finder(asks, wanted)
    sought = asks.ids if wanted.kind == "customer" else None if wanted.coviewed else []
    touches = CustomerTouches(into.touches)
    for batch in scan(log, sought, wanted.columns, progress):
        known, counts = finder.known(batch)
        if wanted.coviewed:
            touches.add(batch, known, counts)
        found = finder.found(batch.events, known, counts, batch.customer)
        if wanted.summed and len(found.row):
            ledger = _ledger(wanted, found)
            for part, rows in by_part(ledger[0], into.ledgers.parts):
                into.ledgers.add(part, [column[rows] for column in ledger])
        _put(into.facts, wanted, found)
    for events, known in touches.coviews(wanted.columns) if wanted.coviewed else ():
        every = np.ones(events.n, np.bool_)
        _put(into.facts, wanted, finder.found(events, known, every, np.empty(0, np.int64)))


def ledger_of(chunks: list[list[Array]], needs: Sequence[Need]) -> Ledger:
    """The chunks of a part as one ledger."""
    whole = [np.concatenate(column) for column in zip(*chunks, strict=True)] or [np.empty(0, np.int64)] * (
        3 + len(needs)
    )
    entity, time, delay, *amounts = whole
    return Ledger(entity, time, time + delay, dict(zip(needs, amounts, strict=True)))


def facts_of(chunks: list[list[Array]], columns: Collection[str]) -> Facts:
    """The chunks of a part as facts."""
    made = [_from_arrays(chunk, columns) for chunk in chunks]
    none = np.empty(0, np.int64)
    return Facts(
        np.concatenate([none, *(each.entity for each in made)]),
        np.concatenate([none, *(each.known for each in made)]),
        concat([each.events for each in made]),
    )


class _Finder:
    """Knows which rows belong to which of the entities asked about."""

    def __init__(self, asks: Asks, wanted: Wanted) -> None:
        self._asks = asks
        self._wanted = wanted
        self._items = {item: number for number, item in enumerate(asks.ids)} if wanted.kind == "item" else {}
        self._until = int(asks.as_of.max(initial=-1))
        names = [not wanted.names or name in wanted.names for name in NAMES]
        self._names = np.array([*names, True, True, False], np.bool_)  # what touches say; the last is -1, unknown

    def known(self, batch: Batch) -> tuple[Ints, Bools]:
        """When each event became known, and whether it counts."""
        events, then = batch.events, self._wanted.knowledge == "then"
        known = np.maximum(events.time, events.available) if then else events.time
        return known, ~batch.duplicates & (known <= self._until)

    def found(self, events: Events, known: Ints, keep: Bools, customer: Ints) -> _Found:
        """The rows that belong to entities.

        Args:    known, keep: (n,) of the events; customer: (n,) which of the ids asked for, where those are customers.
        """
        kind = self._wanted.kind
        keep = keep & self._names[events.name]
        if kind == "global":
            row = np.flatnonzero(keep)
            return _Found(events, known, row, np.zeros(len(row), np.int64))
        if kind == "item":
            text, keep = events.line_texts["item"], keep[events.line_of]
            number = np.array([self._items.get(value, -1) for value in text.values] or [-1], np.int64)[text.codes]
        else:
            number = customer
        row = np.flatnonzero(keep & (number >= 0))
        return self._spread(events, known, row, number[row])

    def _spread(self, events: Events, known: Ints, row: Ints, number: Ints) -> _Found:
        """A raw id may be part of several entities."""
        ends, entities = self._asks.ends, self._asks.entities
        if len(entities) == len(self._asks.ids):
            return _Found(events, known, row, entities[number])
        owner, place = spread(ends[number], ends[number + 1])
        return _Found(events, known, row[owner], entities[place])


def _put(pile: Pile, wanted: Wanted, found: _Found) -> None:
    """Put events themselves aside, where they are wanted."""
    if wanted.folded is None or not len(found.row):
        return
    event, entity = _facts(wanted, found)
    for part, rows in by_part(entity, pile.parts):
        pile.add(part, _to_arrays(found.events, found.known, event[rows], entity[rows], wanted.folded))


def _ledger(wanted: Wanted, found: _Found) -> list[Array]:
    """Rows that add anything: entity, time, delay until known, and the amount of each series."""
    read = Reader(found.events)
    of_lines = wanted.kind == "item"
    size = len(found.events.line_of) if of_lines else found.events.n
    amounts = []
    for need in wanted.summed:
        rows = read.rows(need)
        amount = np.zeros(size, np.int64)
        np.add.at(amount, rows.line if of_lines else rows.event, rows.value)
        amounts.append(amount[found.row])
    event = found.events.line_of[found.row] if of_lines else found.row
    time = found.events.time[event]
    delay = found.known[event] - time
    some = np.flatnonzero(np.logical_or.reduce([amount != 0 for amount in amounts]))
    columns: list[Array] = [found.entity.astype(np.int32), time, *(narrow(column) for column in (delay, *amounts))]
    return [column[some] for column in columns] if len(some) < len(event) else columns


def _facts(wanted: Wanted, found: _Found) -> tuple[Ints, Ints]:
    """The event and the entity of each fact: of several lines of one item, one event."""
    if wanted.kind != "item":
        return found.row, found.entity
    pairs = np.unique(found.events.line_of[found.row].astype(np.int64) << 32 | found.entity)
    return pairs >> 32, pairs & 0xFFFFFFFF


def _to_arrays(events: Events, known: Ints, event: Ints, entity: Ints, columns: Collection[str]) -> list[Array]:
    taken = events.take(event)
    arrays: list[Array] = [entity.astype(np.int32), known[event], taken.name, taken.time, taken.line_of]
    arrays += [narrow(taken.numbers[name]) for name in EVENT_NUMBERS if name in columns]
    arrays += [narrow(taken.line_numbers[name]) for name in LINE_NUMBERS if name in columns]
    texts = [taken.texts[name] for name in EVENT_TEXTS if name in columns]
    texts += [taken.line_texts[name] for name in LINE_TEXTS if name in columns]
    return [*arrays, *(array for text in texts for array in of_text(text))]


def _from_arrays(arrays: Sequence[Array], columns: Collection[str]) -> Facts:
    rest = iter(arrays)
    entity, known, name, time, line_of = (next(rest) for _ in range(5))
    none = np.zeros(len(name), np.int64)
    return Facts(
        entity.astype(np.int64),
        known,
        Events(
            customer=Text(none.astype(np.int32), [""]),
            name=name,
            time=time,
            received=none,
            available=none,
            message=none.astype(np.uint64),
            trusted=np.ones(len(name), np.bool_),
            numbers={key: next(rest).astype(np.int64) for key in EVENT_NUMBERS if key in columns},
            line_of=line_of,
            line_numbers={key: next(rest).astype(np.int64) for key in LINE_NUMBERS if key in columns},
            texts={key: to_text([next(rest) for _ in range(3)]) for key in EVENT_TEXTS if key in columns},
            line_texts={key: to_text([next(rest) for _ in range(3)]) for key in LINE_TEXTS if key in columns},
        ),
    )
