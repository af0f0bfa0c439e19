"""Runs and versions on a real MLflow server."""

import resource
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from features.errors import BrokenArtifact, Unavailable
from models.als import AlsConfig
from models.histories import History
from models.registry import Registry, Version
from tests.mlflow_server import free_port
from tests.tastes import DAY_MS, two_tastes
from training import runs, trainer

FITTED = trainer.train(trainer.Recipe("als"), two_tastes(), 10 * DAY_MS)


@pytest.fixture
def fitted() -> trainer.Fitted:
    """A model under a name of its own, so that tests don't meet in the registry."""
    return replace(FITTED, name=f"als-{uuid.uuid4().hex[:8]}")


def registered(url: str, fitted: trainer.Fitted, folder: Path) -> Version:
    made = runs.register(url, runs.recommender(fitted), {"kindred.commit": "abc123"}, folder)
    with Registry(url) as registry:
        return registry.get(made.name, made.version)


def test_a_version_says_how_it_was_made(mlflow_url: str, fitted: trainer.Fitted, tmp_path: Path) -> None:
    version = registered(mlflow_url, fitted, tmp_path)
    assert version.aliases == ("challenger",)
    assert version.metrics["ndcg_at_10"] == pytest.approx(fitted.metrics["ndcg@10"])
    assert version.metrics["index_recall_at_20"] == 1
    assert version.tags["kindred.commit"] == "abc123"
    assert version.tags["kindred.data_since"] == str(fitted.window[0])
    assert version.tags["kindred.data_until"] == str(fitted.window[1])
    assert version.tags["kindred.measured_since"] == str(fitted.measured[0])
    run = mlflow.MlflowClient(mlflow_url).get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["embedding_size"] == str(AlsConfig().embedding_size)
    assert run.data.params["seed"] == "0"


def test_a_notebook_gets_what_serving_gives(mlflow_url: str, fitted: trainer.Fitted, tmp_path: Path) -> None:
    version = registered(mlflow_url, fitted, tmp_path)
    mlflow.set_tracking_uri(mlflow_url)
    found = mlflow.pyfunc.load_model(f"models:/{version.name}/{version.version}", dst_path=str(tmp_path))
    asked = pd.DataFrame({"history": [["i001", "i002"], [], ["unknown"]]})
    answer = found.predict(asked, params={"k": 3})
    items = fitted.model.items
    rows, _ = fitted.model.recommend_one(History(items.rows(["i001", "i002"]), runs_ones(2)), 3)
    assert answer["item_ids"][0] == items.names(rows)
    assert answer["item_ids"][1] == answer["item_ids"][2]
    assert [len(scores) for scores in answer["scores"]] == [3, 3, 3]
    assert found.metadata.signature is not None
    assert found.metadata.get_input_schema().input_names() == ["history"]


def runs_ones(count: int) -> Any:
    return pd.Series([1.0] * count, dtype="float32").to_numpy()


def test_no_pickle_is_stored(mlflow_url: str, fitted: trainer.Fitted, tmp_path: Path) -> None:
    version = registered(mlflow_url, fitted, tmp_path)
    client = mlflow.MlflowClient(mlflow_url)
    stored = [entry.path for entry in client.list_logged_model_artifacts(version.source.removeprefix("models:/"))]
    stored += [
        entry.path
        for entry in client.list_logged_model_artifacts(version.source.removeprefix("models:/"), "data/kindred")
    ]
    assert "data/kindred/arrays.npz" in stored
    assert not [path for path in stored if path.endswith((".pkl", ".pickle", ".joblib", ".py"))]


def test_a_crash_before_the_end_leaves_no_version(
    mlflow_url: str, fitted: trainer.Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runs._mlflow().pyfunc, "log_model", crash)
    with pytest.raises(KeyboardInterrupt):
        runs.register(mlflow_url, runs.recommender(fitted), {}, tmp_path)
    with Registry(mlflow_url) as registry:
        assert registry.versions(fitted.name) == []


def test_a_newer_challenger_takes_the_alias(mlflow_url: str, fitted: trainer.Fitted, tmp_path: Path) -> None:
    first = registered(mlflow_url, fitted, tmp_path / "1")
    second = registered(mlflow_url, fitted, tmp_path / "2")
    with Registry(mlflow_url) as registry:
        found = {each.version: each.aliases for each in registry.versions(fitted.name)}
    assert found == {first.version: (), second.version: ("challenger",)}


def test_a_model_that_cannot_be_saved_never_reaches_the_registry(
    mlflow_url: str, fitted: trainer.Fitted, tmp_path: Path
) -> None:
    def write_pickle(folder: Path) -> None:
        (folder / "model.pkl").write_bytes(b"x")

    with pytest.raises(BrokenArtifact, match="never a pickle"):
        runs.register(mlflow_url, replace(runs.recommender(fitted), save=write_pickle), {}, tmp_path)
    with Registry(mlflow_url) as registry:
        assert registry.versions(fitted.name) == []


def test_a_disk_that_is_full_while_a_model_is_saved_leaves_no_version(
    mlflow_url: str, fitted: trainer.Fitted, tmp_path: Path
) -> None:
    made = runs.recommender(fitted)

    def save(folder: Path) -> None:
        """No file grows beyond 512 bytes, which is less than the arrays need."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (512, before[1]))
        try:
            made.save(folder)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    with pytest.raises(OSError, match=r"File too large|short write|requested and"):
        runs.register(mlflow_url, replace(made, save=save), {}, tmp_path)
    with Registry(mlflow_url) as registry:
        assert registry.versions(fitted.name) == []


def test_a_registry_that_is_down_is_named(
    fitted: trainer.Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(runs._QUIET, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unavailable, match=url):
        runs.register(url, runs.recommender(fitted), {}, tmp_path)


def test_each_trial_is_a_child_of_the_run_of_its_study_which_is_resumed(mlflow_url: str) -> None:
    study = f"als-{uuid.uuid4().hex}"
    runs.trials(mlflow_url, "als", study)(0, {"alpha": 2.0}, {"ndcg@10": 0.25}, "COMPLETE")
    runs.trials(mlflow_url, "als", study)(1, {"alpha": 3.0}, {}, "PRUNED")
    client = mlflow.MlflowClient(mlflow_url)
    experiment = client.get_experiment_by_name(runs.EXPERIMENT)
    (parent,) = client.search_runs([experiment.experiment_id], f"tags.`{runs.STUDY_TAG}` = '{study}'")
    children = client.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    told = {child.data.tags["kindred.trial"]: child for child in children}
    assert sorted(told) == ["0", "1"]
    assert (told["0"].info.status, told["1"].info.status) == ("FINISHED", "KILLED")
    assert told["0"].data.params == {"alpha": "2.0"}
    assert told["0"].data.metrics == {"ndcg_at_10": 0.25}


def test_what_events_were_worth_is_read_from_where_it_was_logged() -> None:
    weights = {"Product Added": 8.5, "Order Refunded": -20.0}
    logged = {"alpha": "4.0", **{name: str(value) for name, value in runs.weights_logged(weights).items()}}
    assert runs.weights_read(logged) == weights
    assert runs.weights_read({"alpha": "4.0"}) is None
    assert runs.weights_logged(None) == {}


def test_a_study_without_a_registry_is_said() -> None:
    with pytest.raises(Unavailable, match="did not take the study"):
        runs.trials(f"http://127.0.0.1:{free_port()}", "als", "s")
