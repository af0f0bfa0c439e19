"""A blend: weights go to who is right, members that say nothing are left out, and what is stored is what answers."""

import json
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from features.errors import BrokenArtifact
from models.als import Als
from models.blend import MEMBERS, Blend, BlendConfig
from models.histories import Histories
from models.holdout import hold_out
from models.interactions import Interactions
from models.mixing import learn, standardised, weigh
from models.sasrec.model import SasRec
from tests.tastes import checkerboard, two_tastes
from training import datasets


class Started(Exception):
    """A fit has begun, on this device."""


WORLD = datasets.interactions(datasets.checked(two_tastes()))


def test_who_is_right_gets_the_weight() -> None:
    random = np.random.default_rng(0)
    tables, wanted = [], []
    for _ in range(200):
        share = np.zeros(10, dtype=np.float32)
        share[random.integers(10)] = 1
        knows = share * 2 + random.normal(size=10)
        tables.append(np.stack([knows, random.normal(size=10)], axis=1).astype(np.float32))
        wanted.append(share)
    right, noise = learn(tables, wanted)
    assert right > 10 * noise


def test_a_row_is_in_logs_of_its_deviations_and_an_even_one_says_nothing() -> None:
    found = standardised(np.array([[1, 2, 3], [5, 5, 5]], dtype=np.float32))
    # 1 / sqrt(2 / 3) = 1.224745 deviations from the mean, log(1 + 1.224745) = .799642
    np.testing.assert_allclose(found, [[-0.799642, 0, 0.799642], [0, 0, 0]], rtol=1e-5)


def test_what_no_member_names_teaches_nothing() -> None:
    """A wanted item far down every list, beside which all candidates score high, must not turn the weights to 0."""
    held = hold_out(WORLD, users=40, share=0.2, seed=0)
    weights = weigh({"als": Als().fit(held.learned)}, held, candidates=5)
    assert weights["als"] > 0


def test_from_the_likelihood_weights_go_where_slates_are_better(monkeypatch: pytest.MonkeyPatch) -> None:
    held = hold_out(WORLD, users=40, share=0.2, seed=0)
    monkeypatch.setattr("models.mixing.climbed", lambda *given: 7 * np.ones_like(given[2]))
    assert weigh({"als": Als().fit(held.learned)}, held, candidates=5)["als"] == 7


def test_whatever_can_be_a_member_is_one_unless_it_is_said_otherwise() -> None:
    """A model that isn't asked can be better than all of those that are: item_knn was, where taste is middling."""
    assert set(BlendConfig().members) == set(MEMBERS)
    assert "item_knn" in MEMBERS


def test_what_is_held_out_is_the_end_of_each_history_and_nothing_of_it_is_learned() -> None:
    items = np.array([0, 1, 2, 3, 4, 0, 1], dtype=np.int32)
    times = np.array([0, 1, 2, 9, 9, 5, 6]) * 86_400_000
    histories = Histories(np.array([0, 5, 7]), items, np.ones(7, dtype=np.float32), 5, times)
    held = hold_out(Interactions(WORLD.users, WORLD.items, histories), users=9, share=0.5, seed=0)
    assert held.asked[0].items.tolist() == [0, 1, 2, 3]  # a third of five at most: one event
    assert held.wanted.toarray().tolist() == [[0, 0, 0, 0, 1]]
    assert held.learned.histories.items.tolist() == [0, 1, 2, 3, 0, 1]  # who has two events only keeps both
    assert held.share == pytest.approx(1 / 7)


def test_without_an_order_a_share_is_held_out_and_something_is_left_of_everybody() -> None:
    held = hold_out(checkerboard(), users=20, share=0.5, seed=0)
    assert (held.asked.counts >= 1).all()
    assert held.wanted.nnz > 0
    assert held.wanted.multiply(held.asked.matrix).nnz == 0


def test_who_takes_things_again_is_seen_in_the_weights() -> None:
    blend = Blend(BlendConfig(members=("als", "trending"))).fit(WORLD)
    assert blend.facts["weight_taken_before"] >= 0
    fresh = Blend(BlendConfig(members=("als", "trending"))).fit(checkerboard())
    assert "weight_taken_before" not in fresh.facts


def test_a_member_that_knows_nothing_of_taste_is_left_out() -> None:
    found = Blend(BlendConfig(members=("als", "trending"))).fit(checkerboard()).facts
    assert "weight_als" in found
    assert "weight_trending" not in found


def test_members_that_need_an_order_are_left_out_where_there_is_none() -> None:
    found = Blend(BlendConfig(members=("als", "session_knn"))).fit(checkerboard()).facts
    assert set(found) == {"weight_als"}


def test_members_are_fitted_with_the_settings_that_are_said_of_them_and_stored_so(tmp_path: Path) -> None:
    config = BlendConfig(members=("als", "trending"), member_settings=("als.embedding_size=8", "als.epochs=2"))
    blend = Blend(config, seed=3).fit(checkerboard())
    blend.save(tmp_path)
    for each in (blend, Blend.load(tmp_path)):
        member = each.members["als"].params
        assert (member["embedding_size"], member["epochs"], member["seed"]) == (8, 2, 3)
        assert each.params["member_settings"] == "als.embedding_size=8,als.epochs=2"


def test_members_are_trained_on_the_device_of_the_blend(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(self: SasRec, *_: Any) -> NoReturn:
        raise Started(self.params["device"])

    monkeypatch.setattr(SasRec, "fit", fit)
    for device in ("cpu", "cuda"):
        with pytest.raises(Started, match=device):
            Blend(BlendConfig(members=("sasrec",), device=device)).fit(WORLD)


@pytest.mark.parametrize(
    ("field", "text"), [("members", "als,oracle"), ("member_settings", "als.oracle=1"), ("device", 1)]
)
def test_a_stored_blend_of_what_there_is_not_is_broken(field: str, text: object, tmp_path: Path) -> None:
    Blend(BlendConfig(members=("als",))).fit(checkerboard()).save(tmp_path)
    kept = json.loads((tmp_path / "model.json").read_text())
    kept["params"][field] = text
    (tmp_path / "model.json").write_text(json.dumps(kept))
    with pytest.raises(BrokenArtifact):
        Blend.load(tmp_path)


def test_a_blend_that_was_stored_before_its_members_had_settings_is_still_read(tmp_path: Path) -> None:
    blend = Blend(BlendConfig(members=("als",))).fit(checkerboard())
    blend.save(tmp_path)
    stored = json.loads((tmp_path / "model.json").read_text())
    for name in ("member_settings", "device"):
        del stored["params"][name]
    (tmp_path / "model.json").write_text(json.dumps(stored))
    assert Blend.load(tmp_path).params == blend.params
