"""What every model of MODELS must do, whatever it is inside."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from features.errors import BadInput, BrokenArtifact, NotFitted
from features.settings import SERVABLE
from models import MODELS, create, load
from models.artifacts import SUFFIXES
from models.contracts import Model, Refreshable
from models.histories import NOBODY, Histories, History
from models.interactions import IdMap, Interactions
from tests.tastes import checkerboard, missing, two_tastes
from training import datasets

BOARD = checkerboard()


def test_there_are_models_to_test_and_each_may_serve() -> None:
    assert {"als", "trending"} <= set(MODELS)
    assert set(SERVABLE) == set(MODELS)


@pytest.fixture(params=sorted(MODELS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(name: str) -> Model:
    return create(name).fit(BOARD)


def history(row: int) -> History:
    return BOARD.histories[row]


def test_a_slate_holds_what_is_allowed_and_only_that(model: Model) -> None:
    rows, scores = model.recommend(BOARD.histories, 3, exclude=BOARD.matrix)
    for row, slate in enumerate(rows):
        assert not set(slate.tolist()) & set(history(row).items.tolist())
    assert (np.diff(scores, axis=1) <= 0).all()
    assert rows.dtype == np.int32
    assert scores.dtype == np.float32


def test_a_model_that_knows_taste_finds_the_one_missing_item(name: str) -> None:
    if name == "trending":
        pytest.skip("one list for everybody can't know a taste")
    found, _ = create(name).fit(BOARD).recommend(BOARD.histories, 1, exclude=BOARD.matrix)
    assert found[:, 0].tolist() == missing().tolist()


def test_many_at_once_get_what_each_gets_alone(name: str) -> None:
    world = datasets.interactions(datasets.checked(two_tastes()))
    model = create(name).fit(world)
    many, scores = model.recommend(world.histories, 5)
    for row in range(len(world.histories)):
        one, score = model.recommend_one(world.histories[row], 5)
        assert one.tolist() == many[row].tolist()
        np.testing.assert_allclose(score, scores[row], rtol=1e-4)


def test_scores_and_slates_agree(model: Model) -> None:
    scores = model.scores(BOARD.histories)
    rows, shown = model.recommend(BOARD.histories, 4)
    assert scores.shape == BOARD.matrix.shape
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(np.take_along_axis(scores, rows.astype(np.int64), axis=1), shown)


def test_a_saved_model_answers_as_before(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path)
    again = load(tmp_path)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= SUFFIXES
    assert again.items == model.items
    assert again.params == model.params
    assert again.facts == model.facts
    allowed = np.arange(10) % 3 > 0
    for row in range(4):
        for before, after in zip(
            model.recommend_one(history(row), 4, allowed), again.recommend_one(history(row), 4, allowed), strict=True
        ):
            np.testing.assert_array_equal(before, after)


def test_a_damaged_file_is_refused_and_named(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path)
    (tmp_path / "arrays.npz").write_bytes(b"not an archive")
    with pytest.raises(BrokenArtifact, match="can't be read"):
        load(tmp_path)


def test_files_of_another_model_are_refused(name: str, model: Model, tmp_path: Path) -> None:
    model.save(tmp_path)
    others = [kind for key, kind in MODELS.items() if key != name]
    for kind in others:
        with pytest.raises(BrokenArtifact):
            kind.load(tmp_path)


def test_an_empty_history_gets_the_popular_items(name: str) -> None:
    matrix = csr_matrix(np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1]], dtype=np.float32))
    model = create(name).fit(Interactions.of(IdMap(("a", "b", "c", "d")), IdMap(("x", "y", "z")), matrix))
    assert model.recommend_one(NOBODY, 3)[0].tolist() == [1, 2, 0]  # 3, 2 and 1 users
    assert model.recommend(Histories.of([NOBODY], 3), 3)[0].tolist() == [[1, 2, 0]]


def test_items_that_the_model_does_not_know_are_no_history(model: Model) -> None:
    unknown = History(np.array([-1, -1], dtype=np.int32), np.ones(2, dtype=np.float32))
    assert model.recommend_one(unknown, 5)[0].tolist() == model.recommend_one(NOBODY, 5)[0].tolist()


def test_asking_for_more_than_there_is_pads(model: Model) -> None:
    rows, scores = model.recommend_one(history(0), 15)
    assert sorted(rows[:10].tolist()) == list(range(10))
    assert rows[10:].tolist() == [-1] * 5
    assert np.isneginf(scores[10:]).all()
    assert model.recommend(BOARD.histories, 15)[0].shape == (20, 15)


@pytest.mark.parametrize("allowed", [[], [7], [2, 3]])
def test_the_answer_is_right_when_hardly_anything_is_allowed(model: Model, allowed: list[int]) -> None:
    mask = np.zeros(10, dtype=np.bool_)
    mask[allowed] = True
    rows, _ = model.recommend_one(history(0), 3, mask)
    assert sorted(row for row in rows.tolist() if row >= 0) == allowed
    assert len(rows) == 3


def test_a_catalogue_of_one_item_is_enough(name: str) -> None:
    only = Interactions.of(IdMap(("u",)), IdMap(("i",)), csr_matrix(np.ones((1, 1), dtype=np.float32)))
    rows, _ = create(name).fit(only).recommend_one(only.histories[0], 2)
    assert rows.tolist() == [0, -1]


def test_equal_scores_are_ordered_by_item(name: str) -> None:
    even = Interactions.of(IdMap(("u",)), IdMap(("a", "b", "c")), csr_matrix(np.ones((1, 3), dtype=np.float32)))
    assert create(name).fit(even).recommend_one(NOBODY, 2)[0].tolist() == [0, 1]


def test_equal_seeds_give_equal_models(name: str) -> None:
    first, second = (create(name, seed=3).fit(BOARD).scores(BOARD.histories) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_an_event_that_came_twice_changes_nothing(name: str) -> None:
    frame = two_tastes(days=10)
    twice = pd.concat([frame, frame.iloc[:100]])
    plain, doubled = (datasets.interactions(datasets.checked(each)) for each in (frame, twice))
    scores = [create(name).fit(each).scores(plain.histories) for each in (plain, doubled)]
    np.testing.assert_array_equal(scores[0], scores[1])


def test_a_weight_that_is_no_number_is_refused(name: str) -> None:
    matrix = BOARD.matrix.copy()
    matrix.data[3] = np.nan
    with pytest.raises(BadInput, match="finite"):
        create(name).fit(Interactions.of(BOARD.users, BOARD.items, matrix))


def test_one_user_is_enough(name: str) -> None:
    alone = Interactions.of(IdMap(("u",)), IdMap(("a", "b", "c", "d")), csr_matrix(np.ones((1, 4), dtype=np.float32)))
    rows, scores = create(name).fit(alone).recommend_one(alone.histories[0], 4)
    assert sorted(rows.tolist()) == [0, 1, 2, 3]
    assert np.isfinite(scores).all()


def test_nothing_to_fit_on_is_said(name: str) -> None:
    with pytest.raises(BadInput, match="no interactions"):
        create(name).fit(Interactions.of(IdMap(()), IdMap(()), csr_matrix(np.zeros((0, 0), dtype=np.float32))))


def test_a_model_that_was_not_fitted_says_so(name: str, tmp_path: Path) -> None:
    model = create(name)
    for ask in (
        lambda: model.scores(BOARD.histories),
        lambda: model.recommend(BOARD.histories, 2),
        lambda: model.recommend_one(NOBODY, 2),
        lambda: model.similar(0, 2),
        lambda: model.because(NOBODY, np.zeros(1, dtype=np.int32)),
        lambda: model.save(tmp_path),
    ):
        with pytest.raises(NotFitted):
            ask()


WARM = sorted(name for name, kind in MODELS.items() if issubclass(kind, Refreshable))


def test_there_are_models_with_a_warm_start() -> None:
    assert set(WARM) == {"als", "blend", "sasrec", "two_tower"}


@pytest.mark.parametrize("name", WARM)
def test_a_stored_model_can_be_refreshed_with_items_it_never_met(name: str, tmp_path: Path) -> None:
    frame = two_tastes(days=20)
    late = frame[frame["user_id"] < "u:010"].tail(20).assign(item_id="i-new")
    before, after = (datasets.interactions(datasets.checked(each)) for each in (frame, pd.concat([frame, late])))
    stale = create(name).fit(before)
    stale.save(tmp_path)
    asked, kept = before.histories, stale.scores(before.histories)
    first, second = (model.refreshed(after) for model in (stale, load(tmp_path)))  # type: ignore[attr-defined]
    assert first.items == after.items
    assert "i-new" in first.items.ids
    np.testing.assert_array_equal(first.scores(after.histories), second.scores(after.histories))
    np.testing.assert_array_equal(stale.scores(asked), kept)  # it is left as it was
    assert first.params == stale.params


def test_progress_is_told_up_to_the_end(name: str) -> None:
    told: list[tuple[int, int]] = []
    create(name).fit(BOARD, lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == list(range(1, len(told) + 1))


def test_an_item_is_never_like_itself(model: Model) -> None:
    rows, _ = model.similar(2, 20)
    assert 2 not in rows.tolist()
    assert len(rows) == 20


def test_what_is_similar_is_allowed(model: Model) -> None:
    mask = np.zeros(10, dtype=np.bool_)
    mask[[2, 5]] = True
    assert set(model.similar(2, 4, mask)[0].tolist()) <= {5, -1}


def test_a_reason_is_a_place_in_the_history_or_none(model: Model) -> None:
    slate, _ = model.recommend_one(history(0), 12)
    reasons = model.because(history(0), slate)
    assert reasons.shape == slate.shape
    assert ((reasons >= -1) & (reasons < len(history(0).items))).all()
    assert (model.because(NOBODY, slate) == -1).all()
