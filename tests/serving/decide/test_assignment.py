"""Assignment is bit-equal to GrowthBook's own, by its public cases; and what a canary needs of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from serving.decide.assignment import (
    Range,
    bucket_ranges,
    choose_variation,
    equal_weights,
    fnv32a,
    in_namespace,
    number_of,
)

CASES = Path(__file__).parents[4] / "shared" / "data" / "vectors" / "growthbook_cases.json"


@pytest.fixture(scope="module")
def cases() -> dict[str, Any]:
    """GrowthBook's cases.json; each test that needs it is skipped where it isn't beside the project."""
    if not CASES.is_file():
        pytest.skip("GrowthBook's cases.json is not beside the project")
    found: dict[str, Any] = json.loads(CASES.read_text())
    return found


def test_it_hashes_as_growthbook_does(cases: dict[str, Any]) -> None:
    assert len(cases["hash"]) >= 15
    for seed, value, version, wanted in cases["hash"]:
        assert number_of(seed, value, version) == wanted, (seed, value, version)


def test_ranges_are_growthbooks(cases: dict[str, Any]) -> None:
    assert len(cases["getBucketRange"]) >= 13
    for name, (variations, coverage, weights), wanted in cases["getBucketRange"]:
        found = [tuple(round(end, 6) for end in each) for each in bucket_ranges(variations, coverage, weights)]
        assert found == [tuple(round(end, 6) for end in each) for each in wanted], name


def test_the_variation_is_growthbooks(cases: dict[str, Any]) -> None:
    assert len(cases["chooseVariation"]) >= 13
    for name, number, ranges, wanted in cases["chooseVariation"]:
        assert choose_variation(number, [Range(*each) for each in ranges]) == wanted, name


def test_the_namespace_is_growthbooks(cases: dict[str, Any]) -> None:
    assert len(cases["inNamespace"]) >= 16
    for name, customer, (namespace, start, end), wanted in cases["inNamespace"]:
        assert in_namespace(customer, namespace, Range(start, end)) == wanted, name


def test_equal_weights_are_growthbooks(cases: dict[str, Any]) -> None:
    assert len(cases["getEqualWeights"]) >= 6
    for variations, wanted in cases["getEqualWeights"]:
        assert [round(weight, 8) for weight in equal_weights(variations)] == [round(weight, 8) for weight in wanted]


def test_the_hash_is_the_published_one() -> None:
    assert fnv32a("") == 0x811C9DC5
    assert fnv32a("a") == 0xE40C292C  # the test vector of FNV-1a's own page
    assert fnv32a("foobar") == 0xBF9CF968


def test_an_emoji_is_hashed_as_the_two_units_that_a_browser_sees() -> None:
    units = 0x811C9DC5
    for unit in (0xD83D, 0xDE00):
        units = ((units ^ unit) * 0x01000193) % 2**32
    assert fnv32a("\U0001f600") == units


def test_raising_the_coverage_moves_nobody_to_another_variation() -> None:
    numbers = [number_of("s", f"c{customer}") or 0.0 for customer in range(2_000)]
    few, many = bucket_ranges(2, 0.1), bucket_ranges(2, 0.5)
    for number in numbers:
        before, after = choose_variation(number, few), choose_variation(number, many)
        assert before in {-1, after}


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_a_share_of_the_customers_is_drawn_to_within_three_deviations(share: float) -> None:
    count = 20_000
    drawn = sum((number_of("als:3", f"c{customer}") or 0.0) < share for customer in range(count))
    assert abs(drawn - share * count) < 3 * (count * share * (1 - share)) ** 0.5
