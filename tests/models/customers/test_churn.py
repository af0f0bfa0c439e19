"""The classifier of churn: what it learns, its reasons, its calibration, its files, and input that can't be used."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit

from features.errors import BadInput, BrokenArtifact, NotFitted
from models import artifacts
from models.customers.calibration import blend, ece, ece_by_chance, reliability
from models.customers.churn import Churn
from models.customers.encoding import Encoding, Inputs
from models.customers.folds import grouped_folds
from training.classification import measure


def customers(n: int = 600, seed: int = 0) -> tuple[dict[str, Any], Any, Any]:
    """Columns, labels and true probabilities: tenure in a curve, contract in steps, noise, a constant, gaps."""
    rng = np.random.default_rng(seed)
    tenure, noise = rng.uniform(0, 60, n), rng.normal(size=n)
    contract = rng.choice(["month", "year"], n).astype(object)
    truth = expit(2 - 3 * np.minimum(tenure, 20) / 20 + np.where(contract == "month", 1.0, -1.5))
    tenure[rng.random(n) < 0.05] = np.nan
    contract[rng.random(n) < 0.05] = None
    inputs = {"tenure": tenure, "contract": contract, "noise": noise, "constant": np.ones(n)}
    return inputs, (rng.random(n) < truth).astype(float), truth


INPUTS, LABELS, _ = customers()
MODEL = Churn().fit(INPUTS, LABELS)


def test_it_finds_who_churns_and_its_probabilities_mean_what_they_say() -> None:
    inputs, labels, truth = customers(4_000, seed=1)
    found = measure(MODEL.predict(inputs), labels)
    assert found["auc"] > measure(truth, labels)["auc"] - 0.03
    assert found["ece"] < 0.05


def test_probabilities_are_float32_between_zero_and_one() -> None:
    found = MODEL.predict(INPUTS)
    assert found.dtype == np.float32
    assert found.shape == (600,)
    assert ((found > 0) & (found < 1)).all()


def test_contributions_add_up_to_the_log_odds() -> None:
    effects, base = MODEL.contributions(INPUTS)
    assert effects.shape == (600, 3)
    assert effects.sum(axis=1) + base == pytest.approx(MODEL.margin(INPUTS), abs=1e-9)
    assert logit(MODEL.predict(INPUTS).astype(float)) == pytest.approx(MODEL.margin(INPUTS), abs=1e-4)


def test_reasons_name_the_columns_that_matter_with_their_values_the_largest_first() -> None:
    asked: Inputs = {
        "tenure": np.array([1.0, 50]),
        "contract": np.array(["month", "year"], dtype=object),
        "noise": np.zeros(2),
        "constant": np.ones(2),
    }
    leaving, staying = MODEL.reasons(asked, 2)
    assert {(each.feature, each.value) for each in leaving} == {("tenure", 1.0), ("contract", "month")}
    assert all(each.effect > 0 for each in leaving)
    assert all(each.effect < 0 for each in staying)
    assert abs(leaving[0].effect) >= abs(leaving[1].effect)


def test_what_is_not_known_is_no_error_neither_is_a_text_never_seen() -> None:
    nobody: Inputs = {
        "tenure": np.array([np.nan, 3]),
        "contract": np.array([None, "decade"], dtype=object),
        "noise": np.array([np.nan, 0]),
    }
    assert np.isfinite(MODEL.predict(nobody)).all()
    assert all(each.value is None for each in MODEL.reasons(nobody, 3)[0])


def test_a_constant_column_is_not_used() -> None:
    assert MODEL.features == ("tenure", "contract", "noise")
    assert MODEL.facts["dropped"] == 1


def test_equal_seeds_give_equal_probabilities_and_one_row_is_as_many() -> None:
    again = Churn().fit(INPUTS, LABELS)
    assert (again.predict(INPUTS) == MODEL.predict(INPUTS)).all()
    one = {name: column[:1] for name, column in INPUTS.items()}
    assert MODEL.predict(one)[0] == MODEL.predict(INPUTS)[0]


def test_it_is_saved_without_a_pickle_and_loaded_equal(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    artifacts.seal(tmp_path)
    artifacts.verify(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kindred.json", "linear.npz", "model.json", "trees.txt"]
    loaded = Churn.load(tmp_path)
    assert (loaded.predict(INPUTS) == MODEL.predict(INPUTS)).all()
    assert loaded.reasons(INPUTS, 3)[7] == MODEL.reasons(INPUTS, 3)[7]
    assert (loaded.params, loaded.facts) == (MODEL.params, MODEL.facts)


@pytest.mark.parametrize("name", ["model.json", "linear.npz", "trees.txt"])
def test_a_damaged_or_missing_file_is_a_broken_artifact(tmp_path: Path, name: str) -> None:
    MODEL.save(tmp_path)
    (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(BrokenArtifact):
        Churn.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(BrokenArtifact):
        Churn.load(tmp_path)


def test_before_fit_it_says_so() -> None:
    with pytest.raises(NotFitted):
        Churn().predict(INPUTS)


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (INPUTS, np.ones(600), "all 600 labels are 1"),
        (INPUTS, np.full(600, 0.5), "0 and 1"),
        (INPUTS, LABELS[:5], "600 rows and 5 labels"),
        ({"a": np.ones(600)}, LABELS, "every column is constant"),
        ({"a": np.full(600, np.inf)}, LABELS, "infinite"),
        ({"a": np.arange(600.0), "b": np.ones(5)}, LABELS, "different lengths"),
        ({}, LABELS, "no columns"),
        (INPUTS, (np.arange(600) < 3).astype(float), "5 folds need"),
    ],
)
def test_input_that_cannot_be_learned_from_is_refused(inputs: Inputs, labels: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Churn().fit(inputs, labels)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(BadInput, match="'tenure' is missing"):
        MODEL.predict({name: column for name, column in INPUTS.items() if name != "tenure"})


def test_rows_of_one_customer_are_never_on_both_sides_of_a_fold() -> None:
    rng = np.random.default_rng(0)
    whose, labels = rng.integers(0, 40, 300), (rng.random(300) < 0.3).astype(float)
    folds, _ = grouped_folds(labels, whose, 5, 0, 300)
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(300))
    for train, held in folds:
        assert not set(whose[train]) & set(whose[held])
        assert 0 < labels[held].sum() < len(held)


def test_a_blend_leans_on_the_better_margin_and_turns_none_around() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=5_000) * 2
    labels = (rng.random(5_000) < expit(truth)).astype(float)
    found = blend(np.column_stack([truth * 3, -truth]), labels)
    assert found.weights[0] == pytest.approx(1 / 3, abs=0.03)  # overconfident by three
    assert found.weights[1] == 0
    assert found.intercept == pytest.approx(0, abs=0.1)


def test_ece_by_hand() -> None:
    # bin .0-.1: predicted .05, observed 1/2, of 2 rows; bin .9-1: predicted 1, observed 1, of 2 rows
    chances, labels = np.array([0.05, 0.05, 1.0, 1.0]), np.array([0.0, 1, 1, 1])
    assert [each.rows for each in reliability(chances, labels)] == [2, 2]
    assert ece(chances, labels) == pytest.approx(2 / 4 * 0.45)


def test_what_chance_alone_makes_of_right_probabilities() -> None:
    # one bin of two rows: variance 2 x .5 x .5 = .5; the mean amount of a normal of that is sqrt(2 x .5 / pi) = .5642
    assert ece_by_chance(np.array([0.5, 0.5])) == pytest.approx(0.5642 / 2, abs=1e-4)
    assert ece_by_chance(np.array([0.0, 1.0])) == 0
    rng = np.random.default_rng(0)
    right = rng.beta(1, 2, 1_400)
    drawn = [ece(right, (rng.random(1_400) < right).astype(float)) for _ in range(300)]
    assert ece_by_chance(right) == pytest.approx(np.mean(drawn), rel=0.03)


def test_numbers_become_hats_that_add_up_to_one() -> None:
    encoding = Encoding.of({"a": np.array([0.0, 1, 2, 3, np.nan])}, 3, 1)
    assert encoding.columns[0].knots == (0.0, 1.5, 3.0)
    rows, owner = encoding.curves({"a": np.array([0.75, -9, 99, np.nan])})
    assert rows.tolist() == [[0.5, 0.5, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert owner.tolist() == [0, 0, 0, 0]
