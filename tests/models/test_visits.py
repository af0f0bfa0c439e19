"""Long histories are learned from visit by visit, and nothing of them is left out."""

import numpy as np

from features.sessions import GAP_MS
from models.histories import Histories
from models.interactions import IdMap, Interactions
from models.visits import LONGEST, visits


def histories(*gaps: list[int], ordered: bool = True, timed: bool = True) -> Histories:
    """One person a list; each event so many ms after the one before it, and of an item of its own."""
    counts = [len(each) for each in gaps]
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    items = np.arange(indptr[-1], dtype=np.int32)
    times = np.concatenate([np.cumsum(each) for each in gaps]).astype(np.int64) if timed else None
    return Histories(indptr, items, np.ones(len(items), dtype=np.float32), len(items), times, ordered)


def test_a_long_history_is_cut_where_half_an_hour_passes_and_a_short_one_is_not() -> None:
    long = [0, *[1] * (LONGEST - 2), GAP_MS, 1, GAP_MS - 1, GAP_MS]
    short = [GAP_MS] * LONGEST
    found = visits(histories(long, short))
    assert found.counts.tolist() == [LONGEST - 1, 3, 1, LONGEST]
    assert found.items.tolist() == list(range(2 * LONGEST + 3))


def test_two_people_are_never_one_visit() -> None:
    found = visits(histories([1] * (LONGEST + 1), [1] * 3, [1] * LONGEST))
    assert found.counts.tolist() == [LONGEST, 1, 3, LONGEST]


def test_no_visit_is_longer_than_the_longest_with_times_or_without() -> None:
    for timed in (True, False):
        found = visits(histories([1] * (2 * LONGEST + 1), [1, 1], timed=timed))
        assert found.counts.tolist() == [LONGEST, LONGEST, 1, 2]


def test_where_no_order_is_known_nothing_is_cut() -> None:
    assert visits(histories([1] * (2 * LONGEST), ordered=False, timed=False)).counts.tolist() == [2 * LONGEST]


def test_somebody_without_events_has_no_visit() -> None:
    assert visits(histories([], [1] * (LONGEST + 1), [])).counts.tolist() == [LONGEST, 1]
    assert len(visits(histories([]))) == 1  # nobody is long: as it was


def world(*gaps: list[int]) -> Interactions:
    rows = histories(*gaps)
    users = IdMap(tuple(f"u{at}" for at in range(len(gaps))))
    return Interactions(users, IdMap(tuple(f"i{at:04d}" for at in range(rows.n_items))), rows)


def test_models_learn_what_goes_together_from_visits_and_from_whole_histories() -> None:
    made = world([0, *[1] * (LONGEST - 2), GAP_MS, 1], [1, 1])
    assert np.diff(made.taken_together().indptr).tolist() == [LONGEST - 1, 2, 2, LONGEST + 1]
    assert made.taken_together().shape == (4, LONGEST + 3)
    assert made.matrix.shape == (2, LONGEST + 3)


def test_who_has_a_single_visit_is_one_row() -> None:
    assert world([0, *[1] * LONGEST], [1, 1], [GAP_MS] * 3).taken_together().shape[0] == 5  # a piece of one event, too
    short = world([GAP_MS] * LONGEST)
    assert short.taken_together() is short.matrix
    assert world([0, *[1] * LONGEST]).taken_together(LONGEST + 1).shape[0] == 1
