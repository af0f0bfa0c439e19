"""Items that nobody has met stand where their content puts them, and people stand by what they take."""

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from features.errors import BadInput, BrokenArtifact
from models.histories import NOBODY, Histories, History
from models.interactions import Content, IdMap, Interactions
from models.two_tower import TwoTower, TwoTowerConfig
from tests.tastes import checkerboard

CONFIG = TwoTowerConfig(embedding_size=8)
NAMES = ("colour:black", "colour:white", "word:board")


def world(unmet: int = 2, content: bool = True) -> Interactions:
    """The checkerboard, then items of either colour that nobody has met; even items are white, odd ones black."""
    board = checkerboard()
    count = 10 + unmet
    items = IdMap(tuple(f"i{number:03d}" for number in range(count)))
    histories = Histories.from_matrix(
        csr_matrix((board.matrix.data, board.matrix.indices, board.matrix.indptr), (20, count))
    )
    rows = Content(NAMES, csr_matrix(coloured(np.arange(count))))
    return Interactions(board.users, items, histories, content=rows if content else None)


def coloured(
    items: "np.ndarray[tuple[int], np.dtype[np.int64]]",
) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    return np.stack([items % 2 == 1, items % 2 == 0, np.ones(len(items))], axis=1).astype(np.float32)


def taken(*items: int) -> History:
    return History(np.array(items, dtype=np.int32), np.ones(len(items), dtype=np.float32))


MODEL = TwoTower(CONFIG).fit(world())


def test_an_item_nobody_met_is_recommended_to_those_who_like_its_kind() -> None:
    white, _ = MODEL.recommend_one(taken(0, 2, 4, 6, 8), 6)
    black, _ = MODEL.recommend_one(taken(1, 3, 5, 7, 9), 6)
    assert 10 in white.tolist()
    assert 11 not in white.tolist()
    assert 11 in black.tolist()


def test_scores_of_items_met_and_unmet_are_on_one_scale() -> None:
    scores = MODEL.scores(Histories.of([taken(0, 2, 4)], 12))[0]
    like, unlike = scores[[6, 8]], scores[1:10:2]
    assert unlike.max() < scores[10] < 1.5 * like.max()
    assert abs(scores[11] - unlike.mean()) < 0.2 * like.mean()


def test_an_unmet_item_is_like_the_items_of_its_kind() -> None:
    rows, _ = MODEL.similar(10, 5)
    assert set(rows.tolist()) == {0, 2, 4, 6, 8}


def test_an_item_that_comes_later_stands_where_it_would_have_stood() -> None:
    vectors = MODEL.vectors_of(Content(NAMES, csr_matrix(coloured(np.array([12, 13])))))
    np.testing.assert_allclose(vectors, MODEL.item_vectors[[10, 11]], rtol=1e-5)


def test_columns_of_a_later_item_may_come_in_any_order_and_strangers_say_nothing() -> None:
    later = Content(("word:new", *NAMES[::-1]), csr_matrix(np.array([[1, 1, 1, 0]], dtype=np.float32)))
    np.testing.assert_allclose(MODEL.vectors_of(later), MODEL.item_vectors[[10]], rtol=1e-5)


def test_an_item_of_which_nothing_is_known_lies_where_all_items_have_in_common() -> None:
    vector = MODEL.vectors_of(Content((), csr_matrix(np.zeros((1, 0), dtype=np.float32))))
    np.testing.assert_allclose(vector[0], CONFIG.shared * MODEL._points[-1], rtol=1e-5)
    blind = TwoTower(CONFIG).fit(world(content=False))
    np.testing.assert_allclose(blind.item_vectors[10], blind.item_vectors[:10].mean(axis=0), rtol=0.15, atol=0.02)
    assert blind.content_names == ()


def test_somebody_never_seen_stands_with_those_who_take_the_same() -> None:
    stranger, same, other = MODEL.embed(Histories.of([taken(0, 4), taken(0, 2, 4, 6), taken(1, 3, 5, 7)], 12))
    assert stranger @ same > 0.8 * np.linalg.norm(stranger) * np.linalg.norm(same)
    assert stranger @ other < 0.5 * np.linalg.norm(stranger) * np.linalg.norm(other)
    assert not MODEL.embed(Histories.of([NOBODY], 12)).any()


def test_a_score_is_the_product_of_both_towers() -> None:
    asked = Histories.of([taken(0, 2), taken(3)], 12)
    np.testing.assert_allclose(MODEL.scores(asked), MODEL.embed(asked) @ MODEL.item_vectors.T, rtol=1e-6)


def test_items_that_nobody_could_take_are_no_evidence_of_taste() -> None:
    few, many = (TwoTower(CONFIG).fit(world(unmet)) for unmet in (2, 60))
    asked = [Histories.of([taken(0, 2, 4)], count) for count in (12, 70)]
    found = [model.scores(each)[0, :10] for model, each in zip((few, many), asked, strict=True)]
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)


def test_what_a_column_says_is_kept_with_the_model(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    again = TwoTower.load(tmp_path)
    assert again.content_names == MODEL.content_names == NAMES
    later = Content(NAMES, csr_matrix(coloured(np.array([12, 13]))))
    np.testing.assert_array_equal(again.vectors_of(later), MODEL.vectors_of(later))
    asked = Histories.of([taken(0, 2)], 12)
    np.testing.assert_array_equal(again.scores(asked), MODEL.scores(asked))


def test_points_that_do_not_fit_the_columns_are_refused(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    head = tmp_path / "model.json"
    head.write_text(head.read_text().replace('"word:board"', '"word:board", "word:more"'))
    with pytest.raises(BrokenArtifact, match="4 columns"):
        TwoTower.load(tmp_path)


def test_only_the_commonest_columns_are_used() -> None:
    model = TwoTower(TwoTowerConfig(embedding_size=8, content_columns=1)).fit(world())
    assert model.content_names == ("word:board",)


@pytest.mark.parametrize(("rows", "value", "said"), [(5, 1.0, "wanted"), (12, np.nan, "NaN"), (12, np.inf, "NaN")])
def test_content_that_can_not_be_used_is_refused(rows: int, value: float, said: str) -> None:
    plain = world()
    content = Content(("word:x",), csr_matrix(np.full((rows, 1), value, dtype=np.float32)))
    with pytest.raises(BadInput, match=said):
        TwoTower(CONFIG).fit(Interactions(plain.users, plain.items, plain.histories, content=content))


def test_a_refresh_keeps_the_places_of_unmet_items_in_step() -> None:
    fresh = MODEL.refreshed(world())
    assert 10 in fresh.recommend_one(taken(0, 2, 4, 6, 8), 6)[0].tolist()
    rows = fresh._rows(world().content.matrix[10:])  # type: ignore[union-attr]
    np.testing.assert_allclose(fresh.item_vectors[10:], rows @ fresh._points, rtol=1e-5)
