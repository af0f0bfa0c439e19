"""Frames for training: what features said of each label at its moment, and nothing that became known later."""

import tempfile
from collections.abc import Collection, Iterable, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.checks import entity_of
from features.columns import EVENT_NUMBERS, EVENT_TEXTS, LINE_NUMBERS, LINE_TEXTS
from features.components import Knowledge
from features.definitions import FEATURES
from features.errors import BadInput
from features.feature import Feature
from features.identity import Edge
from features.offline import gather
from features.offline.asks import Asks, asks_of, ids_of, moments
from features.offline.gather import Gathered, Wanted
from features.offline.identity import read_edges
from features.offline.log import EventLog
from features.offline.piles import Array, Pile
from features.offline.prefix import read, spans_of, summed, window_sums
from features.offline.replay import replay
from features.offline.scan import Progress, row_count
from features.reading import Column
from features.table import Need, Table, needs
from features.table import table as compiled
from features.windows import Ints

_COLUMNS = frozenset((*EVENT_NUMBERS, *EVENT_TEXTS, *LINE_NUMBERS, *LINE_TEXTS))


def training_frame(
    log: EventLog,
    labels: pd.DataFrame,
    features: Iterable[str],
    table: Table = FEATURES,
    knowledge: Knowledge = "then",
    identity: bool = True,
    progress: Progress | None = None,
    memory_mb: int = 3_000,
) -> pd.DataFrame:
    """The labels with a column for each feature, as it was at the label's moment; as serving would have read it.

    Args:    labels: `as_of` (int ms UTC, or times with a zone); `user_id` (`u:...`, `a:...`, any other id counts as
             `u:`) for features of customers, `item_id` for features of items; any other columns, in any order.
             features: names in the table; knowledge: "then" uses events with event_time and available_at up to the
             moment, "final" all that had happened by then, whenever it became known; identity: whether the other ids
             of a customer, as known at the moment, count too.
             progress: called with rows of the log done, and in all, once through for each kind of entity;
             memory_mb: about how much may be used; more events than fit lie in a temporary folder beside the log.
    Returns: the labels' rows and columns as they were, then the features: int64 where the default is an int, float64
             for other numbers (NaN: none), object for texts, lists and dictionaries.
    Raises:  BadInput: a column, a feature or an argument can't be used; `field` names it.
    """
    names = _checked(table, labels, features, knowledge)
    as_of = moments(labels)
    found: dict[str, Array] = {}
    for kind in ("customer", "item", "global"):
        mine = [name for name in names if entity_of(table.features[name]) == kind]
        if mine:
            edges = read_edges(log) if identity and kind == "customer" else []
            asks = _asks(kind, labels, as_of, edges, knowledge)
            values = _answered(log, kind, asks, table, mine, knowledge, progress, memory_mb)
            found |= {name: column[asks.row] for name, column in values.items()}
    frame = labels.copy()
    for name in names:
        frame[name] = pd.Series(found[name], index=labels.index)
    return frame


def _checked(table: Table, labels: pd.DataFrame, features: Iterable[str], knowledge: str) -> list[str]:
    names = list(dict.fromkeys(features))
    if unknown := [name for name in names if name not in table.features]:
        raise BadInput(f"there is no feature {unknown[0]!r}; `kindred features` lists them", "features")
    if taken := [name for name in names if name in labels.columns]:
        raise BadInput(f"the labels have a column {taken[0]!r} already, like a feature that is asked for", taken[0])
    if knowledge not in {"then", "final"}:
        raise BadInput(f"knowledge is 'then' or 'final', got {knowledge!r}", "knowledge")
    return names


def _asks(kind: str, labels: pd.DataFrame, as_of: Ints, edges: Collection[Edge], knowledge: Knowledge) -> Asks:
    if kind == "global":
        return asks_of(np.zeros(len(labels), np.int64), [""], as_of)
    return asks_of(*ids_of(labels, "item_id" if kind == "item" else "user_id"), as_of, edges, knowledge)


