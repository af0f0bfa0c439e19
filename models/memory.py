"""Memory that was freed and that the system doesn't have back."""

import ctypes
from contextlib import suppress


def given_back() -> None:
    """Let the C library return what is free: arrays of ever other sizes leave holes that it would keep.

    Where that library has no such call, nothing happens.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
