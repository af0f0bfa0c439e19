"""What a batch adds to the cells of states: additions are read off the events, sorted and merged state by state."""

from typing import NamedTuple

import numpy as np

from features.aging import SKETCH, bound_of
from features.cells import Cells
from features.columns import MISSING, Bools, Events, Numbers
from features.compiled.bounds import bounded, is_full
from features.compiled.kernel import kernel, owned
from features.compiled.ladders import HOUR_MS, Ladders, ladders_of
from features.compiled.ordering import Added, insert, sort
from features.compiled.plan import LINE, NONE, Plan, Sources
from features.contributions import START_BITS, SUB_BITS, Keys
from features.table import Table

_SERIES = np.uint64(SUB_BITS + START_BITS)
_START = np.uint64(START_BITS)
_STARTS = np.uint64(2**START_BITS - 1)


class Called(NamedTuple):
    """Keys of the batch that may be asked for by name: of state i those from ends[i] to ends[i + 1]."""

    ends: Numbers
    sub: Numbers
    code: Numbers  # where its text is among the batch's texts


def add_cells(
    table: Table,
    plan: Plan,
    sources: Sources,
    old: Cells,
    events: Events,
    lines: Numbers,
    order: Numbers,
    first: Numbers,
) -> tuple[Cells, Bools, Called]:
    """The states with what their events add, (n,) which of them let cells go, and the names to be kept.

    Args:    lines: (n + 1,) where each event's lines begin; order, first: the events by state.
    """
    n = old.n
    name, time = owned(events.name, np.int64), owned(events.time, np.int64)
    size, before, newest = _measure(
        old.ends, old.value, plan.rows, plan.name_ends, plan.of_name, name, time, lines, order, first
    )
    ladders = ladders_of(table, newest)
    most = int(size.sum())
    ends, lost, full = np.zeros(n + 1, np.int64), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    key, value = np.empty(len(old.key) + most, np.uint64), np.empty(len(old.key) + most, np.int64)
    called = Called(np.zeros(n + 1, np.int64), np.empty(most, np.int64), np.empty(most, np.int64))
    bounds = np.array([bound_of(series.need) for series in table.series], np.int64)
    _fold(
        old, plan.rows, plan.name_ends, plan.of_name, sources, ladders, bounds, name, lines, order, first,
        int(size.max(initial=0)), before // HOUR_MS != newest // HOUR_MS, ends, key, value, called, lost, full,
    )  # fmt: skip
    cells = Cells(ends, key[: ends[-1]].copy(), value[: ends[-1]].copy())
    if full.any():
        cells, gone = bounded(cells, full, bounds)
        lost |= gone
    return cells, lost, called


@kernel
def _measure(
    ends: Numbers,
    value: Numbers,
    rows: Numbers,
    name_ends: Numbers,
    of_name: Numbers,
    name: Numbers,
    time: Numbers,
    lines: Numbers,
    order: Numbers,
    first: Numbers,
) -> tuple[Numbers, Numbers, Numbers]:
    """Per state how many additions there are at most, and its newest event before and now."""
    n = len(ends) - 1
    size, before, newest = np.zeros(n, np.int64), np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    for state in range(n):
        if ends[state + 1] > ends[state]:
            before[state] = value[ends[state]]
        newest[state] = before[state]
        for place in range(first[state], first[state + 1]):
            event = order[place]
            newest[state] = max(newest[state], time[event])
            for at in range(name_ends[name[event]], name_ends[name[event] + 1]):
                size[state] += lines[event + 1] - lines[event] if rows[of_name[at], 0] else 1
    return size, before, newest


