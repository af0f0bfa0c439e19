"""The filter against its formula, written out densely."""

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_matrix, random_array

from models.arrays import Float32
from models.graph_filter import GraphFilter, GraphFilterConfig, singular_vectors
from models.histories import History
from tests.tastes import two_tastes
from training import datasets

CONFIG = GraphFilterConfig(neighbours=20, rank=4, recency=0.0, low_pass=0.3)
WORLD = datasets.interactions(datasets.checked(two_tastes(days=20)))


def dense(config: GraphFilterConfig) -> Float32:
    """The weights in double precision, the largest of them 1."""
    taken = np.log1p(WORLD.matrix.toarray().astype(np.float64))
    took, degrees = taken.sum(axis=1), taken.sum(axis=0)
    first = degrees[:, None] ** -config.inward * (taken.T @ (taken * took[:, None] ** -config.modesty))
    _, _, vectors = np.linalg.svd(taken * took[:, None] ** -0.5 * degrees**-0.5)
    low = vectors[: config.rank].T @ vectors[: config.rank]
    weights = first * degrees**-config.outward
    weights += config.low_pass * np.trace(weights) / config.rank * degrees[:, None] ** -0.5 * low * degrees**0.5
    return np.asarray(weights / np.abs(weights).max(), dtype=np.float32)


def test_the_weights_are_those_of_the_formula() -> None:
    model = GraphFilter(CONFIG).fit(WORLD)
    np.testing.assert_allclose(model._matrix.toarray(), dense(CONFIG), atol=1e-4)


def test_without_the_low_pass_the_weights_are_common_takers_alone() -> None:
    config = replace(CONFIG, low_pass=0.0)
    np.testing.assert_allclose(GraphFilter(config).fit(WORLD)._matrix.toarray(), dense(config), atol=1e-5)


def test_every_candidate_keeps_what_it_is_reached_from_best() -> None:
    kept = GraphFilter(replace(CONFIG, neighbours=3)).fit(WORLD)._matrix.toarray()
    whole = dense(CONFIG)
    for column, all_of_it in zip(kept.T, np.abs(whole).T, strict=True):
        assert set(np.flatnonzero(column)) == set(np.argsort(-all_of_it)[:3])


def test_the_singular_vectors_are_those_of_the_exact_decomposition() -> None:
    matrix = csr_matrix(random_array((60, 40), density=0.2, rng=np.random.default_rng(0), dtype=np.float32))
    found = singular_vectors(matrix, 5, seed=0)
    _, _, exact = np.linalg.svd(matrix.toarray())
    np.testing.assert_allclose(found @ found.T, exact[:5].T @ exact[:5], atol=1e-3)


def test_a_graph_smaller_than_the_rank_is_no_trouble() -> None:
    few = datasets.interactions(datasets.checked(two_tastes(days=5, users=4, items=4)))
    assert np.isfinite(GraphFilter(replace(CONFIG, rank=64)).fit(few).scores(few.histories)).all()


def test_the_reason_is_the_largest_part_of_the_score() -> None:
    model = GraphFilter(CONFIG).fit(WORLD)
    history = History(np.array([15, 2, 5], dtype=np.int32), np.array([1, 5, 5], dtype=np.float32))
    slate = np.array([3, 12, 18], dtype=np.int32)
    parts = np.log1p(history.weights)[:, None] * dense(CONFIG)[history.items][:, slate]
    assert model.because(history, slate).tolist() == parts.argmax(axis=0).tolist()


def test_like_items_are_those_that_the_same_people_take() -> None:
    rows, _ = GraphFilter(CONFIG).fit(WORLD).similar(3, 9)
    assert set(rows.tolist()) == set(range(10)) - {3}
