"""How a function becomes machine code: by numba, when it is first called, and kept on disk for the next process."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from features.code_cache import folder

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T", bound=np.generic)
Numbers = npt.NDArray[np.int64]

_FOLDER = folder()
if _FOLDER is not None:
    numba.config.CACHE_DIR = str(_FOLDER)  # type: ignore[attr-defined]


def kernel(function: F) -> F:
    """The function compiled; while it runs, other threads do too. It looks neither for zeros divided by nor for rows
    out of reach: what comes from outside is checked before."""
    return cast("F", numba.njit(cache=_FOLDER is not None, nogil=True, error_model="numpy")(function))


def summing(function: F) -> F:
    """The same, with sums of fractions in whatever order is quickest, as BLAS has them: only the last digits differ."""
    loose = {"reassoc", "contract", "nsz"}
    return cast("F", numba.njit(cache=_FOLDER is not None, nogil=True, error_model="numpy", fastmath=loose)(function))


@kernel
def place_of(values: Numbers, begin: int, end: int, one: int) -> int:
    """Where a number is, or belongs, among sorted ones from `begin` to `end`."""
    while begin < end:
        middle = (begin + end) >> 1
        if values[middle] < one:
            begin = middle + 1
        else:
            end = middle
    return begin


def owned(array: npt.ArrayLike, kind: type[T]) -> npt.NDArray[T]:
    """The array as kernels take it, of this type, in one piece, writable: so each is compiled for one type only."""
    found = np.ascontiguousarray(array, kind)
    return found if found.flags.writeable else found.copy()
