"""The filter against its formula, written out densely."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array

from models.arrays import Float32
from models.histories import History
from models.linear import graph_filter
from models.linear.graph_filter import GraphFilter, GraphFilterConfig, spectrum
from tests.tastes import checkerboard, two_tastes
from training import datasets

CONFIG = GraphFilterConfig(rank=4, modesty=0.6, inward=0.7, outward=0.3, flatness=2.0, lift=0.4)
STRAIGHT = replace(CONFIG, flatness=1.0, low_pass=0.0)  # the walk alone
WORLD = datasets.interactions(datasets.checked(two_tastes(days=20)))


def dense(config: GraphFilterConfig) -> Float32:
    """What one unit of taste for an item (row) adds to each other (column), in double precision."""
    taken = np.log1p(WORLD.matrix.toarray().astype(np.float64))
    took, degrees = taken.sum(axis=1), taken.sum(axis=0)
    first = degrees[:, None] ** -config.inward * (taken.T @ (taken * took[:, None] ** -config.modesty))
    _, values, vectors = np.linalg.svd(taken * took[:, None] ** -0.5 * degrees**-0.5)
    squares = values[: config.rank] ** 2
    curve = np.where(
        squares > 0.5,
        0.5 + 0.5 * np.abs(2 * squares - 1) ** config.flatness,
        0.5 - 0.5 * np.abs(2 * squares - 1) ** config.flatness,
    )
    chord = curve[-1] / squares[-1]
    passed = curve - chord * squares + config.low_pass
    weights = chord * first * degrees**-config.outward
    low = vectors[: config.rank].T * passed @ vectors[: config.rank]
    weights += degrees[:, None] ** -config.lift * low * degrees**config.lift
    return np.asarray(weights, dtype=np.float32)


@pytest.mark.parametrize("config", [CONFIG, STRAIGHT])
def test_the_scores_are_those_of_the_formula(config: GraphFilterConfig) -> None:
    found = GraphFilter(config).fit(WORLD).scores(WORLD.histories)
    expected = np.log1p(WORLD.matrix.toarray()) @ dense(config)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_what_no_path_leads_to_is_ordered_by_popularity() -> None:
    board = checkerboard()
    found = GraphFilter(STRAIGHT).fit(board)
    other = np.arange(1, 10, 2) if board.histories[0].items[0] % 2 == 0 else np.arange(0, 10, 2)
    scores = found.scores(board.histories.rows(0, 1))[0, other]
    assert (scores > 0).all()


@pytest.mark.parametrize("rows", [7, 65_536])
def test_the_singular_vectors_are_those_of_the_exact_decomposition(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_filter, "ROWS", rows)
    matrix = csr_matrix(random_array((60, 40), density=0.2, rng=np.random.default_rng(0), dtype=np.float32))
    found = spectrum(matrix, 5, seed=0)
    _, values, exact = np.linalg.svd(matrix.toarray())
    np.testing.assert_allclose(found.vectors @ found.vectors.T, exact[:5].T @ exact[:5], atol=1e-3)
    np.testing.assert_allclose(found.squares, values[:5] ** 2, rtol=1e-4)


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


def test_a_small_graph_is_filtered_too() -> None:
    several = datasets.interactions(datasets.checked(two_tastes(days=20, users=90, items=80)))
    assert GraphFilter(GraphFilterConfig(rank=512)).fit(several).facts["rank_found"] == 32
