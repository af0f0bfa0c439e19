"""What events add to each series: the one place where a definition meets the columns of events, in both worlds."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.checks import LINES, OTHERS
from features.columns import APART, EVENT_NUMBERS, EVENT_TEXTS, MISSING, NAMES, TOGETHER, Events, Text
from features.events import message_hash
from features.table import Need, Table
from features.weights import WEIGHTS
from features.windows import SESSION, TILE_MS, Ints

SUB_BITS, START_BITS = 30, 24
MOST = 2**44  # one amount counts up to this, so that absurd prices never make a sum that can't be stored
MOST_TOGETHER = 10  # lines of an order that are taken as bought together

WEIGHT = np.array([WEIGHTS.get(name, 0) for name in (*NAMES, "")], np.int64)
VALUES: dict[str, Callable[[Ints], Ints]] = {  # what an event adds of its own, by its time
    "time": lambda time: time,
    "tile": lambda time: time // TILE_MS,
    "moment": lambda time: time % (SESSION * TILE_MS),
}

Bools = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.uint64]


class Deltas(NamedTuple):
    """Additions to cells in no order: `owner` is the index of the state."""

    owner: Ints
    key: Keys
    value: Ints


class Rows(NamedTuple):
    """What one series takes from a batch: the event (and line, -1 for none) of each addition, its sub and its value.

    `key` is the row, of the column that the series is keyed by, where the text behind the sub is.
    """

    event: Ints
    line: Ints
    key: Ints
    sub: Ints
    value: Ints


class Called(NamedTuple):
    """What keys are called: owner and sub of each in one number, and where its text is among the batch's texts."""

    place: Ints
    code: Ints


class Additions(NamedTuple):
    """What a batch adds to states, and the texts of the keys in it that may be asked for by name."""

    deltas: Deltas
    called: Called


def contribute(table: Table, read: "Reader", owner: Ints) -> Additions:
    """What the events add to the states of customers.

    Args:    owner: (n,) index of the state that each event belongs to.
    """
    owners, keys, values, places, codes = [], [], [], [], []
    for number, series in enumerate(table.series):
        if series.need.entity != "customer":
            continue
        rows = read.rows(series.need)
        if not len(rows.event):
            continue
        mine = owner[rows.event]
        owners.append(mine)
        keys.append(key_of(number, rows.sub, read.start(series.step)[rows.event]))
        values.append(rows.value)
        if table.named[number]:
            places.append(mine << SUB_BITS | rows.sub)
            codes.append(read.codes(series.need.by)[rows.key])
    none = np.empty(0, np.int64)
    return Additions(
        Deltas(_all(owners), np.concatenate(keys) if keys else np.empty(0, np.uint64), _all(values)),
        Called(np.concatenate([none, *places]), np.concatenate([none, *codes])),
    )


def _all(parts: list[Ints]) -> Ints:
    return np.concatenate([np.empty(0, np.int64), *parts])


def key_of(series: int | Ints, sub: Ints, start: Ints) -> Keys:
    """Keys of cells: series, sub and start of the tile in one number that sorts by them."""
    high = np.left_shift(np.asarray(series, np.uint64), np.uint64(SUB_BITS + START_BITS))
    keys: Keys = high | (sub.astype(np.uint64) << np.uint64(START_BITS)) | start.astype(np.uint64)
    return keys


@lru_cache(maxsize=1_000_000)
def sub_of(text: str) -> int:
    """The 30 bits that stand for a text inside a state; 0 is the absent text.

    Two texts of one customer meet in the same bits once in a billion pairs; they then count as one.
    """
    return (message_hash(text) & (2**SUB_BITS - 1) or 1) if text else 0


