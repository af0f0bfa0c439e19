"""The thread that merges small files: it goes on after a full disk, and tells of what it can't get over."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from pipelines.stream import tidying
from pipelines.stream.tidying import Tidying


class Log:
    """Stands in for a log: each compaction is noted and then does what it is told to."""

    def __init__(self, then: Callable[[], int]) -> None:
        self.seen: list[list[int]] = []
        self.then = then

    def compact(self, _now_ms: int, partitions: list[int]) -> int:
        self.seen.append(partitions)
        return self.then()


def until(ready: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def failing(error: Exception) -> Callable[[], int]:
    def fail() -> int:
        raise error

    return fail


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidying, "EVERY_S", 0.01)


def test_it_compacts_the_partitions_it_was_told_last_and_nothing_where_there_are_none() -> None:
    log, other = Log(lambda: 0), Log(lambda: 0)
    working = Tidying()
    working.own([(log, [1, 2]), (other, [])])  # type: ignore[list-item]
    until(lambda: len(log.seen) > 2)
    working.close()
    assert log.seen[0] == [1, 2]
    assert other.seen == []


def test_a_full_disk_is_waited_for() -> None:
    log = Log(failing(OSError("no space left")))
    working = Tidying()
    working.own([(log, [1])])  # type: ignore[list-item]
    until(lambda: len(log.seen) > 2)
    working.own([])
    working.close()


def test_what_it_can_not_get_over_ends_the_worker() -> None:
    log = Log(failing(ValueError("a file that is none")))
    working = Tidying()
    working.own([(log, [1])])  # type: ignore[list-item]
    until(lambda: not working._thread.is_alive())
    with pytest.raises(ValueError, match="a file that is none"):
        working.own([])
    working.close()
    assert len(log.seen) == 1


def test_while_events_wait_it_compacts_seldom() -> None:
    log = Log(lambda: 0)
    working = Tidying()
    working.own([(log, [1])], behind=True)  # type: ignore[list-item]
    time.sleep(0.2)
    working.close()
    assert log.seen == []
