"""Cells as columns of as few bytes as they need, and back.

A cell takes as many bytes for its sub, start and value as they need: a sub that is the hash of a name is the place of
that name, a start is how many days or tiles before the state's newest event it lies. Which of these, its shape, and its
series are said once for a run of cells.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.cells import Cells, newest_of
from features.contributions import START_BITS, SUB_BITS, Bools, Keys
from features.errors import BrokenState
from features.states import Names, owners
from features.windows import DAY, TILE_MS, Ints

_PLACES = 256
_LONGEST_RUN = 255

Rows = npt.NDArray[np.int32]
Data = dict[str, npt.NDArray[np.unsignedinteger]]


class Column(NamedTuple):
    """What is written of n states: rows ends[i] to ends[i + 1] are of state i."""

    data: npt.NDArray[np.generic]
    ends: Ints


def cell_columns(cells: Cells, names: Names) -> dict[str, Column]:
    """The columns of cells."""
    ends = cells.ends
    owner = cells.owner()
    sub, sub_kind = _sub_kinds(names, owner, cells.key)
    start, start_kind = _start_kinds((cells.key & np.uint64(2**START_BITS - 1)).astype(np.int32), base_of(cells)[owner])
    zigzag = (cells.value << 1 ^ cells.value >> 63).view(np.uint64)
    value_kind = (zigzag >= np.uint64(2**8)).astype(np.int32)
    longer = np.flatnonzero(value_kind)
    value_kind[longer] += (zigzag[longer] >= np.uint64(2**24)).astype(np.int32) + (zigzag[longer] >= np.uint64(2**56))
    tag = (cells.key >> np.uint64(SUB_BITS + START_BITS)).astype(np.int32) << 6
    tag |= value_kind | start_kind << 2 | sub_kind << 4
    runs = _runs(tag, ends)
    per_run = np.searchsorted(runs, ends)
    return {
        "series": Column(tag[runs] >> 6 & 255, per_run),
        "shape": Column(tag[runs] & 63 | tag[runs] >> 14 << 6, per_run),
        "run": Column(np.diff(runs, append=len(tag)), per_run),
        "sub place": some(sub, sub_kind == 1, ends),
        "sub short": some(sub, sub_kind == 2, ends),
        "sub": some(sub, sub_kind == 3, ends),
        "start day": some(start, start_kind == 1, ends),
        "start": some(start, start_kind == 2, ends),
        "start far": some(start, start_kind == 3, ends),
        "value": Column(zigzag.astype(np.uint8), ends),
        "value short": some(zigzag, value_kind >= 1, ends, 8),
        "value word": some(zigzag, value_kind >= 2, ends, 24),
        "value top": some(zigzag, value_kind >= 3, ends, 56),
    }


def _runs(tag: Rows, ends: Ints) -> Ints:
    """Where runs of cells of one tag begin; none is longer than 255, or goes on in another state."""
    new = np.ones(len(tag), np.bool_)
    new[1:] = tag[1:] != tag[:-1]
    new[ends[:-1][ends[:-1] < len(tag)]] = True
    runs = np.flatnonzero(new)
    lengths = np.diff(runs, append=len(tag))
    if lengths.max(initial=0) > _LONGEST_RUN:
        place = np.arange(len(tag)) - np.repeat(runs, lengths)
        runs = np.flatnonzero(place % _LONGEST_RUN == 0)
    return runs


def base_of(cells: Cells) -> Rows:
    """(n,) the tile that starts are counted back from: that of each state's newest event."""
    return np.clip(newest_of(cells) // TILE_MS, 0, 2**START_BITS - 1).astype(np.int32)


def _start_kinds(start: Rows, base: Rows) -> tuple[Rows, Rows]:
    """What is written of each start, and how: 0 not at all, 1 days before the newest event, 2 tiles, 3 itself."""
    before, day = base - start, start // DAY
    days = base // DAY - day
    kind = np.where((before >= 0) & (before < 2**16), np.int32(2), np.int32(3))
    kind[(day * DAY == start) & (days >= 0) & (days < 2**8)] = 1
    kind[start == 0] = 0
    return np.where(kind == 1, days, np.where(kind == 2, before, start)), kind


def _sub_kinds(names: Names, owner: Ints, key: Keys) -> tuple[Rows, Rows]:
    """What is written of each sub, and how: 0 not at all, 1 the place of its name, 2 a short, 3 a word."""
    sub = (key >> np.uint64(START_BITS)).astype(np.int32) & (2**SUB_BITS - 1)
    kind = (sub > 0).astype(np.int32) << 1
    rows = np.flatnonzero(sub >= 2**16)
    place, known = places_of(names, owner[rows], sub[rows].astype(np.int64))
    sub[rows] = np.where(known, place, sub[rows])
    kind[rows] = np.where(known, 1, 3)
    return sub, kind


def cells_of(data: Data, ends: Ints, names: Names) -> Cells:
    """The cells of such columns.

    Raises:  BrokenState, ValueError: they don't fit each other.
    """
    shape, owner = np.repeat(data["shape"], data["run"]), owners(ends)
    value = data["value"].astype(np.uint64)
    kind = shape & 3
    for least, bits, column in ((1, 8, "value short"), (2, 24, "value word"), (3, 56, "value top")):
        value[kind >= least] |= data[column].astype(np.uint64) << np.uint64(bits)
    number = (value >> np.uint64(1)).view(np.int64) ^ -(value & np.uint64(1)).view(np.int64)
    kind = shape >> 4 & 3
    key = np.zeros(len(shape), np.int64)
    rows = np.flatnonzero(kind == 1)
    key[rows] = subs_at(names, owner[rows], data["sub place"])
    key[kind == 2] = data["sub short"]
    key[kind == 3] = data["sub"]
    series = data["series"] | (data["shape"] >> 6).astype(np.int64) << 8
    key |= np.repeat(series, data["run"]) << SUB_BITS
    key <<= START_BITS
    kind = shape >> 2 & 3
    key[kind == 3] |= data["start far"].astype(np.int64)
    keys = key.view(np.uint64)
    base = base_of(Cells(ends, keys, number)).astype(np.int64)
    for each, step, column in ((1, DAY, "start day"), (2, 1, "start")):
        rows = np.flatnonzero(kind == each)
        key[rows] |= (base[owner[rows]] // step - data[column]) * step
    return Cells(ends, keys, number)


def subs_at(names: Names, owner: Ints, place: npt.NDArray[np.unsignedinteger]) -> Ints:
    """The subs whose names are at these places of their states."""
    at = names.ends[owner] + place
    if np.any(at >= names.ends[owner + 1]):
        raise BrokenState("a key of a state has no name")
    return names.sub[at]


def places_of(names: Names, owner: Ints, sub: Ints) -> tuple[Ints, Bools]:
    """Where the name of each sub is among its state's, and whether it is among the first 256."""
    there = owners(names.ends) << SUB_BITS | names.sub
    wanted = owner << SUB_BITS | sub
    at = np.searchsorted(there, wanted)
    place = at - names.ends[owner]
    return place, (np.append(there, -1)[at] == wanted) & (place < _PLACES)


def some(data: npt.NDArray[np.integer], rows: Bools, ends: Ints, bits: int = 0) -> Column:
    """Some rows of a column, without their lowest bits."""
    chosen = np.flatnonzero(rows)
    if not len(chosen):
        return Column(data[:0], np.zeros(len(ends), np.int64))
    found = data[chosen]
    return Column(found >> found.dtype.type(bits) if bits else found, np.searchsorted(chosen, ends))
