"""A model is asked once, in blocks, and judged on what came after."""

import numpy as np
import pandas as pd
import pytest

from features.errors import BadInput
from models import create
from models.arrays import Float32
from models.contracts import Model
from models.histories import Histories
from models.interactions import Interactions
from training import datasets, evaluation
from training.datasets import Frame, checked
from training.splits import Split, given, prefixes


def rows(*pairs: tuple[str, str]) -> Frame:
    return checked(pd.DataFrame(pairs, columns=["user_id", "item_id"]))


TRAIN = rows(("a", "x"), ("b", "x"), ("b", "y"), ("c", "z"))
LEARNED = datasets.interactions(TRAIN)
SPLIT = given(TRAIN, rows(("a", "y"), ("b", "x"), ("b", "z"), ("c", "x"), ("new", "x")))


def trending(learned: Interactions = LEARNED) -> Model:
    return create("trending").fit(learned)  # x 2, then y and z with 1 each


def test_several_questions_cost_one_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = trending(), []
    plain = model.scores

    def counted(histories: Histories) -> Float32:
        asked.append(len(histories))
        return plain(histories)

    monkeypatch.setattr(model, "scores", counted)
    both = [evaluation.question(SPLIT, model.items, mask) for mask in (True, False)]
    new, repeats = evaluation.slates(model, both, 2)
    assert asked == [4]
    # users a, b, c, new; items x, y, z. a wants y, which ties with z: wanted comes last
    assert repeats.tolist() == [[0, 2], [0, 1], [0, 1], [0, 1]]
    assert new.tolist() == [[2, 1], [2, -1], [0, 1], [0, 1]]


def test_blocks_change_nothing_but_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = trending()
    asked = evaluation.question(SPLIT, model.items, mask=True)
    at_once = evaluation.slates(model, [asked], 2)[0]
    monkeypatch.setattr(evaluation, "CELLS", 3)  # one user of three items
    told: list[tuple[int, int]] = []
    in_parts = evaluation.slates(model, [asked], 2, lambda done, total: told.append((done, total)))[0]
    assert in_parts.tolist() == at_once.tolist()
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_large_catalogue_makes_small_blocks() -> None:
    assert list(evaluation.blocks(1_000, 100)) == [(0, 512), (512, 1_000)]
    assert next(iter(evaluation.blocks(1_000, 1 << 22))) == (0, 4)
    assert next(iter(evaluation.blocks(1_000, 1 << 30))) == (0, 1)


def test_values_are_those_of_the_users_who_are_named() -> None:
    test = rows(("a", "x"), ("b", "z"), ("c", "y"))
    asked = evaluation.question(given(TRAIN, test), LEARNED.items, mask=True)
    found = evaluation.judge(np.array([[1], [2], [0]], dtype=np.int32), asked, (1,))
    assert found.users.ids == ("b", "c")  # a has x already, and nothing is left to be found
    assert found.values["hr@1"].tolist() == [1, 0]
    assert (found.metrics["hr@1"], found.metrics["users"]) == (1 / 2, 2)
    assert found.metrics["coverage@1"] == pytest.approx(2 / 3)


def test_prefixes_are_asked_in_their_order_and_nothing_is_masked() -> None:
    asked = pd.DataFrame({"prefix": ["y x", "x y"], "next_item_id": ["x", "unheard of"]})
    split = prefixes(TRAIN, asked)
    question = evaluation.question(split, LEARNED.items, mask=False)
    assert [question.asked[row].items.tolist() for row in range(2)] == [[1, 0], [0, 1]]
    assert question.asked.ordered
    found = evaluation.evaluate(trending(), split, (1,), mask=False)
    assert (found["hr@1"], found["users"]) == (1 / 2, 2)


def test_beyond_accuracy_and_groups_stand_beside_each_other() -> None:
    asked = evaluation.question(SPLIT, LEARNED.items, mask=False)
    answers = evaluation.slates(trending(), [asked], 2)[0]
    found = evaluation.described(answers, asked, LEARNED, (1, 2))
    assert {"diversity@2", "novelty@1", "popularity@2", "gini@1", "users_cold", "recall@2_items_cold"} <= found.keys()
    assert found["users_cold"] == 4
    assert found["hr@2_users_cold"] == evaluation.judge(answers, asked, (2,)).metrics["hr@2"]


def test_nobody_to_ask_for_is_said() -> None:
    with pytest.raises(BadInput, match="left to be found"):
        evaluation.question(Split(TRAIN, TRAIN, TRAIN), LEARNED.items, mask=True)
