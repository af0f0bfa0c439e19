"""The benchmarks that choose a calibration, the weights of events and what is trained on a GPU, on little data."""

import numpy as np
import pytest

from benchmarks import beauty_gpu
from benchmarks.calibration import WAYS
from benchmarks.select_weights import judged, weights_of
from features.weights import WEIGHTS


@pytest.mark.parametrize("way", sorted(WAYS))
def test_a_calibration_keeps_the_order_and_stays_a_probability(way: str) -> None:
    rng = np.random.default_rng(0)
    said = rng.random(400)
    labels = (rng.random(400) < said**2).astype(np.float64)
    found = WAYS[way](said, labels)(np.linspace(0.05, 0.95, 19))
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) >= -0.02).all()
    assert way == "platt" or abs(found[9] - 0.25) < 0.15  # 0.5 was said, a quarter happened


def test_the_weights_as_they_are_are_in_the_grid_and_count_as_one() -> None:
    assert weights_of(WEIGHTS["Product Added"], WEIGHTS["Order Completed"]) == WEIGHTS
    found = judged({(3.0, 5.0): [0.2, 0.4], (1.0, 1.0): [0.1, 0.6]})
    assert found == {(3.0, 5.0): 1.0, (1.0, 1.0): pytest.approx((0.5 + 1.5) / 2)}


def test_the_networks_that_are_trained_on_a_gpu_are_a_setting_of_the_blend() -> None:
    made = beauty_gpu.mixture("cuda", seed=2)
    assert str(made.params["member_settings"]).startswith("sasrec.embedding_size=128,sasrec.dropout=0.5,")
    assert (made.params["device"], made.params["seed"]) == ("cuda", 2)