class Reader:
    """Reads one batch for many series, each selection only once."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self._selected: dict[tuple[str, ...], Bools] = {}
        self._starts: dict[int, Ints] = {}
        self._subs: dict[str, Ints] = {}
        self._codes: dict[str, Ints] = {}
        self._events: dict[tuple[str, ...], Ints] = {}
        self._lines: dict[tuple[str, ...], Ints] = {}
        self.texts: list[str] = []

    def rows(self, need: Need) -> Rows:
        """What the series takes."""
        if need.by in OTHERS:
            return self._together(need)
        if by_line(need):
            line = self._lines_of(need.events)
            event = self.events.line_of[line].astype(np.int64)
        else:
            event = self._events_of(need.events)
            line = np.full(len(event), -1)
        if not len(event):
            return Rows(event, line, event, event, event)
        keep = np.ones(len(event), np.bool_)
        sub = self._sub(need, event, line, keep)
        value = self._value(need.of, event, line, keep)
        if need.where:
            keep &= self.where(*need.where, event, line)
        key = event if need.by in EVENT_TEXTS else line
        if keep.all():
            return Rows(event, line, key, sub, value)
        return Rows(event[keep], line[keep], key[keep], sub[keep], value[keep])

    def start(self, step: int) -> Ints:
        """(n,) the start of each event's tile of this size, in tiles of 5 minutes."""
        if step not in self._starts:
            tile = self.events.time // TILE_MS
            self._starts[step] = tile // step * step if step else np.zeros_like(tile)
        return self._starts[step]

    def _select(self, names: tuple[str, ...]) -> Bools:
        """No name at all means every known one."""
        if names not in self._selected:
            wanted = [not names or name in names for name in NAMES]
            self._selected[names] = np.array([*wanted, False, False, False])[self.events.name]  # the last: -1, unknown
        return self._selected[names]

    def _events_of(self, names: tuple[str, ...]) -> Ints:
        if names not in self._events:
            self._events[names] = np.flatnonzero(self._select(names))
        return self._events[names]

    def _lines_of(self, names: tuple[str, ...]) -> Ints:
        if names not in self._lines:
            self._lines[names] = np.flatnonzero(self._select(names)[self.events.line_of])
        return self._lines[names]

    def _sub(self, need: Need, event: Ints, line: Ints, keep: Bools) -> Ints:
        by = need.by
        if not by:
            return np.zeros(len(event), np.int64)
        if by == "event":
            return self.events.name[event].astype(np.int64) + 1
        if by.startswith("bin "):
            return bins(self._number(by.removeprefix("bin "), event, line, keep))
        found = self.subs(by)[event if by in EVENT_TEXTS else line]
        if by != "currency" or need.grain == "latest":  # money without a currency is counted too, apart
            keep &= found != 0
        return found

    def _value(self, of: str, event: Ints, line: Ints, keep: Bools) -> Ints:
        if of.startswith("has "):
            self._number(of.removeprefix("has "), event, line, keep)
        if of == "one" or of.startswith("has "):
            return np.ones(len(event), np.int64)
        if of == "weight":
            return WEIGHT[self.events.name[event]]
        if of in VALUES:
            return VALUES[of](self.events.time[event])
        return np.clip(self._number(of, event, line, keep), -MOST, MOST)

    def _number(self, name: str, event: Ints, line: Ints, keep: Bools) -> Ints:
        found = self.events.numbers[name][event] if name in EVENT_NUMBERS else self.events.line_numbers[name][line]
        keep &= found != MISSING
        return found

    def where(self, column: str, comparison: str, value: int | str, event: Ints, line: Ints) -> Bools:
        """(k,) whether a condition holds of each of these events and lines."""
        if isinstance(value, str):
            text = self.text(column)
            same = np.array([each == value for each in text.values] or [False])
            equal: Bools = same[text.codes[event if column in EVENT_TEXTS else line]]
            return equal if comparison == "==" else ~equal
        there = np.ones(len(event), np.bool_)
        numbers = self._number(column, event, line, there)
        compare = {"==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater}
        result: Bools = compare.get(comparison, np.greater_equal)(numbers, value)
        return result & there

    def text(self, column: str) -> Text:
        """A text column of the events or of their lines."""
        return self.events.texts[column] if column in EVENT_TEXTS else self.events.line_texts[column]

    def subs(self, column: str) -> Ints:
        """The sub of each row of a text column."""
        if column not in self._subs:
            text = self.text(column)
            self._subs[column] = np.array([sub_of(value) for value in text.values] or [0], np.int64)[text.codes]
        return self._subs[column]

    def codes(self, column: str) -> Ints:
        """Where the text of each row of a column is in `texts`."""
        if column not in self._codes:
            text = self.text(column)
            self._codes[column] = text.codes + np.int64(len(self.texts))
            self.texts += text.values
        return self._codes[column]

    def _together(self, need: Need) -> Rows:
        """Each item of an event with each other one, in both directions; of a long order its first lines."""
        if need.by == "beside":
            line = np.flatnonzero((self.events.name >= TOGETHER)[self.events.line_of])
        else:
            line = self._lines_of(need.events)
        event = self.events.line_of[line].astype(np.int64)
        starts = np.flatnonzero(np.diff(event, prepend=-1))
        sizes = np.minimum(np.diff(np.append(starts, len(line))), MOST_TOGETHER)
        # Of an event with k lines there are k * k pairs, counted through by one number.
        which = np.repeat(np.arange(len(starts)), sizes * sizes)
        nth = np.arange(len(which)) - np.repeat(np.cumsum(sizes * sizes) - sizes * sizes, sizes * sizes)
        one, other = (line[starts[which] + part] for part in np.divmod(nth, sizes[which]))
        subs, event = self.subs("item"), self.events.line_of[one].astype(np.int64)
        keep = subs[one] != subs[other]
        one, other, event = one[keep], other[keep], event[keep]
        if need.by == "with":
            _, pair = np.unique(event << SUB_BITS | subs[one], return_inverse=True)
            _, first = np.unique(pair << SUB_BITS | subs[other], return_index=True)
            one, other, event = one[first], other[first], event[first]
        value = np.where(self.events.name[event] == APART, -1, 1)
        return Rows(event, one, other, subs[other], value)


def by_line(need: Need) -> bool:
    """Whether a series looks at the lines of events, not at the events themselves."""
    columns = {need.by, need.by.removeprefix("bin "), need.of.removeprefix("has ")}
    if need.where:
        columns.add(need.where[0])
    return need.entity == "item" or bool(columns & LINES)


def bins(numbers: Ints) -> Ints:
    """Sixteen bins to each power of two: a bin's middle is within 3.2% of all that lie in it. 0 is for 0 and less."""
    mantissa, exponent = np.frexp(np.maximum(numbers, 1).astype(np.float64))
    found: Ints = exponent.astype(np.int64) * 16 + ((mantissa * 2 - 1) * 16).astype(np.int64)
    return np.where(numbers > 0, found, 0)


def middle(found: Ints) -> npt.NDArray[np.float64]:
    """The number in the middle of each bin."""
    size = np.ldexp(1.0, (found // 16 - 1).astype(np.int32))
    return np.where(found > 0, size * (1 + (found % 16 + 0.5) / 16), 0.0)


def middle_of(found: int) -> float:
    """The same of one bin."""
    return 2.0 ** (found // 16 - 1) * (1 + (found % 16 + 0.5) / 16) if found > 0 else 0.0
