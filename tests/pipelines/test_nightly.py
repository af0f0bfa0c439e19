"""A job of every night keeps its time, and goes on after a night that failed."""

import pytest

from features.errors import BadInput, Unavailable
from pipelines.nightly import DAY_S, every_day, time_of_day


class StoppedError(Exception):
    """The test has seen enough."""


def nights(at: str, started: float, took: float = 600.0) -> tuple[list[float], list[str]]:
    """When the job began on three days (seconds since 1970), and what was told of the second, which fails."""
    now, begun, told = [started], list[float](), list[str]()

    def sleep(seconds: float) -> None:
        assert 0 <= seconds <= DAY_S
        now[0] += seconds

    def job() -> None:
        begun.append(now[0])
        now[0] += took
        if len(begun) == 2:
            raise Unavailable("Redis is away")
        if len(begun) == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        every_day(at, job, lambda error: told.append(str(error)), lambda: now[0], sleep)
    return begun, told


def test_it_begins_at_its_time_of_every_day_however_long_it_takes() -> None:
    midnight = 20_000 * DAY_S
    for started in (midnight, midnight + 12_599, midnight + 12_600):
        begun, _ = nights("03:30", started)
        assert begun == [midnight + 12_600 + day * DAY_S for day in range(3)]
    assert nights("03:30", midnight + 12_601)[0][0] == midnight + 12_600 + DAY_S


def test_a_night_that_failed_is_told_and_the_next_one_comes() -> None:
    begun, told = nights("23:59", 0.0)
    assert (len(begun), told) == (3, ["Redis is away"])


@pytest.mark.parametrize("at", ["25:00", "3", "03:60", "half past", "-1:00", "03:30:00", ""])
def test_what_is_no_time_of_the_day_is_refused(at: str) -> None:
    with pytest.raises(BadInput, match="time of the day as 03:30") as refused:
        time_of_day(at)
    assert refused.value.field == "at"
