"""A state as one binary value in Redis: a head with the sizes, then columns. Equal states give equal bytes."""

import struct
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from features.cell_packing import Column, Data, cell_columns, cells_of, places_of, some, subs_at
from features.cells import newest_of
from features.errors import BrokenState
from features.states import Names, Seen, States, Touches, owners
from features.table import FORMAT
from features.windows import Ints

# By bytes of one entry, in the order in which they are written.
COLUMNS = {
    8: ("message",),
    4: ("message age", "touch age", "touch sub", "name", "long size", "sub", "start far", "value word"),
    2: ("touch age high", "sub short", "start", "value short"),
    1: ("touch", "touch place", "size", "series", "shape", "run", "sub place", "start day", "value", "value top"),
}
_SAME = {"message age": "message", "touch age": "touch", "size": "name", "shape": "series", "run": "series"}  # as many
COUNTED = [name for names in COLUMNS.values() for name in names if name not in _SAME]
COLUMN_COUNTS = {w: [COUNTED.index(_SAME.get(name, name)) for name in names] for w, names in COLUMNS.items()}
# Sizes are in bytes, shorts or words, whatever the largest needs; the texts of names are all that follows the columns.
_WIDE = (1, 2, 4)
_HEAD = [
    np.dtype([("format", "u1"), ("kind", "u1"), ("newest", "<i8"), ("sizes", f"<u{wide}", (len(COUNTED),))])
    for wide in _WIDE
]
_HEAD_STRUCT = [struct.Struct(f"<BBq{len(COUNTED)}{wide}") for wide in "BHI"]
NOBODY = np.array((FORMAT, 0, 0, 0), _HEAD[0]).tobytes()
OLD, BY_PLACE, EVENT = 128, 64, 63  # the byte of a touch
LONG = 255


def pack(states: States) -> list[bytes]:
    """Each state as bytes."""
    found = (
        _seen_columns(states)
        | _touch_columns(states)
        | _name_columns(states.names)
        | cell_columns(states.cells, states.names)
    )
    counts = np.stack([np.diff(found[name].ends) for name in COUNTED], axis=1)
    rows = _heads(counts, states.seen.newest)
    pieces = [_by_state(found, width) for width in COLUMNS]
    pieces.append(_cut(states.names.heap.tobytes(), states.names.at[states.names.ends]))
    return list(map(b"".join, zip(rows, *pieces, strict=True)))


def _by_state(found: dict[str, Column], width: int) -> list[bytes]:
    """Of each state its rows of all columns of one width, column after column."""
    columns = [found[name] for name in COLUMNS[width]]
    sizes = np.stack([np.diff(column.ends) for column in columns])
    data = np.concatenate([column.data.astype(f"<u{width}") for column in columns])
    if sizes.shape[1] > 1:
        mixed = np.empty_like(data)
        mixed[_places_of_columns(sizes.T)] = data
        data = mixed
    return _cut(data.tobytes(), np.concatenate(([0], np.cumsum(sizes.sum(axis=0)))) * width)


def _places_of_columns(sizes: Ints) -> npt.NDArray[np.int32 | np.int64]:
    """Where the rows of all columns, column after column, are when they are written state by state.

    Args:    sizes: (n, columns) rows of each.
    """
    begins = (np.cumsum(sizes) - sizes.ravel()).reshape(sizes.shape)
    by_column = sizes.T.ravel()
    kind = np.int32 if int(sizes.sum()) < 2**31 else np.int64  # half the bytes to move
    places = np.repeat((begins.T.ravel() - (np.cumsum(by_column) - by_column)).astype(kind), by_column)
    places += np.arange(len(places), dtype=kind)
    return places


def _heads(counts: Ints, newest: Ints) -> list[bytes]:
    """The head of each state, with sizes as wide as the largest needs."""
    largest = counts.max(axis=1, initial=0)
    kinds = (largest >= 2**8).astype(np.int64) + (largest >= 2**16)
    heads = [b""] * len(counts)
    for kind in range(len(_WIDE)):
        rows = np.flatnonzero(kinds == kind)
        head = np.empty(len(rows), _HEAD[kind])
        head["format"], head["kind"], head["newest"], head["sizes"] = FORMAT, kind, newest[rows], counts[rows]
        for row, written in zip(
            rows.tolist(), _cut(head.tobytes(), np.arange(len(rows) + 1) * head.itemsize), strict=True
        ):
            heads[row] = written
    return heads


def _cut(data: bytes, ends: Ints) -> list[bytes]:
    edges = ends.tolist()
    return [data[begin:end] for begin, end in pairwise(edges)]


def _seen_columns(states: States) -> dict[str, Column]:
    seen = states.seen
    age = np.repeat(seen.newest, np.diff(seen.ends)) - seen.received
    return {"message": Column(seen.message, seen.ends), "message age": Column(age, seen.ends)}


def _touch_columns(states: States) -> dict[str, Column]:
    touches, owner = states.touches, owners(states.touches.ends)
    age = newest_of(states.cells)[owner] - touches.time
    old = age >= 2**32
    place, known = places_of(states.names, owner, touches.sub)
    code = touches.event | old * OLD | known * BY_PLACE
    return {
        "touch": Column(code, touches.ends),
        "touch age": Column(age & 0xFFFFFFFF, touches.ends),
        "touch age high": some(age >> 32, old, touches.ends),
        "touch place": some(place, known, touches.ends),
        "touch sub": some(touches.sub, ~known, touches.ends),
    }


