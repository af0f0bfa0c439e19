"""What several events add to a state, in the order of its cells: each event's additions are nearly so already."""

from typing import NamedTuple

from features.columns import Numbers
from features.compiled.kernel import kernel
from features.contributions import Keys


class Added(NamedTuple):
    """Additions to one state."""

    key: Keys
    value: Numbers


@kernel
def insert(keys: Keys, values: Numbers, begin: int, end: int) -> None:
    """Sort what one event adds: its series come in order, so there is little to move."""
    for at in range(begin + 1, end):
        key, value, into = keys[at], values[at], at
        while into > begin and keys[into - 1] > key:
            keys[into], values[into] = keys[into - 1], values[into - 1]
            into -= 1
        keys[into], values[into] = key, value


@kernel
def sort(pair: tuple[Added, Added], runs: Numbers, count: int) -> int:
    """Merge sorted runs, two by two, from one room to the other and back; returns the room that they end in.

    Args:    runs: where each begins, and after the last where it ends; overwritten.
    """
    room = 0
    while count > 1:
        here, there = (pair[0], pair[1]) if room == 0 else (pair[1], pair[0])
        key, value, into_key, into_value = here.key, here.value, there.key, there.value
        merged = 0
        for run in range(0, count, 2):
            at, half = runs[run], runs[run + 1]
            end = runs[run + 2] if run + 1 < count else half
            other, into = half, at
            runs[merged] = at
            merged += 1
            while at < half or other < end:
                if other == end or (at < half and key[at] <= key[other]):
                    into_key[into], into_value[into] = key[at], value[at]
                    at += 1
                else:
                    into_key[into], into_value[into] = key[other], value[other]
                    other += 1
                into += 1
        runs[merged] = runs[count]
        count = merged
        room = 1 - room
    return room
