"""The training job on a real MLflow server."""

from pathlib import Path

import pytest

from features.errors import BadInput, Unavailable
from models import MODELS
from models.registry import Registry
from pipelines.train import train
from tests.mlflow_server import free_port
from tests.tastes import DAY_MS, two_tastes

FRAME = two_tastes(days=30)


def test_all_models_become_challengers(mlflow_url: str, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    trained = train(
        ["all"], FRAME, mlflow_url, 10 * DAY_MS, lambda *step: told.append(step), commit="abc", workspace=tmp_path
    )
    assert [each.name for each in trained] == list(MODELS)
    with Registry(mlflow_url) as registry:
        for each in trained:
            challenger = registry.alias(each.name, "challenger")
            assert challenger is not None
            assert (challenger.version, challenger.run_id) == (each.version, each.run_id)
            assert 0 <= each.metrics["ndcg@10"] <= 1
    assert {name for name, _, _ in told} == set(MODELS)
    assert list(tmp_path.iterdir()) == []  # temporary files are gone


def test_a_model_that_fails_leaves_no_version_and_no_files(mlflow_url: str, tmp_path: Path) -> None:
    with Registry(mlflow_url) as registry:
        before = len(registry.versions("als"))
        with pytest.raises(BadInput, match="last 0 days"):
            train(["als"], FRAME[FRAME["timestamp"] < FRAME["timestamp"].max()], mlflow_url, 0, None, "abc", tmp_path)
        assert len(registry.versions("als")) == before
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_model_and_none_are_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no model 'oracle'; known ones: als, trending, all"):
        train(["oracle"], FRAME, "http://127.0.0.1:1", DAY_MS, None, "abc", tmp_path)
    with pytest.raises(BadInput, match="name a model"):
        train([], FRAME, "http://127.0.0.1:1", DAY_MS, None, "abc", tmp_path)


def test_a_registry_that_is_down_is_said_before_the_work(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    told: list[tuple[str, int, int]] = []
    with pytest.raises(Unavailable, match=url):
        train(["als"], FRAME, url, DAY_MS, lambda *step: told.append(step), "abc", tmp_path)
    assert told == []
