"""What kernels ask of a batch, as numbers: which series each event adds to, and where their subs and values lie."""

from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np

from features.checks import TEXTS
from features.columns import EVENT_NUMBERS, EVENT_TEXTS, MISSING, NAMES, Numbers
from features.contributions import MOST, VALUES, WEIGHT, Reader, bins, by_line
from features.table import Need, Series
from features.windows import Ints

NONE, EVENT, LINE = 0, 1, 2  # where a source has its rows
OPS = {"sum": 0, "min": 1, "max": 2}


class Source(NamedTuple):
    """A column that series take something from: of kind sub, value, where or code."""

    kind: str
    what: tuple[object, ...]
    level: int


class Plan(NamedTuple):
    """The series of customers.

    `rows` has a row a series: whether it goes by lines, then level and column of its sub, value, condition and code,
    its column among the starts, how cells that meet are combined. `of_name` are the series that each name adds to.
    """

    rows: Numbers  # (series, 11)
    name_ends: Numbers  # (names + 1,)
    of_name: Numbers
    sources: dict[str, tuple[tuple[Source, ...], tuple[Source, ...]]]  # by kind: those of events, those of lines
    steps: tuple[int, ...]


class Sources(NamedTuple):
    """The columns of one batch that a plan names, a row an event or a line: what is read of one lies together."""

    event_sub: Numbers  # -1: nothing is added
    line_sub: Numbers
    event_value: Numbers  # MISSING: nothing is added
    line_value: Numbers
    event_where: Numbers  # 0: nothing is added
    line_where: Numbers
    event_code: Numbers  # where its text is among the batch's texts
    line_code: Numbers
    start: Numbers


@lru_cache(maxsize=16)
def plan_of(series: tuple[Series, ...]) -> Plan:
    """The plan of a table's series."""
    found: dict[str, tuple[dict[Source, int], dict[Source, int]]] = {
        kind: ({}, {}) for kind in ("sub", "value", "where", "code")
    }
    steps = tuple(sorted({each.step for each in series}))
    rows = np.zeros((len(series), 11), np.int64)
    for number, each in enumerate(series):
        need = each.need
        if need.entity != "customer":
            continue
        places: list[int] = [int(by_line(need))]
        for source in (_sub(need), _value(need), _where(need), _code(need)):
            if source is None:
                places += [NONE, 0]
            else:
                mine = found[source.kind][source.level - 1]
                places += [source.level, mine.setdefault(source, len(mine))]
        rows[number] = [*places, steps.index(each.step), OPS[need.op]]
    mine_of = [
        [
            n
            for n, s in enumerate(series)
            if s.need.entity == "customer" and (not s.need.events or name in s.need.events)
        ]
        for name in NAMES
    ]
    return Plan(
        rows,
        np.cumsum([0, *map(len, mine_of)]),
        np.array([number for mine in mine_of for number in mine], np.int64),
        {kind: (tuple(of_events), tuple(of_lines)) for kind, (of_events, of_lines) in found.items()},
        steps,
    )


def sources_of(plan: Plan, read: Reader) -> Sources:
    """The columns of a batch."""
    n, m = read.events.n, len(read.events.line_of)
    columns = [
        _stacked([COLUMNS[kind](read, source) for source in mine], length)
        for kind in ("sub", "value", "where", "code")
        for mine, length in zip(plan.sources[kind], (n, m), strict=True)
    ]
    return Sources._make([*columns, _stacked([read.start(step) for step in plan.steps], n)])


def _stacked(columns: list[Ints], length: int) -> Numbers:
    found = np.zeros((length, max(len(columns), 1)), np.int64)
    for at, column in enumerate(columns):
        found[:, at] = column
    return found


def _level(column: str) -> int:
    return EVENT if column in EVENT_TEXTS or column in EVENT_NUMBERS else LINE


def _sub(need: Need) -> Source | None:
    if not need.by:
        return None
    if need.by == "event":
        return Source("sub", ("event",), EVENT)
    if need.by.startswith("bin "):
        column = need.by.removeprefix("bin ")
        return Source("sub", ("bin", column), _level(column))
    # Money without a currency is counted too, apart.
    return Source("sub", ("text", need.by, need.by == "currency" and need.grain != "latest"), _level(need.by))


def _value(need: Need) -> Source | None:
    if need.of == "one":
        return None
    column = need.of.removeprefix("has ")
    return Source("value", (need.of,), EVENT if column in VALUES or column == "weight" else _level(column))


def _where(need: Need) -> Source | None:
    return None if need.where is None else Source("where", need.where, _level(need.where[0]))


def _code(need: Need) -> Source | None:
    return Source("code", (need.by,), _level(need.by)) if need.by in TEXTS and need.of != "tile" else None


def _subs(read: Reader, source: Source) -> Ints:
    kind, *what = source.what
    if kind == "event":
        return read.events.name.astype(np.int64) + 1
    if kind == "bin":
        numbers = _numbers(read, str(what[0]))
        return np.where(numbers == MISSING, -1, bins(numbers))
    column, absent_too = str(what[0]), bool(what[1])
    subs = read.subs(column)
    return subs if absent_too else np.where(subs == 0, -1, subs)


def _values(read: Reader, source: Source) -> Ints:
    of = str(source.what[0])
    if of == "weight":
        return WEIGHT[read.events.name]
    if of in VALUES:
        return VALUES[of](read.events.time)
    numbers = _numbers(read, of.removeprefix("has "))
    if of.startswith("has "):
        return np.where(numbers == MISSING, MISSING, 1)
    return np.where(numbers == MISSING, MISSING, np.clip(numbers, -MOST, MOST))


def _wheres(read: Reader, source: Source) -> Ints:
    rows = np.arange(read.events.n if source.level == EVENT else len(read.events.line_of))
    column, comparison, value = source.what
    return read.where(str(column), str(comparison), cast("int | str", value), rows, rows).astype(np.int64)


def _codes(read: Reader, source: Source) -> Ints:
    return read.codes(str(source.what[0]))


def _numbers(read: Reader, column: str) -> Ints:
    return read.events.numbers[column] if column in EVENT_NUMBERS else read.events.line_numbers[column]


COLUMNS = {"sub": _subs, "value": _values, "where": _wheres, "code": _codes}
