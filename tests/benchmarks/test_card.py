"""What is measured on a GPU, on a CPU and on little data."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import card
from models.blend import Blend, BlendConfig
from models.linear.item_knn import ItemKnn
from training import datasets, evaluation

FEW = {"sasrec.steps": 2, "sasrec.members": 2, "sasrec.embedding_size": 8}


@pytest.mark.parametrize("case", card.CASES)
def test_the_blend_and_each_of_its_members_are_measured(
    case: str, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    how = card.CASES[case]
    monkeypatch.setitem(card.CASES, case, replace(how, settings={**how.settings, **FEW}))
    card.measured(case, data, "cpu", 1)
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said[0]["model"] == "blend"
    assert len(said) > 1
    assert said[0]["ndcg@10"] > 0.3  # of twenty items in any order: .23
    assert all(row["seed"] == 1 for row in said)


@pytest.mark.parametrize("case", card.CASES)
def test_threads_answer_as_one_does(case: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = card.split_of(case, data)
    learned = datasets.interactions(split.fit)
    asked = evaluation.question(split, learned.items, card.CASES[case].masked)
    model = ItemKnn().fit(learned)
    alone = evaluation.slates(model, [asked], max(card.KS))[0]
    for threads in (1, 3, 100):
        monkeypatch.setattr(card, "ASKING", threads)
        np.testing.assert_array_equal(card._answered(model, asked), alone)


@pytest.mark.parametrize("case", card.CASES)
def test_what_is_said_of_the_members_are_settings_that_they_have(case: str) -> None:
    how = card.CASES[case]
    said = tuple(f"{name}={value}" for name, value in how.settings.items())
    assert Blend(BlendConfig(how.members, member_settings=said, device="cuda")).params["device"] == "cuda"
