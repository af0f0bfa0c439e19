"""Long histories are learned from visit by visit, and nothing of them is left out."""

import numpy as np

from features.sessions import GAP_MS
from models.histories import Histories
from models.interactions import IdMap, Interactions
from models.visits import LONGEST, WHOLE, visits


def histories(*gaps: list[int], ordered: bool = True, timed: bool = True) -> Histories:
    """One person a list; each event so many ms after the one before it, and of an item of its own."""
    counts = [len(each) for each in gaps]
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    items = np.arange(indptr[-1], dtype=np.int32)
    times = np.concatenate([np.cumsum(each) for each in gaps]).astype(np.int64) if timed else None
    return Histories(indptr, items, np.ones(len(items), dtype=np.float32), len(items), times, ordered)


def test_a_long_history_is_cut_where_half_an_hour_passes_and_a_short_one_is_not() -> None:
    long = [0, *[1] * (WHOLE - 1), GAP_MS, 1, GAP_MS - 1, GAP_MS]
    short = [GAP_MS] * WHOLE
    found = visits(histories(long, short))
    assert found.counts.tolist() == [WHOLE, 3, 1, WHOLE]
    assert found.items.tolist() == list(range(2 * WHOLE + 4))


def test_two_people_are_never_one_visit() -> None:
    assert visits(histories([1] * (WHOLE + 1), [1] * (WHOLE + 1))).counts.tolist() == [WHOLE + 1, WHOLE + 1]


def test_no_visit_is_longer_than_the_longest_with_times_or_without() -> None:
    for timed in (True, False):
        found = visits(histories([1] * (2 * LONGEST + 1), [1, 1], timed=timed))
        assert found.counts.tolist() == [LONGEST, LONGEST, 1, 2]


def test_where_no_order_is_known_nothing_is_cut() -> None:
    assert visits(histories([1] * (2 * LONGEST), ordered=False, timed=False)).counts.tolist() == [2 * LONGEST]


def test_somebody_without_events_has_no_visit() -> None:
    assert visits(histories([], [1] * (WHOLE + 1), [])).counts.tolist() == [WHOLE + 1]
    assert len(visits(histories([]))) == 1  # nobody is long: as it was


def test_models_learn_what_goes_together_from_visits_and_from_whole_histories() -> None:
    rows = histories([0, *[1] * WHOLE, GAP_MS, 1], [1, 1])
    users = IdMap(("a", "b"))
    world = Interactions(users, IdMap(tuple(f"i{at:04d}" for at in range(rows.n_items))), rows)
    assert world.taken_together.shape == (4, WHOLE + 5)
    assert np.diff(world.taken_together.indptr).tolist() == [WHOLE + 1, 2, 2, WHOLE + 3]
    assert world.matrix.shape == (2, WHOLE + 5)


def test_who_has_a_single_visit_is_one_row() -> None:
    rows = histories([1] * (WHOLE + 1), [1, 1])
    world = Interactions(IdMap(("a", "b")), IdMap(tuple(f"i{at:04d}" for at in range(rows.n_items))), rows)
    assert world.taken_together.shape[0] == 2
    short = Interactions(IdMap(("a",)), IdMap(("i0", "i1")), histories([1, 1]))
    assert short.taken_together is short.matrix
