"""Search by length against comparing everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.arrays import Float32
from models.blocks import Blocks
from models.ranking import top


def factors(count: int, spread: float, seed: int = 0) -> Float32:
    """Directions at random, lengths log-normal: the larger the spread, the longer the longest."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(count, 16))
    lengths = np.exp(spread * rng.normal(size=(count, 1)))
    return (directions * lengths).astype(np.float32)


@pytest.mark.parametrize("spread", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("share", [1.0, 0.3, 0.001])
@pytest.mark.parametrize("k", [1, 20, 5_000])
def test_it_finds_what_comparing_everything_finds(spread: float, share: float, k: int) -> None:
    vectors = factors(9_000, spread)
    allowed = np.random.default_rng(1).random(9_000) < share
    blocks = Blocks(vectors)
    for query in factors(20, 1.0, seed=2):
        for mask in (None, allowed):
            rows, scores = blocks.search(query, k, mask)
            expected, wanted = top(vectors @ query, k, mask)
            assert rows.tolist() == expected.tolist()
            np.testing.assert_allclose(scores, wanted, rtol=1e-4)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from([0.02, 0.5, 1.0]))
def test_equal_products_are_ordered_by_row(seed: int, k: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, (6_000, 3)).astype(np.float32)
    allowed = rng.random(len(vectors)) < share
    query = rng.integers(-2, 3, 3).astype(np.float32)
    assert Blocks(vectors).search(query, k, allowed)[0].tolist() == top(vectors @ query, k, allowed)[0].tolist()


def test_where_few_are_long_few_are_looked_at_and_where_all_are_alike_all() -> None:
    (query,) = factors(1, 0.0, seed=3)
    _, few = Blocks(factors(100_000, 2.0)).looked(query, 10)
    assert few < 10_000
    alike = factors(10_000, 0.0)
    alike /= np.linalg.norm(alike, axis=1, keepdims=True)
    assert Blocks(alike).looked(query, 10)[1] == len(alike)


def test_a_query_of_zeros_and_products_below_zero_leave_nobody_out() -> None:
    vectors = -np.abs(factors(6_000, 1.0))
    ones = np.ones(16, dtype=np.float32)
    assert Blocks(vectors).search(ones, 5)[0].tolist() == top(vectors @ ones, 5)[0].tolist()
    assert Blocks(vectors).search(0 * ones, 5)[0].tolist() == [0, 1, 2, 3, 4]


def test_nobody_and_nothing_are_padded() -> None:
    vectors = factors(10, 1.0)
    nobody = np.zeros(10, dtype=np.bool_)
    assert Blocks(vectors).search(vectors[0], 2, nobody)[0].tolist() == [-1, -1]
    assert len(Blocks(vectors).search(vectors[0], 0)[0]) == 0


def test_where_a_byte_a_number_tells_too_little_the_vectors_themselves_decide() -> None:
    vectors = np.random.default_rng(0).normal(size=(4_000, 16)).astype(np.float32)
    vectors[:, 0] = 1_000  # a byte of such a vector is a step of 8, and the query asks for what is below that
    query = np.array([0, *np.ones(15)], dtype=np.float32)
    assert Blocks(vectors).search(query, 50)[0].tolist() == top(vectors @ query, 50)[0].tolist()


@pytest.mark.parametrize("share", [1.0, 0.3, 0.001])
@pytest.mark.parametrize("k", [1, 20, 200])
def test_what_points_the_same_way_is_found_whatever_its_length(share: float, k: int) -> None:
    vectors = factors(9_000, 1.0)
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    allowed = np.random.default_rng(1).random(9_000) < share
    blocks = Blocks(vectors)
    for at in range(20):
        rows, cosines = blocks.alike(vectors[at], k, allowed)
        expected, wanted = top(directions @ directions[at], k, allowed)
        assert rows.tolist() == expected.tolist()
        np.testing.assert_allclose(cosines, wanted, atol=1e-5)


def test_equal_directions_are_ordered_by_row_and_zeros_point_nowhere() -> None:
    vectors = np.tile(np.array([[1, 0], [-1, 0], [0, 0], [4, 0]], dtype=np.float32), (50, 1))
    rows, cosines = Blocks(vectors).alike(vectors[3], 200)
    ways = np.array([1, -1, 0, 1])[np.arange(200) % 4]
    assert rows.tolist() == np.argsort(-ways, kind="stable").tolist()
    assert cosines.tolist() == sorted(ways.tolist(), reverse=True)
    assert Blocks(vectors).alike(vectors[2], 3)[0].tolist() == [0, 1, 2]