@kernel
def _fold(  # noqa: PLR0912, PLR0915 - one pass over a state while it is in the cache
    old: Cells,
    rows: Numbers,
    name_ends: Numbers,
    of_name: Numbers,
    sources: Sources,
    ladders: Ladders,
    bounds: Numbers,
    name: Numbers,
    lines: Numbers,
    order: Numbers,
    first: Numbers,
    most: int,
    older: Bools,
    ends: Numbers,
    key: Keys,
    value: Numbers,
    called: Called,
    lost: Bools,
    full: Bools,
) -> None:
    pair = (
        Added(np.empty(most, np.uint64), np.empty(most, np.int64)),
        Added(np.empty(most, np.uint64), np.empty(most, np.int64)),
    )
    # An attribute of a tuple costs in a loop, where a name of its own costs nothing.
    keys, values = pair[0].key, pair[0].value
    event_sub, line_sub, event_value, line_value = sources[0], sources[1], sources[2], sources[3]
    event_where, line_where, event_code, line_code, starts = sources[4], sources[5], sources[6], sources[7], sources[8]
    kinds, coarser, horizon = ladders.kind, ladders.coarser, ladders.horizon
    finest, hours = ladders.first, ladders.hour
    old_ends, old_key, old_value = old.ends, old.key, old.value
    told_ends, told_sub, told_code = called.ends, called.sub, called.code
    runs = np.zeros(np.diff(first).max() + 2, np.int64)
    told, base = 0, 0
    for state in range(len(ends) - 1):
        count, events = 0, 0
        hour = hours[state]
        for place in range(first[state], first[state + 1]):
            event, begin, said = order[place], count, told
            for at in range(name_ends[name[event]], name_ends[name[event] + 1]):
                series = of_name[at]
                low, high = (lines[event], lines[event + 1]) if rows[series, 0] else (0, 1)
                for line in range(low, high):
                    sub = _source(rows[series, 1], rows[series, 2], event_sub, line_sub, event, line, 0)
                    amount = _source(rows[series, 3], rows[series, 4], event_value, line_value, event, line, 1)
                    if sub < 0 or amount == MISSING:
                        continue
                    if not _source(rows[series, 5], rows[series, 6], event_where, line_where, event, line, 1):
                        continue
                    if rows[series, 7] != NONE and not _is_told(told_sub, said, told, sub):
                        told_sub[told] = sub
                        told_code[told] = _source(
                            rows[series, 7], rows[series, 8], event_code, line_code, event, line, 0
                        )
                        told += 1
                    start = starts[event, rows[series, 9]]
                    if 0 < start < finest[hour, series]:
                        start = _aged(kinds, coarser, horizon, series, hour, start)
                    if start < 0:
                        lost[state] = True
                        continue
                    keys[count] = np.uint64(series) << _SERIES | np.uint64(sub) << _START | np.uint64(start)
                    values[count] = amount
                    count += 1
            insert(keys, values, begin, count)
            events += 1
            runs[events] = count
        told_ends[state + 1] = told
        runs[0] = 0
        added = pair[sort(pair, runs, events)] if events > 1 else pair[0]
        begin = base
        row, end, at = old_ends[state], old_ends[state + 1], 0
        added_key, added_value, aging = added.key, added.value, older[state]
        while row < end or at < count:
            there = np.uint64(0)
            if row < end:
                there = old_key[row]
                if aging:
                    start, series = np.int64(there & _STARTS), np.int64(there >> _SERIES)
                    if 0 < start < finest[hour, series]:
                        start = _aged(kinds, coarser, horizon, series, hour, start)
                        if start < 0:
                            lost[state] = True
                            row += 1
                            continue
                        there = (there & ~_STARTS) | np.uint64(start)
            if row < end and (at == count or there <= added_key[at]):
                one, amount = there, old_value[row]
                row += 1
            else:
                one, amount = added_key[at], added_value[at]
                at += 1
            if base > begin and key[base - 1] == one:
                op = rows[np.int64(one >> _SERIES), 10]
                have = value[base - 1]
                value[base - 1] = have + amount if op == 0 else min(have, amount) if op == 1 else max(have, amount)
            else:
                key[base], value[base] = one, amount
                base += 1
        ends[state + 1] = base
        full[state] = base - ends[state] > SKETCH and is_full(key, ends[state], base, bounds)


@kernel
def _source(level: int, at: int, of_events: Numbers, of_lines: Numbers, event: int, line: int, default: int) -> int:
    if level == NONE:
        return default
    return of_lines[line, at] if level == LINE else of_events[event, at]


@kernel
def _is_told(subs: Numbers, begin: int, end: int, sub: int) -> bool:
    """Several series of an event have the same keys."""
    for at in range(begin, end):  # noqa: SIM110 - numba knows no generators
        if subs[at] == sub:
            return True
    return False


@kernel
def _aged(kinds: Numbers, coarser: Numbers, horizon: Numbers, series: int, hour: int, start: int) -> int:
    """The start of the tile that a tile has become part of; -1: nothing reads it any more."""
    kind = kinds[series]
    for rung in range(coarser.shape[1]):
        if start >= horizon[hour, kind, rung]:
            break
        step = coarser[kind, rung]
        if step < 0:
            return -1
        start = start - start % step if step else 0
    return start
