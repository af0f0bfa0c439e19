"""The index against comparing everything."""

from pathlib import Path

import numpy as np
import pytest

from features.errors import BrokenArtifact
from models.arrays import Float32
from models.index import FILE, Index, IndexConfig
from models.ranking import top

SMALL = IndexConfig(exact_up_to=100)


def clustered(count: int, seed: int = 0, noise: float = 0.4) -> Float32:
    """Vectors around 50 centres, as the factors of a shop with departments."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(50, 16))
    return (centres[rng.integers(0, 50, count)] + noise * rng.normal(size=(count, 16))).astype(np.float32)


def of_one_length(vectors: Float32) -> Float32:
    """Their directions."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


VECTORS, QUERIES = clustered(6_000), clustered(40, seed=1)
EXACT = Index.build(VECTORS, QUERIES)
INVERTED = Index.build(VECTORS, QUERIES, SMALL)
MANY, ASKED = of_one_length(clustered(60_000, noise=0.6)), of_one_length(clustered(40, seed=1, noise=0.6))
LISTS = Index.build(MANY, ASKED, SMALL)


def test_a_small_catalogue_is_compared_whole_and_a_large_one_is_not() -> None:
    assert (EXACT.kind, EXACT.recall) == ("exact", 1.0)
    assert INVERTED.kind == LISTS.kind == "ivf"


def test_the_measured_recall_is_what_the_index_finds() -> None:
    found = sum(len(np.intersect1d(INVERTED.search(q, 20)[0], top(VECTORS @ q, 20)[0])) for q in QUERIES)
    assert INVERTED.recall == found / (20 * len(QUERIES)) >= 0.97


def test_where_a_few_long_vectors_win_comparing_them_is_cheaper_than_lists_and_exact() -> None:
    lengths = np.exp(2 * np.random.default_rng(3).normal(size=(len(VECTORS), 1))).astype(np.float32)
    index = Index.build(VECTORS * lengths, QUERIES, SMALL)
    assert (index.kind, index.recall) == ("exact", 1.0)


@pytest.mark.parametrize("share", [0.75, 0.3, 0.1])
def test_lists_find_as_much_of_the_few_that_are_in_stock(share: float) -> None:
    allowed = np.random.default_rng(1).random(len(MANY)) < share
    found = [
        len(np.intersect1d(LISTS.search(query, 20, allowed)[0], top(MANY @ query, 20, allowed)[0])) for query in ASKED
    ]
    assert sum(found) / (20 * len(ASKED)) >= LISTS.recall


def test_vectors_that_no_list_can_sort_are_compared_whole() -> None:
    shapeless = np.random.default_rng(0).normal(size=(4_000, 32)).astype(np.float32)
    index = Index.build(shapeless, shapeless[:20], IndexConfig(recall=1.01, exact_up_to=100))
    assert (index.kind, index.recall) == ("exact", 1.0)


@pytest.mark.parametrize("index", [EXACT, INVERTED], ids=["exact", "ivf"])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.1, 0.002])
def test_only_allowed_items_are_found_and_the_slate_is_full(index: Index, share: float) -> None:
    allowed = np.random.default_rng(1).random(len(VECTORS)) < share
    assert allowed.sum() >= 5
    for query in QUERIES[:10]:
        rows, scores = index.search(query, 5, allowed)
        assert allowed[rows].all()
        assert len(set(rows.tolist())) == 5
        assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("index", [EXACT, INVERTED], ids=["exact", "ivf"])
def test_one_item_and_none_are_right(index: Index) -> None:
    allowed = np.zeros(len(VECTORS), dtype=np.bool_)
    assert index.search(QUERIES[0], 3, allowed)[0].tolist() == [-1, -1, -1]
    allowed[17] = True
    assert index.search(QUERIES[0], 3, allowed)[0].tolist() == [17, -1, -1]


def test_exact_is_exact_in_order() -> None:
    for query in QUERIES[:10]:
        assert EXACT.search(query, 20)[0].tolist() == top(VECTORS @ query, 20)[0].tolist()


@pytest.mark.parametrize("index", [EXACT, INVERTED], ids=["exact", "ivf"])
def test_what_is_alike_is_found_exactly_by_either_kind_and_never_is_the_item_itself(index: Index) -> None:
    directions, allowed = of_one_length(VECTORS), np.random.default_rng(1).random(len(VECTORS)) < 0.3
    for item in range(10):
        for mask in (np.ones(len(VECTORS), dtype=np.bool_), allowed):
            others = mask & (np.arange(len(VECTORS)) != item)
            expected = top(directions @ directions[item], 20, others)[0].tolist()
            assert index.alike(item, 20, mask)[0].tolist() == expected
    assert index.alike(0, 6_000)[0].tolist()[-1] == -1


def test_equal_vectors_are_ordered_by_row_even_where_many_tie() -> None:
    same = np.ones((3_000, 4), dtype=np.float32)
    index = Index.build(same, same[:1])
    for k in (5, 120):
        assert index.search(same[0], k)[0].tolist() == list(range(k))


def test_an_index_that_finds_too_few_is_not_believed() -> None:
    far = np.zeros(len(VECTORS), dtype=np.bool_)
    far[np.argsort(VECTORS @ QUERIES[0])[:4_500]] = True  # the items in the lists that this query never probes
    narrow = Index(VECTORS, INVERTED._searcher, 1, 1.0)
    rows, _ = narrow.search(QUERIES[0], 50, far)
    assert (rows >= 0).all()
    assert far[rows].all()


def test_a_saved_index_finds_the_same(tmp_path: Path) -> None:
    saved = INVERTED.save(tmp_path)
    again = Index.load(tmp_path, VECTORS, saved)
    assert (again.kind, again.probes, again.recall) == (INVERTED.kind, INVERTED.probes, INVERTED.recall)
    for query in QUERIES[:5]:
        assert again.search(query, 9)[0].tolist() == INVERTED.search(query, 9)[0].tolist()


def test_a_file_of_another_size_or_none_is_refused(tmp_path: Path) -> None:
    saved = INVERTED.save(tmp_path)
    with pytest.raises(BrokenArtifact, match="holds 6000"):
        Index.load(tmp_path, VECTORS[:10], saved)
    (tmp_path / FILE).write_bytes(b"junk")
    with pytest.raises(BrokenArtifact, match="can't be read"):
        Index.load(tmp_path, VECTORS, saved)
    (tmp_path / FILE).unlink()
    with pytest.raises(BrokenArtifact, match="can't be read"):
        Index.load(tmp_path, VECTORS, saved)


def test_whole_numbers_with_many_ties_come_in_the_order_of_comparing_everything() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.integers(-3, 4, (3_000, 4)).astype(np.float32)
    index = Index.build(vectors, vectors[:1])
    for query in rng.integers(-3, 4, (50, 4)).astype(np.float32):
        for k in (7, 100):
            assert index.search(query, k)[0].tolist() == top(vectors @ query, k)[0].tolist()
