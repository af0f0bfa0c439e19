"""The training job on a real MLflow server."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from optuna import load_study

from features.errors import BadInput, Unavailable
from features.offline import EventLog
from models import MODELS
from models.registry import Registry
from pipelines.train import TRAINABLE, Job, train
from tests.mlflow_server import free_port
from tests.tastes import DAY_MS, two_tastes

FRAME = two_tastes(days=30)
ROOT = Path(__file__).parents[2]


def job(url: str, folder: Path, holdout_ms: int = 10 * DAY_MS) -> Job:
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    return Job(url, holdout_ms, "abc", temporary, folder / "models", EventLog(folder))


@pytest.mark.slow
def test_all_models_become_challengers(mlflow_url: str, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    trained = train(["all"], FRAME, job(mlflow_url, tmp_path), lambda *step: told.append(step))
    assert [each.name for each in trained] == list(TRAINABLE)
    refused = {each.name: each.refused for each in trained if each.refused}
    assert set(refused) == {"churn", "clusters"}  # they read the log, which is empty
    trained = [each for each in trained if not each.refused]
    with Registry(mlflow_url) as registry:
        for each in trained:
            challenger = registry.alias(each.name, "challenger")
            assert challenger is not None
            assert (challenger.version, challenger.run_id) == (each.version, each.run_id)
            assert each.name not in MODELS or 0 <= each.metrics["ndcg@10"] <= 1
    assert {name for name, _, _ in told} >= set(MODELS)
    assert list((tmp_path / "tmp").iterdir()) == []  # temporary files are gone


def test_the_same_run_again_finds_its_version_and_another_seed_makes_one(mlflow_url: str, tmp_path: Path) -> None:
    first, same = (train(["trending"], FRAME, job(mlflow_url, tmp_path), seed=77)[0] for _ in range(2))
    other = train(["trending"], FRAME, job(mlflow_url, tmp_path), seed=78)[0]
    assert (first.fresh, same.fresh, other.fresh) == (True, False, True)
    assert (same.version, same.run_id) == (first.version, first.run_id)
    assert same.metrics["ndcg@10"] == pytest.approx(first.metrics["ndcg@10"])
    assert other.version != first.version


def test_a_ranker_orders_what_the_champion_of_slates_finds(mlflow_url: str, tmp_path: Path) -> None:
    champion = train(["item_knn"], FRAME, job(mlflow_url, tmp_path), seed=5)[0]
    given = replace(job(mlflow_url, tmp_path, 7 * DAY_MS), slates=("als", "item_knn"))
    with Registry(mlflow_url) as registry:
        registry.set_alias("item_knn", "champion", champion.version)
        trained = train(["ranker"], FRAME, given)[0]
        found = registry.get("ranker", trained.version)
        registry.remove_alias("item_knn", "champion")
    assert (found.tags["kindred.base"], found.tags["kindred.follows"]) == ("item_knn", champion.version)
    assert {"ndcg_at_10", "unranked_ndcg_at_10", "gain_ndcg_at_10_low"} <= found.metrics.keys()


def test_what_was_tuned_is_registered_and_a_study_goes_on_where_it_was(mlflow_url: str, tmp_path: Path) -> None:
    given = replace(job(mlflow_url, tmp_path), tune=3, studies=tmp_path / "studies.db")
    first, same = (train(["trending"], FRAME, given, seed=91)[0] for _ in range(2))
    assert (first.fresh, same.fresh, same.version) == (True, False, first.version)
    with Registry(mlflow_url) as registry:
        tuned = registry.params(registry.get("trending", first.version))
    trials = load_study(study_name=None, storage=f"sqlite:///{given.studies}").trials
    best = max(trials, key=lambda trial: (trial.value, -trial.number))
    assert len(trials) == 3  # the second run tried nothing again
    assert float(tuned["half_life_days"]) == pytest.approx(best.params["half_life_days"])


def test_what_events_are_worth_is_tuned_registered_and_is_the_champions_recipe(mlflow_url: str, tmp_path: Path) -> None:
    views = FRAME.assign(event="Product Viewed", timestamp=FRAME["timestamp"] - 60_000)
    frame = pd.concat([views, FRAME]).sort_values("timestamp", kind="stable")
    given = replace(job(mlflow_url, tmp_path), tune=2, studies=tmp_path / "studies.db")
    champion = train(["trending"], frame, given, seed=92)[0]
    with Registry(mlflow_url) as registry:
        params = registry.params(registry.get("trending", champion.version))
        registry.set_alias("trending", "champion", champion.version)
        challenger = train(["trending"], frame, job(mlflow_url, tmp_path), seed=92)[0]
        registry.remove_alias("trending", "champion")
    trials = load_study(study_name=None, storage=f"sqlite:///{given.studies}").trials
    best = max(trials, key=lambda trial: (trial.value, -trial.number))
    assert float(params["weights.Order Completed"]) == pytest.approx(best.params["weights.Order Completed"])
    assert float(params["weights.Order Refunded"]) == -float(params["weights.Order Completed"])
    assert challenger.metrics["rival_ndcg@10"] == pytest.approx(champion.metrics["ndcg@10"])


def test_only_models_of_slates_can_be_tuned(mlflow_url: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="only models of slates"):
        train(["churn"], FRAME, replace(job(mlflow_url, tmp_path), tune=3))


def test_a_challenger_is_held_against_the_champions_recipe(mlflow_url: str, tmp_path: Path) -> None:
    champion = train(["als"], FRAME, job(mlflow_url, tmp_path), seed=5)[0]
    with Registry(mlflow_url) as registry:
        registry.set_alias("als", "champion", champion.version)
        challenger = train(["als"], FRAME, job(mlflow_url, tmp_path), seed=6)[0]
        found = registry.get("als", challenger.version)
        registry.remove_alias("als", "champion")
    assert found.tags["kindred.compared_with"] == champion.version
    assert found.metrics["rival_ndcg_at_10"] == pytest.approx(champion.metrics["ndcg@10"])


def test_a_version_that_a_crash_left_without_its_alias_gets_it_from_the_next_run(
    mlflow_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(mlflow.MlflowClient, "set_registered_model_alias", crash)
        with pytest.raises(KeyboardInterrupt):
            train(["trending"], FRAME, job(mlflow_url, tmp_path), seed=401)
    again = train(["trending"], FRAME, job(mlflow_url, tmp_path), seed=401)[0]
    with Registry(mlflow_url) as registry:
        challenger = registry.alias("trending", "challenger")
    assert not again.fresh
    assert challenger is not None
    assert challenger.version == again.version


@pytest.mark.slow
@pytest.mark.parametrize("call", ["log_params", "log_metrics", "pyfunc.log_model", "MlflowClient.create_model_version"])
def test_killed_at_any_step_of_registering_there_is_no_version_and_the_next_run_makes_it(
    mlflow_url: str, tmp_path: Path, call: str
) -> None:
    """SIGKILL in a process of its own, just before that call."""
    seed = str(500 + len(call))
    words = [sys.executable, "-m", "tests.pipelines.killed_training", mlflow_url, str(tmp_path), call, seed]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, timeout=240, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with Registry(mlflow_url) as registry:
        before = {each.version for each in registry.versions("trending")}
    made = train(["trending"], FRAME, job(mlflow_url, tmp_path), seed=int(seed))[0]
    assert made.fresh
    assert made.version not in before


def test_a_model_that_fails_leaves_no_version_and_no_files(mlflow_url: str, tmp_path: Path) -> None:
    with Registry(mlflow_url) as registry:
        before = len(registry.versions("als"))
        with pytest.raises(BadInput, match="last 0 days"):
            train(["als"], FRAME[FRAME["timestamp"] < FRAME["timestamp"].max()], job(mlflow_url, tmp_path, 0))
        assert len(registry.versions("als")) == before
    assert list((tmp_path / "tmp").iterdir()) == []


def test_an_unknown_model_and_none_are_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no model 'oracle'; known ones: als, "):
        train(["oracle"], FRAME, job("http://127.0.0.1:1", tmp_path))
    with pytest.raises(BadInput, match="name a model"):
        train([], FRAME, job("http://127.0.0.1:1", tmp_path))


def test_a_registry_that_is_down_is_said_before_the_work(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    told: list[tuple[str, int, int]] = []
    with pytest.raises(Unavailable, match=url):
        train(["als"], FRAME, job(url, tmp_path), lambda *step: told.append(step))
    assert told == []


def test_what_was_set_is_trained_and_stands_in_the_registry(mlflow_url: str, tmp_path: Path) -> None:
    given = replace(job(mlflow_url, tmp_path), given={"als": {"embedding_size": 8, "epochs": 2}})
    trained = train(["als"], FRAME, given, seed=11)[0]
    with Registry(mlflow_url) as registry:
        params = registry.params(registry.get("als", trained.version))
    assert (params["embedding_size"], params["epochs"]) == ("8", "2")
    with pytest.raises(BadInput, match="als, which isn't trained here"):
        train(["trending"], FRAME, given)


def test_a_refresh_starts_from_the_champion_and_is_measured_on_the_days_since(mlflow_url: str, tmp_path: Path) -> None:
    earlier = FRAME[FRAME["timestamp"] < FRAME["timestamp"].min() + 26 * DAY_MS]
    given = replace(job(mlflow_url, tmp_path), given={"als": {"embedding_size": 8}})
    base = train(["als"], earlier, given, seed=21)[0]
    refresh = replace(job(mlflow_url, tmp_path), refresh=True)
    with Registry(mlflow_url) as registry:
        registry.set_alias("als", "champion", base.version)
        first, same = (train(["als"], FRAME, refresh, seed=21)[0] for _ in range(2))
        found = registry.get("als", first.version)
        params = registry.params(found)
        with pytest.raises(BadInput, match="nothing has happened since"):
            train(["als"], earlier, refresh)
        registry.remove_alias("als", "champion")
    assert (first.fresh, same.fresh, same.version) == (True, False, first.version)
    assert (found.tags["kindred.follows"], params["embedding_size"]) == (base.version, "8")
    assert int(found.tags["kindred.measured_since"]) == int(earlier["timestamp"].max()) + 1
    assert int(found.tags["kindred.data_until"]) == int(FRAME["timestamp"].max()) + 1
    assert 0 < found.metrics["ndcg_at_10"] <= 1


def test_what_can_not_be_refreshed_is_said(mlflow_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refresh = replace(job(mlflow_url, tmp_path), refresh=True)
    for name in ("item_knn", "churn"):
        with pytest.raises(BadInput, match=f"{name} has no warm start"):
            train([name], FRAME, refresh)
    monkeypatch.setattr(Registry, "alias", lambda *_: None)  # other tests of this server may have trained one
    with pytest.raises(BadInput, match="there is no two_tower to refresh"):
        train(["two_tower"], FRAME, refresh)
    with pytest.raises(BadInput, match="go with a full fit"):
        train(["als"], FRAME, replace(refresh, tune=3))
