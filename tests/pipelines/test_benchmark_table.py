"""What people see of a benchmark."""

from pipelines.benchmark_table import rows, tuned_rows
from training.tuning import Tuned


def test_spread_and_interval_stand_beside_their_metric() -> None:
    found = {
        "als": {"hr@1": 0.5, "hr@1_sd": 0.01, "hr@1_low": 0.4, "hr@1_high": 0.6, "users": 3.0, "users_hot": 0.0},
        "trending": {"hr@1": 0.25, "hr@1_sd": 0.0, "hr@1_low": 0.2, "hr@1_high": 0.3, "users": 3.0},
    }
    assert rows(found) == [
        ("hr@1", "0.5000 ± 0.0100 [0.4000, 0.6000]", "0.2500 [0.2000, 0.3000]"),
        ("users", "3", "3"),
        ("users_hot", "0", "-"),
    ]


def test_a_difference_shows_its_chance() -> None:
    found = {"als": {"hr@1_minus_b": 0.1, "hr@1_minus_b_low": 0.0, "hr@1_minus_b_high": 0.2, "hr@1_minus_b_p": 0.04}}
    assert rows(found) == [("hr@1_minus_b", "0.1000 [0.0000, 0.2000] p 0.040")]


def test_what_was_tuned_shows_what_it_gained() -> None:
    best = Tuned({"epochs": 15, "alpha": 0.5}, {"Product Viewed": 1.0}, 0.3, 0.2, 9, "study")
    assert tuned_rows({"als": best}) == [
        ("als", "epochs", "15"),
        ("als", "alpha", "0.5000"),
        ("als", "weight of Product Viewed", "1.0000"),
        ("als", "validation, defaults", "0.2000"),
        ("als", "validation, tuned", "0.3000"),
    ]
