"""From the likelihood's weights to better slates: only where the gain is clear."""

import numpy as np
import pytest

from models import climbing
from models.arrays import Float32
from models.climbing import FEWEST, SHOWN, climbed


def people(count: int, candidates: int = 3 * SHOWN) -> tuple[list[Float32], list[Float32]]:
    """The first scorer knows what is wanted, the second is noise."""
    random = np.random.default_rng(0)
    tables, shares = [], []
    for _ in range(count):
        wanted = random.permutation(candidates) < 3
        knows = wanted * 1.5 + random.normal(size=candidates)
        tables.append(np.stack([knows, random.normal(size=candidates)], axis=1).astype(np.float32))
        shares.append(wanted.astype(np.float32) / 3)
    return tables, shares


def test_weight_goes_from_noise_to_who_is_right() -> None:
    right, noise = climbed(*people(300), np.array([1.0, 1.0]))
    assert noise < 0.3 * right


def test_a_gain_that_may_be_chance_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(climbing, "CLEAR", 1_000.0)
    assert climbed(*people(300), np.array([1.0, 1.0])).tolist() == [1.0, 1.0]


def test_a_handful_of_people_moves_nothing() -> None:
    assert climbed(*people(FEWEST - 1), np.array([1.0, 1.0])).tolist() == [1.0, 1.0]


def test_no_weight_is_below_nothing_and_all_at_nothing_stay_so() -> None:
    assert climbing._moved(np.array([1.0, 0.1]), 1, -0.3).tolist() == [1.0, 0.0]
    assert climbed(*people(300), np.zeros(2)).tolist() == [0.0, 0.0]


def test_who_has_fewer_candidates_is_shown_no_more_than_these() -> None:
    """Of the first only two are there, both below 0, and the second of them is wanted; ndcg 1 / log2(3)."""
    tables = [np.array([[-1.0], [-2.0]]), np.arange(30.0)[:, None]]
    shares = [np.array([0.0, 1.0]), np.arange(30) == 29]
    packed = climbing._packed(
        [each.astype(np.float32) for each in tables], [each.astype(np.float32) for each in shares]
    )
    np.testing.assert_allclose(climbing._ndcg(packed, np.array([1.0])), [1 / np.log2(3), 1])


def test_people_with_few_candidates_are_no_trouble() -> None:
    tables, shares = people(50)
    tables[0], shares[0] = tables[0][:2], np.array([1.0, 0.0], dtype=np.float32)
    assert climbed(tables, shares, np.array([1.0, 1.0]))[0] > 0
    fewer_than_shown = [table[:2] for table in tables], [np.array([1, 0], dtype=np.float32)] * 50
    assert (climbed(*fewer_than_shown, np.array([1.0, 1.0])) >= 0).all()
