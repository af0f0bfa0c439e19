"""Exploration: exact probabilities, no flicker, pins untouched."""

from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.decide.explore import DAY_MS, draw, policy_of, seed_of
from serving.decide.pool import Candidate
from tests.serving.decide.fake import asks

POOL = [Candidate(item_id, score, "known") for item_id, score in zip("abcd", (4.0, 3.0, 2.0, 1.0), strict=True)]


def chance(slate: tuple[str, ...], rate: float) -> float:
    """Probability of a slate of a pool `abcd`, from the closed form."""
    left, whole = list("abcd"), 1.0
    for item_id in slate:
        whole *= rate / len(left) + (1 - rate) * (item_id == left[0])
        left.remove(item_id)
    return whole


@given(rate=st.floats(0.001, 1), seed=st.integers(0, 2**48 - 1), n=st.integers(1, 6))
def test_the_probability_of_each_place_is_that_of_the_closed_form(rate: float, seed: int, n: int) -> None:
    drawn = draw(POOL, n, rate, seed)
    whole = 1.0
    for _, propensity in drawn.slate:
        assert 0 < propensity <= 1
        whole *= propensity
    assert whole == pytest.approx(chance(tuple(candidate.item_id for candidate, _ in drawn.slate), rate), rel=1e-12)
    assert drawn.eligible == tuple("abcd")


@given(rate=st.floats(0, 1), seed=st.integers(0, 2**48 - 1))
def test_over_all_that_is_eligible_the_probabilities_of_a_place_sum_to_1(rate: float, seed: int) -> None:
    """At each place: what the place got has its propensity; the best one left and the others are as the policy says."""
    left = list("abcd")
    for candidate, propensity in draw(POOL, 4, rate, seed).slate:
        sums = {item_id: rate / len(left) + (1 - rate) * (item_id == left[0]) for item_id in left}
        assert sum(sums.values()) == pytest.approx(1.0)
        assert propensity == pytest.approx(sums[candidate.item_id])
        left.remove(candidate.item_id)


def test_slates_are_drawn_as_often_as_their_probabilities_say() -> None:
    """40,000 seeds; each of the 24 slates of 4 within 5 standard deviations."""
    drawn, rate = 40_000, 0.6
    counts = Counter(tuple(c.item_id for c, _ in draw(POOL, 4, rate, seed).slate) for seed in range(drawn))
    assert sum(chance(slate, rate) for slate in permutations("abcd")) == pytest.approx(1.0)
    for slate in permutations("abcd"):
        expected = chance(slate, rate)
        assert abs(counts[slate] / drawn - expected) < 5 * (expected * (1 - expected) / drawn) ** 0.5


def test_without_exploration_the_slate_is_the_pool_and_nothing_was_drawn() -> None:
    drawn = draw(POOL, 3, 0.0, 7)
    assert drawn == ([(candidate, 1.0) for candidate in POOL[:3]], ())
    assert (policy_of(0.0), policy_of(0.05)) == ("greedy", "uniform(rate=0.05)")


@given(rate=st.floats(0, 1), seed=st.integers(0, 2**48 - 1))
def test_a_pinned_item_stays_where_it_is_pinned_whatever_is_drawn(rate: float, seed: int) -> None:
    pins = [Candidate("x", 0.0, "rules", pinned=2), Candidate("y", 0.0, "rules", pinned=9)]
    slate, eligible = draw([*POOL, *pins], 4, rate, seed)
    assert [candidate.item_id for candidate, _ in slate].index("x") == 1
    assert slate[1][1] == 1.0
    assert len(slate) == 4
    assert "x" not in eligible
    assert not eligible or eligible[-1] == "y"  # pinned beyond the slate, so it is as open as any other


def test_where_the_pool_ends_early_pinned_items_move_up() -> None:
    pins = [Candidate("x", 0.0, "rules", pinned=4), Candidate("y", 0.0, "rules", pinned=8)]
    assert [candidate.item_id for candidate, _ in draw([POOL[0], *pins], 10, 0.0, 0).slate] == ["a", "x", "y"]


def test_a_slate_is_the_same_all_day_and_another_one_for_others() -> None:
    asked = asks("a", customer="u:1", now=3 * DAY_MS)
    same = asks("b", customer="u:1", now=4 * DAY_MS - 1)
    assert seed_of(asked) == seed_of(same)
    others = [
        asks(customer="u:2", now=3 * DAY_MS),
        asks(customer="u:1", now=4 * DAY_MS),
        asks(customer="u:1", now=3 * DAY_MS, placement="home"),
    ]
    assert len({seed_of(asked), *map(seed_of, others)}) == 4
    assert 0 <= seed_of(asked) < 2**48


def test_a_stateless_client_is_told_apart_by_its_history() -> None:
    assert seed_of(asks("a", "b")) == seed_of(asks("a", "b"))
    assert len({seed_of(asks("a", "b")), seed_of(asks("ab")), seed_of(asks())}) == 3
