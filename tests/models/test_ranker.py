"""A ranker puts the candidates of a request in order, says why, and refuses columns it wasn't fitted with."""

from pathlib import Path

import numpy as np
import pytest

from features.errors import BadInput, BrokenArtifact, NotFitted
from models.arrays import Float32, Int32, Int64
from models.artifacts import SUFFIXES
from models.ranker import HEAD, TREES, Ranker, RankerConfig

NAMES = ("base_score", "added", "noise")
CONFIG = RankerConfig(min_rows_in_leaf=5, rounds=40)


def requests(count: int = 120, size: int = 10, seed: int = 0) -> tuple[Float32, Int64, Int32]:
    """What was put into the cart is bought; of two such the one with the higher base score."""
    rng = np.random.default_rng(seed)
    table = rng.random((count * size, 3)).astype(np.float32)
    table[:, 1] = table[:, 1] < 0.2
    liked = (table[:, 1] + 0.1 * table[:, 0]).reshape(count, size)
    relevance = (liked == liked.max(axis=1, keepdims=True)).astype(np.int32).ravel()
    return table, np.full(count, size, dtype=np.int64), relevance


TABLE, GROUPS, RELEVANCE = requests()
RANKER = Ranker(CONFIG).fit(TABLE, NAMES, GROUPS, RELEVANCE)


def first(scores: Float32, size: int = 10) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return scores.reshape(-1, size).argmax(axis=1)


def test_what_was_chosen_before_comes_first_in_requests_it_never_saw() -> None:
    table, _, relevance = requests(seed=1)
    hit = first(RANKER.score(table, NAMES)) == relevance.reshape(-1, 10).argmax(axis=1)
    assert hit.mean() > 0.75
    assert hit.mean() > 2 * (first(table[:, 0]) == relevance.reshape(-1, 10).argmax(axis=1)).mean()


def test_contributions_with_their_mean_are_the_score() -> None:
    parts = RANKER.contributions(TABLE, NAMES)
    scores = RANKER.score(TABLE, NAMES)
    rest = scores - parts.sum(axis=1)
    np.testing.assert_allclose(rest, rest[0], atol=1e-4)
    assert parts.shape == TABLE.shape
    assert np.abs(parts).mean(axis=0).argmax() == NAMES.index("added")


def test_a_value_that_is_not_known_is_no_error() -> None:
    table = TABLE.copy()
    table[::3, 2] = np.nan
    assert np.isfinite(Ranker(CONFIG).fit(table, NAMES, GROUPS, RELEVANCE).score(table, NAMES)).all()


def test_equal_seeds_give_equal_scores() -> None:
    again = Ranker(CONFIG).fit(TABLE, NAMES, GROUPS, RELEVANCE)
    np.testing.assert_array_equal(again.score(TABLE, NAMES), RANKER.score(TABLE, NAMES))


def test_a_saved_ranker_scores_as_before(tmp_path: Path) -> None:
    RANKER.save(tmp_path)
    again = Ranker.load(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} <= SUFFIXES
    assert (again.params, again.features, again.facts) == (RANKER.params, RANKER.features, RANKER.facts)
    np.testing.assert_array_equal(again.score(TABLE, NAMES), RANKER.score(TABLE, NAMES))


def test_columns_in_another_order_are_refused_and_named() -> None:
    with pytest.raises(BadInput, match="'added' stands where 'base_score'") as refused:
        RANKER.score(TABLE[:, [1, 0, 2]], ("added", "base_score", "noise"))
    assert refused.value.field == "base_score"
    with pytest.raises(BadInput, match="3 columns"):
        RANKER.contributions(TABLE[:, :2], NAMES[:2])


def test_trees_with_other_names_than_the_head_are_refused(tmp_path: Path) -> None:
    RANKER.save(tmp_path)
    head = tmp_path / HEAD
    head.write_text(head.read_text().replace('"noise"', '"voice"'))
    with pytest.raises(BrokenArtifact, match="different features"):
        Ranker.load(tmp_path)


@pytest.mark.parametrize("file", [TREES, HEAD])
def test_a_damaged_file_is_refused(tmp_path: Path, file: str) -> None:
    RANKER.save(tmp_path)
    (tmp_path / file).write_text("nothing of the kind")
    with pytest.raises(BrokenArtifact, match="can't be read"):
        Ranker.load(tmp_path)


def test_requests_that_prefer_nothing_are_left_out() -> None:
    more = np.vstack([TABLE, np.random.default_rng(1).random((20, 3)).astype(np.float32)])
    flat = np.concatenate([RELEVANCE, np.zeros(10, np.int32), np.ones(10, np.int32)])
    ranker = Ranker(CONFIG).fit(more, NAMES, np.append(GROUPS, [10, 10]), flat)
    assert ranker.facts["requests"] == len(GROUPS)
    np.testing.assert_array_equal(ranker.score(TABLE, NAMES), RANKER.score(TABLE, NAMES))


def test_labels_that_are_all_equal_are_said() -> None:
    with pytest.raises(BadInput, match="nothing to learn"):
        Ranker(CONFIG).fit(TABLE, NAMES, GROUPS, RELEVANCE * 0)
    with pytest.raises(BadInput, match="nothing to learn"):
        Ranker(CONFIG).fit(TABLE[:0], NAMES, GROUPS[:0], RELEVANCE[:0])


def test_a_column_that_never_varies_changes_nothing_that_matters() -> None:
    table = TABLE.copy()
    table[:, 2] = 1.0
    hit = first(Ranker(CONFIG).fit(table, NAMES, GROUPS, RELEVANCE).score(table, NAMES))
    assert (hit == RELEVANCE.reshape(-1, 10).argmax(axis=1)).mean() > 0.8


@pytest.mark.parametrize(
    ("table", "names", "groups", "relevance", "said"),
    [
        (TABLE, NAMES[:2], GROUPS, RELEVANCE, "2 names"),
        (TABLE, ("a", "b", "b"), GROUPS, RELEVANCE, "twice"),
        (TABLE, ("a", "b", "c d"), GROUPS, RELEVANCE, "plain word"),
        (TABLE, NAMES, GROUPS[:-1], RELEVANCE, "groups of 1190"),
        (TABLE, NAMES, GROUPS, RELEVANCE - 1, "from 0 to 30"),
        (np.where(TABLE > 0.5, np.float32(np.inf), TABLE), NAMES, GROUPS, RELEVANCE, "base_score holds infinite"),
    ],
)
def test_rows_that_can_not_be_used_are_refused(
    table: Float32, names: tuple[str, ...], groups: Int64, relevance: Int32, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        Ranker(CONFIG).fit(table, names, groups, relevance)


def test_a_ranker_that_was_not_fitted_says_so(tmp_path: Path) -> None:
    for ask in (lambda: Ranker().score(TABLE, NAMES), lambda: Ranker().save(tmp_path), lambda: Ranker().features):
        with pytest.raises(NotFitted):
            ask()


def test_progress_is_told_up_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    Ranker(CONFIG).fit(TABLE, NAMES, GROUPS, RELEVANCE, lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
