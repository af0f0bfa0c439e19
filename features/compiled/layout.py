"""Where the columns of a packed state are, as kernels need it: `features.packing` says what each means."""

import numpy as np
import numpy.typing as npt

from features.columns import Numbers
from features.compiled.kernel import kernel
from features.packing import COLUMN_COUNTS, COLUMNS, COUNTED

NAMES: tuple[str, ...] = tuple(name for names in COLUMNS.values() for name in names)
WIDTHS = np.array([width for width, names in COLUMNS.items() for _ in names], np.int64)
# Which size each column has.
SIZES = np.array([count for counts in COLUMN_COUNTS.values() for count in counts], np.int64)
N_SIZES = len(COUNTED)
HEAD = 10  # bytes before the sizes: format, how wide sizes are, the newest arrival

_1, _255 = np.uint64(1), np.uint64(255)
Bytes = npt.NDArray[np.uint8]

(
    MESSAGE, MESSAGE_AGE, TOUCH_AGE, TOUCH_SUB, NAME, LONG_SIZE, SUB, START_FAR, VALUE_WORD, TOUCH_AGE_HIGH, SUB_SHORT,
    START, VALUE_SHORT, TOUCH, TOUCH_PLACE, SIZE, SERIES, SHAPE, RUN, SUB_PLACE, START_DAY, VALUE, VALUE_TOP,
) = (
    NAMES.index(name) for name in (
        "message", "message age", "touch age", "touch sub", "name", "long size", "sub", "start far", "value word",
        "touch age high", "sub short", "start", "value short", "touch", "touch place", "size", "series", "shape", "run",
        "sub place", "start day", "value", "value top",
    )
)  # fmt: skip


@kernel
def read2(heap: Bytes, at: int) -> np.uint64:
    """A little-endian number of two bytes."""
    first = np.uint64(at)  # an index without a sign needs no look whether it counts from the end
    return np.uint64(heap[first]) | np.uint64(heap[first + _1]) << np.uint64(8)


@kernel
def read4(heap: Bytes, at: int) -> np.uint64:
    """The same of four."""
    return read2(heap, at) | read2(heap, at + 2) << np.uint64(16)


@kernel
def read8(heap: Bytes, at: int) -> np.uint64:
    """The same of eight."""
    return read4(heap, at) | read4(heap, at + 4) << np.uint64(32)


@kernel
def write2(heap: Bytes, at: int, number: np.uint64) -> None:
    """Two bytes of a number, little-endian; higher ones are left out."""
    first = np.uint64(at)
    heap[first] = np.uint8(number & _255)
    heap[first + _1] = np.uint8(number >> np.uint64(8) & _255)


@kernel
def write4(heap: Bytes, at: int, number: np.uint64) -> None:
    """The same of four."""
    write2(heap, at, number)
    write2(heap, at + 2, number >> np.uint64(16))


@kernel
def write8(heap: Bytes, at: int, number: np.uint64) -> None:
    """The same of eight."""
    write4(heap, at, number)
    write4(heap, at + 4, number >> np.uint64(32))


@kernel
def places(at: int, sizes: Numbers, into: Numbers) -> int:
    """Where each column of a state begins that has so many entries of each; returns where the last one ends."""
    for column in range(len(WIDTHS)):
        into[column] = at
        at += sizes[SIZES[column]] * WIDTHS[column]
    return at
