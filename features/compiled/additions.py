"""What events add to items, as a commit takes it: `features.tiles.tile_additions`, sent, byte for byte, compiled."""

from itertools import pairwise

import numpy as np

from features.columns import Numbers
from features.compiled.kernel import kernel, owned
from features.compiled.layout import Bytes
from features.table import Table
from features.tiles import Part, added

_MAP, _MAP16, _MAP32 = 0x80, 0xDE, 0xDF
_TEXT, _TEXT8, _TEXT16 = 0xA0, 0xD9, 0xDA
_UINT8, _UINT16, _UINT32 = 0xCC, 0xCD, 0xCE
_OF_ROW = 64  # bytes at most, its field's name left out


def packed_additions(table: Table, *parts: Part) -> dict[int, bytes]:
    """By bucket what its events add; arguments as for `tile_additions`."""
    found = added(table, *parts)
    if not len(found.bucket):
        return {}
    names = [field.encode() for field in found.fields]
    ends = np.cumsum([0, *map(len, names)])
    buckets, first = np.unique(found.bucket, return_index=True)
    heap = np.empty(len(found.field) * _OF_ROW + int(np.diff(ends)[found.field].sum()), np.uint8)
    stops = np.zeros(len(buckets) + 1, np.int64)
    step, start, field, value = (owned(each, np.int64) for each in (found.step, found.start, found.field, found.value))
    rows = np.append(first, len(found.bucket))
    _pack(step, start, field, value, rows, owned(np.frombuffer(b"".join(names), np.uint8), np.uint8), ends, heap, stops)
    whole = heap[: stops[-1]].tobytes()
    return {each: whole[low:high] for each, (low, high) in zip(buckets.tolist(), pairwise(stops.tolist()), strict=True)}


@kernel
def _pack(
    step: Numbers,
    start: Numbers,
    field: Numbers,
    value: Numbers,
    first: Numbers,
    names: Bytes,
    name_ends: Numbers,
    heap: Bytes,
    stops: Numbers,
) -> None:
    """Rows are in order; of bucket i those from first[i] to first[i + 1]. stops[i + 1]: where its bytes end."""
    at = 0
    for bucket in range(len(first) - 1):
        row, end = first[bucket], first[bucket + 1]
        at = _head(heap, at, _runs(step, row, end), _MAP, 16, _MAP16)
        while row < end:
            of_step = _run(step, row, end)
            at = _integer(heap, at, step[row])
            at = _head(heap, at, _runs(start, row, of_step), _MAP, 16, _MAP16)
            while row < of_step:
                of_start = _run(start, row, of_step)
                at = _integer(heap, at, start[row])
                at = _head(heap, at, _runs(field, row, of_start), _MAP, 16, _MAP16)
                while row < of_start:
                    one, total = field[row], 0
                    while row < of_start and field[row] == one:
                        total += value[row]
                        row += 1
                    at = _text(heap, at, names, name_ends[one], name_ends[one + 1])
                    at = _decimal(heap, at, total)
        stops[bucket + 1] = at


@kernel
def _run(column: Numbers, row: int, end: int) -> int:
    """Where the rows end that are as this one."""
    one = column[row]
    while row < end and column[row] == one:
        row += 1
    return row


@kernel
def _runs(column: Numbers, row: int, end: int) -> int:
    """How many different ones follow each other."""
    found = 1
    for other in range(row + 1, end):
        found += column[other] != column[other - 1]
    return found


@kernel
def _big(heap: Bytes, at: int, number: int, wide: int) -> int:
    """A number of so many bytes, big-endian."""
    for byte in range(wide):
        heap[at + byte] = np.uint8((number >> 8 * (wide - 1 - byte)) & 255)
    return at + wide


@kernel
def _head(heap: Bytes, at: int, count: int, short: int, most: int, long: int) -> int:
    """How many entries a map has."""
    if count < most:
        heap[at] = np.uint8(short | count)
        return at + 1
    wide = 2 if count < 2**16 else 4
    heap[at] = np.uint8(long + (wide == 4))
    return _big(heap, at + 1, count, wide)


@kernel
def _integer(heap: Bytes, at: int, number: int) -> int:
    """A number from 0 on."""
    if number < 128:
        heap[at] = np.uint8(number)
        return at + 1
    wide, kind = (1, _UINT8) if number < 2**8 else (2, _UINT16) if number < 2**16 else (4, _UINT32)
    heap[at] = np.uint8(kind)
    return _big(heap, at + 1, number, wide)


@kernel
def _text(heap: Bytes, at: int, texts: Bytes, begin: int, end: int) -> int:
    size = end - begin
    if size < 32:
        heap[at] = np.uint8(_TEXT | size)
        at += 1
    else:
        wide = 1 if size < 2**8 else 2
        heap[at] = np.uint8(_TEXT8 if wide == 1 else _TEXT16)
        at = _big(heap, at + 1, size, wide)
    for byte in range(size):
        heap[at + byte] = texts[begin + byte]
    return at + size


@kernel
def _decimal(heap: Bytes, at: int, number: int) -> int:
    """A number as a text."""
    negative = number < 0
    left = np.uint64(-number if negative else number)
    size, more = 1 + negative, left // np.uint64(10)
    while more > np.uint64(0):
        size, more = size + 1, more // np.uint64(10)
    heap[at] = np.uint8(_TEXT | size)
    if negative:
        heap[at + 1] = np.uint8(ord("-"))
    for place in range(at + size, at + negative, -1):
        heap[place] = np.uint8(left % np.uint64(10) + np.uint64(ord("0")))
        left //= np.uint64(10)
    return at + 1 + size
