"""The filter against its formula, written out densely."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array

from models.arrays import Float32
from models.histories import History
from models.interactions import IdMap, Interactions
from models.linear import graph_filter
from models.linear.graph_filter import GraphFilter, GraphFilterConfig, Spectrum, beyond_chance, by_chance, spectrum
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


def test_drawn_by_chance_everybody_has_as_many_pairs_as_before_but_for_those_drawn_twice() -> None:
    matrix = csr_matrix(random_array((200, 400), density=0.02, rng=np.random.default_rng(0), dtype=np.float32))
    drawn = by_chance(matrix, seed=0)
    lost = np.diff(matrix.indptr) - np.diff(drawn.indptr)
    assert lost.min() >= 0
    assert lost.sum() == matrix.nnz - drawn.nnz < 0.02 * matrix.nnz
    assert (drawn != matrix).nnz > matrix.nnz  # hardly a pair is as it was


def test_vectors_stay_up_to_the_last_that_chance_does_not_explain() -> None:
    found = Spectrum(np.eye(5, dtype=np.float32), np.array([1, 0.8, 0.5, 0.45, 0.3], dtype=np.float32))
    kept = beyond_chance(found, np.array([1, 0.7, 0.6, 0.4, 0.29], dtype=np.float32))
    assert kept.squares.tolist() == found.squares[:4].tolist()
    assert kept.vectors.shape == (5, 4)
    nothing = beyond_chance(found, np.ones(5, dtype=np.float32))
    assert nothing.squares.tolist() == [1]


@pytest.mark.parametrize(("taste", "fewest", "most"), [(0.0, 1, 2), (0.9, 8, 12)])
def test_as_many_vectors_are_taken_as_there_are_tastes(taste: float, fewest: int, most: int) -> None:
    """Ten groups of items, of which a user takes from one with this chance, else anything: one vector or ten."""
    random = np.random.default_rng(0)
    own = random.random((400, 12)) < taste
    items = np.where(own, 10 * random.integers(0, 20, (400, 12)) + np.arange(400)[:, None] % 10, 0)
    items = np.where(own, items, random.integers(0, 200, (400, 12)))
    matrix = csr_matrix((np.ones(4_800, np.float32), (np.repeat(np.arange(400), 12), items.ravel())), shape=(400, 200))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    users, catalogue = (IdMap(tuple(f"{kind}{at:03d}" for at in range(n))) for kind, n in (("u", 400), ("i", 200)))
    found = GraphFilter().fit(Interactions.of(users, catalogue, matrix)).facts["rank_found"]
    assert fewest <= found <= most


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


def test_a_small_graph_is_filtered_too_and_where_things_are_taken_again_nothing_is_left_out() -> None:
    several = datasets.interactions(datasets.checked(two_tastes(days=20, users=90, items=80)))
    assert GraphFilter(GraphFilterConfig(rank=512)).fit(several).facts["rank_found"] == 32
