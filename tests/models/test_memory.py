"""Freed memory goes back to the system, where the C library can do that."""

import ctypes
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from models import memory


def resident() -> int:
    """Pages of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1])


def test_holes_between_what_is_kept_go_back() -> None:
    kept, freed = [], []
    for _ in range(2_000):
        freed.append(np.ones(8_000))  # 64 KB: from the heap, not pages of its own
        kept.append(np.ones(800))
    full = resident()
    freed.clear()
    memory.given_back()
    assert resident() < full - 20_000  # of 31,250 pages of 4 KB
    assert len(kept) == 2_000


def test_without_such_a_call_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> NoReturn:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    memory.given_back()
