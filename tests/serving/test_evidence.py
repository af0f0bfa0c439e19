"""When a canary is stopped, and how seldom one that is no worse ever is."""

import numpy as np
import pytest

from serving.evidence import ALPHA, Share, bucket, judge, judge_since, slow_edge, worse


def counts(canary: dict[str, int], champion: dict[str, int]) -> dict[str, int]:
    """Of both arms, all answers old enough for clicks unless said."""
    arms = {"canary": canary, "champion": champion}
    whole = {arm: {"ripe": found.get("answers", 0), **found} for arm, found in arms.items()}
    return {f"{arm}:{name}": count for arm, found in whole.items() for name, count in found.items()}


def stopped(canary: dict[str, int], champion: dict[str, int]) -> list[str]:
    return [gate.gate for gate in judge(counts(canary, champion)) if not gate.passed]


FINE = {"answers": 10_000, "ms1": 9_500, "ms5": 500, "clicks": 500, "orders": 100}


def test_a_canary_that_does_as_well_is_not_stopped() -> None:
    assert stopped({"answers": 1_000, "ms1": 950, "ms5": 50, "clicks": 50, "orders": 10}, FINE) == []


def test_a_canary_without_an_answer_is_not_stopped() -> None:
    assert stopped({}, FINE) == []
    assert stopped({"answers": 900, "errors": 900}, {}) == []  # there is nobody to compare with


@pytest.mark.parametrize(("canary", "measure"), [
    ({"answers": 60, "errors": 60, "ms1": 60}, "errors"),
    ({"answers": 500, "errors": 30, "ms1": 500, "clicks": 25, "orders": 5}, "errors"),
    ({"answers": 1_000, "ms50": 400, "ms1": 600, "clicks": 50, "orders": 10}, "answers slower than 20 ms"),
    ({"answers": 5_000, "ms1": 5_000, "clicks": 50, "orders": 50}, "clicks"),
])  # fmt: skip
def test_a_canary_is_stopped_by_the_measure_that_is_worse(canary: dict[str, int], measure: str) -> None:
    assert stopped(canary, FINE) == [measure]


def test_answers_that_nobody_can_have_clicked_yet_are_no_evidence() -> None:
    young = {"answers": 5_000, "ms1": 5_000, "ripe": 500, "clicks": 25, "orders": 50}
    assert stopped(young, FINE) == []
    assert stopped(young | {"ripe": 5_000}, FINE) == ["clicks"]


BEFORE = {"answers": 10_000, "ripe": 10_000, "ms1": 10_000, "clicks": 500}


@pytest.mark.parametrize(("new", "measures"), [
    ({"answers": 2_000, "ripe": 2_000, "ms1": 2_000, "clicks": 90}, []),
    ({"answers": 2_000, "ripe": 2_000, "ms1": 1_800, "ms50": 200, "clicks": 75}, []),  # another hour may be so
    ({"answers": 100, "ms1": 50, "errors": 50}, ["errors"]),
    ({"answers": 2_000, "ripe": 1_000, "ms50": 1_000, "ms1": 1_000, "clicks": 50}, ["answers slower than 20 ms"]),
    ({"answers": 9_000, "ripe": 8_000, "ms1": 9_000, "clicks": 40}, ["clicks"]),
])  # fmt: skip
def test_a_champion_is_held_against_the_one_before_it(new: dict[str, int], measures: list[str]) -> None:
    gates = judge_since(new, BEFORE)
    assert [gate.gate for gate in gates if not gate.passed] == measures
    assert gates[0].value.endswith("before 0 of 10000")


def test_a_champion_that_followed_nobody_who_answered_is_held_against_nothing() -> None:
    assert all(gate.passed for gate in judge_since({"answers": 500, "errors": 500}, {}))


def test_a_few_failures_of_many_are_borne() -> None:
    assert stopped({"answers": 1_000, "errors": 4, "ms1": 1_000, "clicks": 50, "orders": 10}, FINE) == []


def test_an_order_missing_among_few_answers_is_no_evidence() -> None:
    assert stopped({"answers": 500, "ms1": 500, "clicks": 25}, FINE) == []  # 5 orders were to be expected


def test_the_evidence_names_both_arms_and_the_bound() -> None:
    errors = judge(counts({"answers": 60, "errors": 60}, FINE))[0]
    assert errors.value == "60 of 60, champion 0 of 10000"
    assert errors.bound.startswith("worse by 0.005 at most, else by luck with p >= 0.01; p is ")


def test_slow_is_what_nineteen_of_twenty_answers_of_the_champion_are_not() -> None:
    assert slow_edge(counts({}, {"answers": 100, "ms1": 100})) == 20  # nobody minds less
    assert slow_edge(counts({}, {"answers": 100, "ms100": 96, "ms500": 4})) == 100
    assert slow_edge(counts({}, {"answers": 100, "msmore": 100})) == 500


@pytest.mark.parametrize(("ms", "field"), [(0.2, "ms1"), (1.0, "ms1"), (1.1, "ms2"), (500, "ms500"), (501, "msmore")])
def test_an_answer_is_counted_by_its_milliseconds(ms: float, field: str) -> None:
    assert bucket(ms) == field


def test_a_canary_that_is_no_worse_is_hardly_ever_stopped_however_often_one_looks() -> None:
    random = np.random.default_rng(7)
    looks, runs = np.arange(50, 5_001, 50), 400
    ever = 0
    for _ in range(runs):
        canary, champion = (np.cumsum(random.random(5_000) < 0.05)[looks - 1] for _ in range(2))
        shares = zip(canary.tolist(), champion.tolist(), looks.tolist(), strict=True)
        ever += any(worse(Share(c, n), Share(b, n), 0.0) < ALPHA for c, b, n in shares)
    assert ever <= 0.02 * runs  # a plain test at 1% would stop about a tenth of them


def test_a_canary_that_fails_a_tenth_more_often_is_found_within_some_hundred_answers() -> None:
    random = np.random.default_rng(7)
    needed = []
    for _ in range(50):
        failed = np.cumsum(random.random(3_000) < 0.1)
        needed.append(
            next(n for n in range(50, 3_000) if worse(Share(int(failed[n - 1]), n), Share(0, 20_000), 0.005) < ALPHA)
        )
    assert np.median(needed) < 300
