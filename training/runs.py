"""Runs and versions in MLflow: the one door to its client library.

A version is created last, whole, with all its tags: whatever breaks before that leaves a failed run and no version.
"""

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from features.errors import Unavailable
from models import artifacts
from models.registry import CHALLENGER, MANIFEST_TAG
from training import notebook_model
from training.notebook_model import DEFAULT_K, NotebookModel
from training.trainer import Fitted
from training.tuning import WEIGHT

EXPERIMENT = "kindred"
FOLDER = "kindred"  # MLflow puts it below data/, where models/registry.py looks for it
STUDY_TAG = "kindred.study"
ENDED = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}  # Optuna's states as MLflow's
OnTrial = Callable[[int, dict[str, Any], dict[str, float], str], None]  # number, params, metrics, state
_REQUIRES = ("mlflow", "numpy", "scipy", "pandas", "implicit", "faiss-cpu", "onnxruntime", "lightgbm")
_QUIET = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


@dataclass(frozen=True)
class Registrable:
    """What becomes a version: a fitted model's files, what is known of it, and how a notebook asks it.

    `save` writes the files into an existing empty folder; `loader` is the module whose `_load_pyfunc` reads them again;
    `example` is what it may be asked, `answer` what it then says, `asked_with` the parameters it takes.
    """

    name: str
    save: Callable[[Path], None]
    params: Mapping[str, float | int | str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    loader: str
    example: pd.DataFrame
    answer: pd.DataFrame
    asked_with: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Registered:
    """Where a fitted model stands in MLflow."""

    name: str
    version: str
    run_id: str


def recommender(fitted: Fitted) -> Registrable:
    """A model of slates as something to register."""
    example = pd.DataFrame({"history": [list(fitted.example)]})
    return Registrable(
        name=fitted.name,
        save=fitted.model.save,
        params={**fitted.model.params, **weights_logged(fitted.weights)},
        metrics=fitted.metrics,
        tags=_windows(fitted),
        loader=notebook_model.__name__,
        example=example,
        answer=NotebookModel(fitted.model).predict(example),
        asked_with={"k": DEFAULT_K},
    )


def weights_logged(weights: Mapping[str, float] | None) -> dict[str, float]:
    """What events were worth in a fit as parameters of its run, where that isn't what they are worth elsewhere."""
    return {f"{WEIGHT}{event}": float(worth) for event, worth in (weights or {}).items()}


def weights_read(logged: Mapping[str, str]) -> dict[str, float] | None:
    """weights_logged() the other way, among all parameters of a run; None where there are none."""
    found = {name.removeprefix(WEIGHT): float(worth) for name, worth in logged.items() if name.startswith(WEIGHT)}
    return found or None


def register(url: str, made: Registrable, tags: Mapping[str, str], workspace: Path) -> Registered:
    """Log a run with the model's files and make a version of it, alias `challenger`.

    Args:    url: of the MLflow server; tags: of the version and the run, beside the model's own; workspace: an existing
             empty folder.
    Raises:  Unavailable: the server doesn't answer, or refuses; OSError: the disk is full, and nothing was registered.
    """
    mlflow = _mlflow()
    folder = workspace / FOLDER
    folder.mkdir(parents=True)
    made.save(folder)
    manifest = artifacts.seal(folder)
    size = sum(entry.size for entry in manifest.files.values())
    tags = {**made.tags, **tags, MANIFEST_TAG: artifacts.digest(folder)}
    try:
        mlflow.set_tracking_uri(url)
        mlflow.set_experiment(EXPERIMENT)
        with mlflow.start_run(run_name=made.name, tags=tags, log_system_metrics=False) as run:
            mlflow.log_params(dict(made.params))
            metrics = {**made.metrics, "size_mb": size / 1e6}
            mlflow.log_metrics({metric_name(name): value for name, value in metrics.items()})
            logged = _log_model(mlflow, made, folder)
        return _version(mlflow, url, made.name, run.info.run_id, logged.model_id, tags)
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise Unavailable(f"MLflow at {url} did not take the run: {error}") from error


def trials(url: str, name: str, study: str) -> OnTrial:
    """Keeps each trial of a study that it is told of as a child of one run, the same one when the study is resumed.

    Raises:  Unavailable: the server doesn't answer; and so when it is told, of a trial that the study has kept already.
    """
    mlflow = _mlflow()
    client = mlflow.MlflowClient(tracking_uri=url)
    try:
        mlflow.set_tracking_uri(url)
        experiment = mlflow.set_experiment(EXPERIMENT).experiment_id
        found = client.search_runs([experiment], f"tags.`{STUDY_TAG}` = '{study}'", max_results=1)
        parent = found[0] if found else client.create_run(experiment, run_name=f"tune {name}", tags={STUDY_TAG: study})
        client.set_terminated(parent.info.run_id)  # a study has no end: what was tried so far is whole
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise Unavailable(f"MLflow at {url} did not take the study: {error}") from error

    def on_trial(number: int, params: dict[str, Any], metrics: dict[str, float], state: str) -> None:
        tags = {"mlflow.parentRunId": parent.info.run_id, "kindred.trial": str(number)}
        try:
            child = client.create_run(experiment, run_name=f"trial {number}", tags=tags).info.run_id
            for key, value in params.items():
                client.log_param(child, key, value)
            for metric, figure in metrics.items():
                client.log_metric(child, metric_name(metric), figure)
            client.set_terminated(child, ENDED[state])
        except (mlflow.exceptions.MlflowException, OSError) as error:
            raise Unavailable(f"MLflow at {url} did not take trial {number}: {error}") from error

    return on_trial


def metric_name(name: str) -> str:
    """MLflow's name of a metric: it refuses the sign @."""
    return name.replace("@", "_at_")


def own_name(name: str) -> str:
    """metric_name() the other way."""
    return name.replace("_at_", "@")


def _mlflow() -> ModuleType:
    """MLflow takes seconds to import, and reads what it may not do (pickles, telemetry) from the environment."""
    os.environ.update(_QUIET)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what MLflow says to itself while it is imported is nothing to act on
        import mlflow  # noqa: PLC0415
        import mlflow.pyfunc  # noqa: PLC0415

    return mlflow


def _log_model(mlflow: ModuleType, made: Registrable, folder: Path) -> Any:
    asked_with = None if made.asked_with is None else dict(made.asked_with)
    warned = (
        "Hint: Inferred schema contains integer"  # whole numbers of customers are never missing where they are whole
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=warned)
        signature = mlflow.models.infer_signature(made.example, made.answer, asked_with)
        # MLflow 3.17 compares a frame's columns with a range, which pandas 3 announces to change: not ours to mend.
        warnings.filterwarnings("ignore", message="Operation with range is deprecated")
        return mlflow.pyfunc.log_model(
            name=made.name,
            loader_module=made.loader,
            data_path=str(folder),
            signature=signature,
            input_example=made.example,
            pip_requirements=[f"{package}=={installed(package)}" for package in _REQUIRES],
        )


def _version(mlflow: ModuleType, url: str, name: str, run_id: str, model_id: str, tags: dict[str, str]) -> Registered:
    client = mlflow.MlflowClient(tracking_uri=url)
    try:
        client.create_registered_model(name)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(
        name, f"models:/{model_id}", run_id=run_id, tags=tags, await_creation_for=0, model_id=model_id
    )
    client.set_registered_model_alias(name, CHALLENGER, made.version)
    return Registered(name, str(made.version), run_id)


def _windows(fitted: Fitted) -> dict[str, str]:
    return {
        "kindred.data_since": str(fitted.window[0]),
        "kindred.data_until": str(fitted.window[1]),
        "kindred.measured_since": str(fitted.measured[0]),
        "kindred.measured_until": str(fitted.measured[1]),
        "kindred.measured_on": fitted.target,
        "kindred.customers": str(fitted.customers),
        "kindred.items": str(len(fitted.model.items)),
    }