def _name_columns(names: Names) -> dict[str, Column]:
    size = np.diff(names.at)
    return {
        "name": Column(names.sub, names.ends),
        "size": Column(np.minimum(size, LONG), names.ends),
        "long size": some(size, size >= LONG, names.ends),
    }


def unpack(packed: Sequence[bytes | None]) -> States:
    """States from their bytes; None is a customer never seen.

    Raises:  BrokenState: these bytes aren't a state of this format.
    """
    values = [value or NOBODY for value in packed]
    at, newest, sizes = _read_heads(values)
    data: Data = {}
    for width, counts in COLUMN_COUNTS.items():
        mine = sizes[:, counts]
        end = at + mine.sum(axis=1) * width
        block = np.frombuffer(_block(values, at, end), f"<u{width}")
        data |= _by_column(block, mine, COLUMNS[width])
        at = end
    lengths = np.array([len(value) for value in values]) - at
    heap = np.frombuffer(_block(values, at, at + lengths), np.uint8)
    ends = np.zeros((len(COUNTED), len(values) + 1), np.int64)
    np.cumsum(sizes, axis=0, out=ends[:, 1:].T)
    try:
        return _states(data, dict(zip(COUNTED, ends, strict=True)), heap, newest, lengths)
    except (ValueError, IndexError) as error:
        raise BrokenState("the columns of a state don't fit each other") from error


def _block(values: list[bytes], begin: Ints, end: Ints) -> bytes:
    """A part of each state, one after the other."""
    pieces = [value[a:b] for value, a, b in zip(values, begin.tolist(), end.tolist(), strict=True)]
    block = b"".join(pieces)
    if len(block) != int((end - begin).sum()) or np.any(end < begin):
        raise BrokenState("a state ends before its columns do")
    return block


def _by_column(block: npt.NDArray[np.unsignedinteger], sizes: Ints, names: Sequence[str]) -> Data:
    """Each column, of all states, of a block that has them state by state; sizes: (n, columns)."""
    if len(sizes) > 1:
        block = block[_places_of_columns(sizes)]
    ends = np.cumsum(sizes.sum(axis=0)).tolist()
    return {name: block[begin:end] for name, begin, end in zip(names, [0, *ends], ends, strict=False)}


def _read_heads(values: list[bytes]) -> tuple[Ints, Ints, Ints]:
    """Length of each head (n,), newest arrival (n,), sizes (n, columns that are counted)."""
    kinds = np.array([_kind(value) for value in values], np.int64)
    length, newest = np.zeros(len(values), np.int64), np.zeros(len(values), np.int64)
    sizes = np.zeros((len(values), len(COUNTED)), np.int64)
    for kind, head in enumerate(_HEAD):
        rows = np.flatnonzero(kinds == kind)
        if len(rows):
            found = np.frombuffer(b"".join([values[row][: head.itemsize] for row in rows.tolist()]), head)
            length[rows], newest[rows], sizes[rows] = head.itemsize, found["newest"], found["sizes"]
    return length, newest, sizes


def sizes_of(value: bytes) -> tuple[int, tuple[int, ...]]:
    """Where the columns of one state begin, and how many entries those have that are counted (see COLUMN_COUNTS).

    Raises:  BrokenState: these bytes aren't a state of this format.
    """
    head = _HEAD_STRUCT[_kind(value)]
    return head.size, head.unpack_from(value)[3:]


def head_of(value: bytes) -> tuple[int, dict[str, int]]:
    """Where the columns of one state begin, and how many entries each has.

    Raises:  BrokenState: these bytes aren't a state of this format.
    """
    begin, counts = sizes_of(value)
    sizes = dict(zip(COUNTED, counts, strict=True))
    return begin, sizes | {name: sizes[other] for name, other in _SAME.items()}


def _kind(value: bytes) -> int:
    kind = value[1] if len(value) >= len(NOBODY) and value[0] == FORMAT else len(_HEAD)
    if kind >= len(_HEAD) or len(value) < _HEAD[kind].itemsize:
        raise BrokenState(f"{len(value)} bytes that begin with {value[:2].hex()} are no state of format {FORMAT}")
    return kind


def _states(data: Data, ends: dict[str, Ints], heap: npt.NDArray[np.uint8], newest: Ints, lengths: Ints) -> States:
    names = _names(data, ends["name"], heap, lengths)
    cells = cells_of(data, ends["value"], names)
    seen = Seen(
        ends["message"],
        np.repeat(newest, np.diff(ends["message"])) - data["message age"],
        data["message"].astype(np.uint64),
        newest,
    )
    return States(cells, _touches(data, ends["touch"], names, newest_of(cells)), names, seen)


def _names(data: Data, ends: Ints, heap: npt.NDArray[np.uint8], lengths: Ints) -> Names:
    size = data["size"].astype(np.int64)
    size[size == LONG] = data["long size"]
    at = np.zeros(len(size) + 1, np.int64)
    np.cumsum(size, out=at[1:])
    if not np.array_equal(np.diff(at[ends]), lengths):
        raise BrokenState("the names of a state don't fill the rest of it")
    return Names(ends, data["name"].astype(np.int64), at, heap)


def _touches(data: Data, ends: Ints, names: Names, newest: Ints) -> Touches:
    code, owner = data["touch"].astype(np.int64), owners(ends)
    age = data["touch age"].astype(np.int64)
    age[code & OLD > 0] += data["touch age high"].astype(np.int64) << 32
    known = code & BY_PLACE > 0
    sub = np.empty(len(code), np.int64)
    sub[known] = subs_at(names, owner[known], data["touch place"])
    sub[~known] = data["touch sub"]
    return Touches(ends, newest[owner] - age, code & EVENT, sub)
