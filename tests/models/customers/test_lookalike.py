"""Lookalike and the space it works in: whom it finds, what it says of why, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from features.errors import BadInput, BrokenArtifact, NotFitted
from models import artifacts
from models.arrays import Float32, Int32
from models.customers.customer_space import CustomerSpace, SpaceConfig, activity
from models.customers.lookalike import Lookalike, LookalikeConfig
from models.histories import Histories, History
from tests.tastes import checkerboard

METHODS = ("classifier", "cosine", "euclid")
BOARD = checkerboard(40, 12)  # user u likes the items of u's own parity
SPACE = CustomerSpace(SpaceConfig(size=4)).fit(BOARD)
VECTORS = SPACE.vectors(BOARD.histories)
SEED = np.array([0, 2, 4, 6, 8])


def model(method: str = "classifier", centroids: int = 1) -> Lookalike:
    return Lookalike(LookalikeConfig(method=method, centroids=centroids)).fit(VECTORS, SEED)  # type: ignore[arg-type]


def history(*items: int) -> History:
    return History(np.array(items, dtype=np.int32), np.ones(len(items), dtype=np.float32))


@pytest.mark.parametrize("method", METHODS)
def test_the_customers_found_are_those_of_the_seeds_taste(method: str) -> None:
    rows, scores = model(method).expand(VECTORS, 15, exclude=SEED)
    assert sorted(rows.tolist()) == list(range(10, 40, 2))
    assert (np.diff(scores) <= 0).all()
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.parametrize("method", METHODS)
def test_ties_are_broken_by_row_and_more_than_there_are_is_padded(method: str) -> None:
    twice = np.repeat(VECTORS[[1, 0]], 3, axis=0)
    rows, scores = model(method).expand(twice, 8)
    assert rows.tolist() == [3, 4, 5, 0, 1, 2, -1, -1]
    assert scores[6:].tolist() == [-np.inf, -np.inf]


@pytest.mark.parametrize("method", METHODS)
def test_of_whom_nothing_is_known_the_score_is_nought_and_nobody_names_them(method: str) -> None:
    unknown = np.zeros((1, VECTORS.shape[1]), dtype=np.float32)
    assert model(method).score(unknown).tolist() == [0]
    assert model(method).expand(unknown, 1)[0].tolist() == [-1]


def test_a_diverse_seed_has_a_centroid_for_each_of_its_kinds() -> None:
    both = Lookalike(LookalikeConfig(method="cosine", centroids=2)).fit(VECTORS, np.array([0, 2, 4, 1, 3]))
    assert both.score(VECTORS).min() > 0.9
    assert both.explain(VECTORS[10]).centroid == 0
    assert both.explain(VECTORS[11]).centroid == 1
    assert both.explain(VECTORS[11]).cosine == pytest.approx(1, abs=0.1)


def test_features_tell_the_classifier_what_vectors_dont() -> None:
    often = np.where(np.arange(40) % 4 == 0, 1.0, 0.0).astype(np.float32)[:, None]
    found = Lookalike().fit(VECTORS, np.array([0, 4, 8]), often)
    assert set(found.expand(VECTORS, 7, np.array([0, 4, 8]), often)[0].tolist()) == set(range(12, 40, 4))
    assert found.explain(VECTORS[12], often[12]).features[0] > 0 > found.explain(VECTORS[13], often[13]).features[0]


@pytest.mark.parametrize("times", [1, 3])
def test_how_many_others_there_are_changes_no_score(times: int) -> None:
    others = np.vstack([VECTORS[SEED], *[np.delete(VECTORS, SEED, axis=0)] * times])
    wide = Lookalike(LookalikeConfig(taste=1.0)).fit(np.vstack([others, others]), np.arange(5))
    assert wide.score(VECTORS)[SEED].min() > 0.5 > wide.score(VECTORS)[1::2].max()


def test_the_items_that_speak_for_a_customer_are_those_of_the_audience() -> None:
    mixed = history(0, 2, 4, 5)
    vector = SPACE.vectors(Histories.of([mixed], 12))[0]
    direction = model().explain(vector).direction
    shares = SPACE.contributions(mixed, direction)
    assert shares.sum() == pytest.approx(float(vector @ direction), rel=1e-4)
    assert shares[:3].min() > 0 > shares[3]


def test_equal_seeds_in_any_order_give_equal_scores() -> None:
    backwards = Lookalike().fit(VECTORS, np.concatenate([SEED[::-1], SEED]))
    np.testing.assert_array_equal(backwards.score(VECTORS), model().score(VECTORS))


@pytest.mark.parametrize(
    ("rows", "message"),
    [([], "no customer of the seed"), ([40], "must lie in 0..39"), ([-1], "must lie"), (range(40), "nobody left")],
)
def test_a_seed_that_nothing_can_be_learned_from_is_refused(rows: list[int], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Lookalike().fit(VECTORS, np.array(list(rows), dtype=np.int64))


def test_a_nan_other_columns_and_an_unknown_method_are_refused() -> None:
    broken = VECTORS.copy()
    broken[3, 1] = np.nan
    with pytest.raises(BadInput, match="vectors hold a NaN or an infinity in row 3"):
        Lookalike().fit(broken, SEED)
    with pytest.raises(BadInput, match="features hold a NaN"):
        Lookalike().fit(VECTORS, SEED, broken)
    with pytest.raises(BadInput, match="fitted on vectors of 4 and 0 features"):
        model().score(VECTORS[:, :3])
    with pytest.raises(BadInput, match="no method 'magic'"):
        Lookalike(LookalikeConfig(method="magic"))  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_a_model_and_its_space_come_back_from_one_folder(tmp_path: Path, method: str) -> None:
    fitted = model(method, centroids=2)
    fitted.save(tmp_path)
    SPACE.save(tmp_path)
    artifacts.seal(tmp_path)
    artifacts.verify(tmp_path)
    back, space = Lookalike.load(tmp_path), CustomerSpace.load(tmp_path)
    np.testing.assert_array_equal(back.score(space.vectors(BOARD.histories)), fitted.score(VECTORS))
    assert (back.params, space.params, space.items) == (fitted.params, SPACE.params, SPACE.items)
    np.testing.assert_array_equal(back.explain(VECTORS[3]).direction, fitted.explain(VECTORS[3]).direction)


@pytest.mark.parametrize(("load", "stem"), [(Lookalike.load, "model"), (CustomerSpace.load, "space")])
def test_damaged_files_are_refused(tmp_path: Path, load: Callable[[Path], object], stem: str) -> None:
    with pytest.raises(BrokenArtifact):
        load(tmp_path)
    model().save(tmp_path)
    SPACE.save(tmp_path)
    path = tmp_path / f"{stem}.json"
    head = json.loads(path.read_text())
    for damage in ({**head, "name": "als"}, {**head, "format": 9}, {**head, "params": {}}):
        path.write_text(json.dumps(damage))
        with pytest.raises(BrokenArtifact):
            load(tmp_path)
    path.write_text(json.dumps(head))
    with np.load(tmp_path / f"{stem}.npz") as stored:
        arrays = dict(stored)
    for key in arrays:
        np.savez(tmp_path / f"{stem}.npz", allow_pickle=False, **{**arrays, key: arrays[key][:0]})
        with pytest.raises(BrokenArtifact):
            load(tmp_path)


def test_nothing_is_answered_before_fit(tmp_path: Path) -> None:
    for ask in (lambda: Lookalike().score(VECTORS), lambda: Lookalike().save(tmp_path), lambda: CustomerSpace().items):
        with pytest.raises(NotFitted):
            ask()


def test_a_vector_tells_taste_and_not_how_much() -> None:
    once, often = SPACE.vectors(Histories.of([history(0, 2), history(0, 2, 0, 2, 0, 2)], 12))
    np.testing.assert_allclose(once, often, rtol=1e-5)
    assert np.linalg.norm(VECTORS, axis=1).max() <= 1 + 1e-5
    assert not SPACE.vectors(Histories.of([history()], 12)).any()
    with pytest.raises(BadInput, match="name 3 items, the space knows 12"):
        SPACE.vectors(Histories.of([history(0)], 3))


def test_a_space_is_never_larger_than_its_customers_or_items() -> None:
    assert CustomerSpace().fit(checkerboard(4, 6)).vectors(checkerboard(4, 6).histories).shape == (4, 4)


def test_activity_counts_events_items_weight_and_days() -> None:
    day = 86_400_000
    items: Int32 = np.array([3, 3, 5], dtype=np.int32)
    weights: Float32 = np.array([1, 5, 1], dtype=np.float32)
    asked = Histories.of([History(items, weights, np.array([0, 10, 2 * day]))], 12)
    np.testing.assert_allclose(np.expm1(activity(asked, 4 * day)), [[3, 2, 7, 2, 4, 2]], rtol=1e-5)
    assert activity(BOARD.histories, 0).shape == (40, 3)
