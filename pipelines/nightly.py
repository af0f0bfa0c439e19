"""A job at the same time of every day, until it is stopped."""

import time
from collections.abc import Callable

from features.errors import BadInput, KindredError

DAY_S = 86_400


def time_of_day(at: str) -> int:
    """Seconds after midnight (UTC) of a time as 03:30.

    Raises:  BadInput: it is none.
    """
    hours, _, minutes = at.partition(":")
    if not (hours.isdecimal() and minutes.isdecimal() and int(hours) < 24 and int(minutes) < 60):
        raise BadInput(f"at must be a time of the day as 03:30, got {at!r}", "at")
    return int(hours) * 3_600 + int(minutes) * 60


def every_day(
    at: str,
    job: Callable[[], None],
    failed: Callable[[KindredError], None],
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Do a job at a time of every day; `failed` is told what one night brought, tomorrow is another.

    Args:    at: UTC, as 03:30; clock: seconds since 1970.
    """
    wanted = time_of_day(at)
    while True:
        sleep((wanted - clock()) % DAY_S)
        try:
            job()
        except KindredError as error:
            failed(error)