def _answered(
    log: EventLog,
    kind: str,
    asks: Asks,
    table: Table,
    names: list[str],
    knowledge: Knowledge,
    progress: Progress | None,
    memory_mb: int,
) -> dict[str, Array]:
    """(asks.n,) values of each feature of one kind of entity."""
    sums = [name for name in names if summed(table, name)]
    folds = [name for name in names if name not in sums]
    spans = spans_of(table, sums)
    folding = compiled(table.features[name] for name in _closure(table, folds))
    wanted = _wanted(kind, sorted({need for need, _ in spans}, key=repr), folding, folds, knowledge)
    parts = _parts(row_count(log), wanted, memory_mb)
    answers = {name: _blank(table.features[name], asks.n) for name in names}
    with tempfile.TemporaryDirectory(prefix=".frame-", dir=log.folder.parent if parts > 1 else None) as temporary:
        folder = Path(temporary) if parts > 1 else None
        into = Gathered(*(Pile(parts, folder, name) for name in ("sums", "events", "touches")))
        gather.gather(log, asks, wanted, into, progress)
        for part in range(parts):
            rows = np.flatnonzero(asks.entity % parts == part) if parts > 1 else np.arange(asks.n)
            entity, as_of = asks.entity[rows], asks.as_of[rows]
            if sums:
                ledger = gather.ledger_of(into.ledgers.take(part), wanted.summed)
                totals = window_sums(ledger, spans, entity, as_of)
                for name in sums:
                    _fill(answers[name], rows, read(table, name, totals))
            if folds:
                facts = gather.facts_of(into.facts.take(part), wanted.columns)
                ids = None if kind == "customer" else asks.ids if kind == "item" else []
                for at, columns in replay(folding, folds, facts, entity, as_of, ids):
                    for name, column in columns.items():
                        _fill(answers[name], rows[at], column)
    return answers


def _closure(table: Table, names: Iterable[str]) -> list[str]:
    """The features with all that they are computed from, in the order of the table."""
    wanted: set[str] = set()
    more = list(names)
    while more:
        name = more.pop()
        wanted.add(name)
        more += table.features[name].parts
    return [name for name in table.features if name in wanted]


def _wanted(kind: str, summed: Sequence[Need], folding: Table, folds: list[str], knowledge: Knowledge) -> Wanted:
    """What must be read; states are folded from all events, since their age goes by the newest of any kind."""
    every = {need for name in _closure(folding, folds) for need, _ in needs(folding.features[name])} | {*summed}
    columns = {column for need in every for column in _columns(need)} & _COLUMNS
    if folds or kind == "item":
        columns.add("item")
    some = not folds and all(need.events for need in summed)
    names = {name for need in summed for name in need.events} if some else set()
    return Wanted(kind, summed, columns if folds else None, names, columns, knowledge, folding.coviewed)


def _columns(need: Need) -> set[str]:
    found = {need.by.removeprefix("bin "), need.of.removeprefix("has ")}
    return found | ({need.where[0]} if need.where else set())


def _parts(rows: int, wanted: Wanted, memory_mb: int) -> int:
    """How many parts the events must be put into, so that one at a time fits."""
    row = 90 + 10 * len(wanted.summed) if wanted.summed else 0  # what sorting and adding up holds at once, in bytes
    row += 200 + 50 * len(wanted.folded) if wanted.folded is not None else 0
    row *= 2 if wanted.coviewed else 1  # what the touches of customers say is kept as events too
    return max(1, -(-rows * row // (memory_mb * 500_000)))  # the other half is for Python, a batch and the answers


def _blank(feature: Feature, n: int) -> Array:
    """As many defaults."""
    if feature.dtype in {"int", "float"}:
        default = feature.default
        whole = feature.dtype == "int" and default is not None
        return np.full(n, np.nan if default is None else default, np.int64 if whole else np.float64)
    column = np.full(n, None, object)
    if feature.default is not None:
        column[:] = [copy(feature.default) for _ in range(n)]  # nobody's dictionary is another one's too
    return column


def _fill(answers: Array, rows: Ints, column: Column) -> None:
    there: Any = column.there
    answers[rows[there]] = column.values[there]
