"""Each gate with its number and bound, on figures that are looked at by eye."""

from dataclasses import replace
from typing import Any

import pytest

from features.definitions import FEATURES
from features.errors import BadInput
from models.registry import Version
from models.registry.trail import Gate
from pipelines import gates
from pipelines.parity import Parity

GOOD = {"ndcg_at_10": 0.5, "recall_at_10": 0.6, "coverage_at_10": 0.4, "ask_ms_p99": 3.0}
DAYS = {"kindred.measured_since": "1", "kindred.measured_until": "2", "kindred.measured_on": "any"}


def version(number: str = "2", tags: dict[str, str] = DAYS, **metrics: float) -> Version:
    return Version("als", number, "run", "", 0, tags, metrics={**GOOD, **metrics})


def failed(found: list[Gate]) -> list[str]:
    return [gate.gate for gate in found if not gate.passed]


def test_a_good_version_passes_every_gate() -> None:
    found = gates.of_items(version(), version("1"))
    assert len(found) == 6
    assert failed(found) == []


def beside(low: float, gain: float = 0.0) -> Version:
    measured = {"gain_ndcg_at_10": gain, "gain_ndcg_at_10_low": low, "rival_ndcg_at_10": 0.4}
    return version("2", {**DAYS, "kindred.compared_with": "1"}, **measured)


@pytest.mark.parametrize(("low", "passes"), [(0.001, True), (0.0, True), (-0.02, True), (-0.0201, False)])
def test_the_interval_of_the_gain_may_reach_a_twentieth_of_the_champion_below_nothing(low: float, passes: bool) -> None:
    gate = gates.quality(beside(low), version("1"))
    assert gate.bound == "from >= -0.02, measured beside version 1"  # 5% of 0.4
    assert gate.passed == passes


def test_the_gate_of_quality_says_by_how_much() -> None:
    gate = gates.quality(beside(-0.1, gain=-0.05), version("1"))
    assert gate.value == "-0.05, from -0.1 with 95%"


def test_a_gain_over_another_version_than_the_champion_counts_for_nothing() -> None:
    gate = gates.quality(beside(-1.0), version("7"))
    assert (gate.value, gate.bound, gate.passed) == ("0.5", ">= 0.5 of the champion", True)


def test_figures_of_other_days_are_said_to_be_of_other_days() -> None:
    gate = gates.quality(version(ndcg_at_10=0.49), version("1", {**DAYS, "kindred.measured_since": "0"}))
    assert (gate.bound, gate.passed) == (">= 0.5 of the champion on other days", False)


@pytest.mark.parametrize(("metric", "value", "gate"), [
    ("coverage_at_10", 0.19, "coverage of the catalogue"),
    ("ask_ms_p99", 50.1, "p99 of a slate in ms"),
    ("recall_at_10", 1.1, "recall_at_10 is there"),
    ("ask_ms_p99", float("nan"), "p99 of a slate in ms"),
])  # fmt: skip
def test_a_figure_out_of_bounds_fails_its_gate_alone(metric: str, value: float, gate: str) -> None:
    assert failed(gates.of_items(version(**{metric: value}), version("1"))) == [gate]


def test_a_model_of_customers_is_judged_by_its_own_measure() -> None:
    churn = Version("churn", "2", "run", "", 0, {}, metrics={"auc": 0.7})
    better = Version("churn", "1", "run", "", 0, {}, metrics={"auc": 0.8})
    assert failed(gates.of_customers(churn, better)) == ["auc not below the champion's"]
    assert failed(gates.of_customers(churn, None)) == []


@pytest.mark.parametrize(("low", "passes"), [(0.001, True), (-0.001, False)])
def test_a_ranker_is_never_worse_than_no_ranker(low: float, passes: bool) -> None:
    found = gates.of_customers(replace(version(ndcg_at_10=0.3, gain_ndcg_at_10_low=low), name="ranker"), None)
    assert (failed(found) == []) == passes
    assert failed(gates.of_customers(replace(version(ndcg_at_10=0.3), name="ranker"), None))  # nobody measured it


def test_a_feature_that_means_something_else_now_is_named() -> None:
    name = next(iter(FEATURES.features))
    known = {f"kindred.feature.{name}": FEATURES.fingerprint(name)}
    assert gates.fingerprints(known).passed
    assert gates.fingerprints({}).passed
    other = gates.fingerprints({f"kindred.feature.{name}": "00000000", "kindred.feature.gone": "11111111"})
    assert not other.passed
    assert other.value in {f"2 changed: {name}, gone", f"2 changed: gone, {name}"}


def parity(customers: int, differing: int) -> Parity:
    found = Parity("g", customers=customers, differing=differing)
    found.features["views_7d"] += differing
    return found


def test_one_customer_who_is_read_otherwise_online_stops_a_promotion() -> None:
    gate = gates.agreement(parity(200, 1))
    assert (gate.value, gate.passed, gate.binding) == ("1 of 200 differ, in views_7d", False, True)
    assert gates.agreement(parity(200, 0)).passed


@pytest.mark.parametrize("nobody", [None, parity(0, 0)])
def test_where_nobody_could_be_looked_at_the_gate_tells_and_binds_not(nobody: Any) -> None:
    gate = gates.agreement(nobody)
    assert not gate.binding
    assert "nobody" in gate.value


def test_a_refusal_names_the_gate_and_both_numbers() -> None:
    found = tuple(gates.of_items(version(ask_ms_p99=80.0), None))
    assert (
        gates.refusal("als", "2", found, "promoted")
        == "als version 2 was not promoted: p99 of a slate in ms is 80, asked <= 50"
    )


@pytest.mark.parametrize(("text", "share"), [("10%", 0.1), ("0.5", 0.005), ("50", 0.5)])
def test_a_share_is_a_percentage(text: str, share: float) -> None:
    assert gates.need_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["0", "51%", "nan", "-1", "many", ""])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="at most 50 percent"):
        gates.need_share(text)
