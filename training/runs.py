"""Runs and versions in MLflow: the one door to its client library.

A version is created last, whole, with all its tags: whatever breaks before that leaves a failed run and no version.
"""

import os
import warnings
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

EXPERIMENT = "kindred"
FOLDER = "kindred"  # MLflow puts it below data/, where models/registry.py looks for it
_REQUIRES = ("mlflow", "numpy", "scipy", "pandas", "implicit", "faiss-cpu")
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
class Registered:
    """Where a fitted model stands in MLflow."""

    name: str
    version: str
    run_id: str


def register(url: str, fitted: Fitted, commit: str, workspace: Path) -> Registered:
    """Log a run with the model's files and make a version of it, alias `challenger`.

    Args:    url: of the MLflow server; commit: the git commit that trained it; workspace: an empty folder.
    Raises:  Unavailable: the server doesn't answer, or refuses.
    """
    mlflow = _mlflow()
    folder = workspace / FOLDER
    folder.mkdir(parents=True)
    fitted.model.save(folder)
    artifacts.seal(folder)
    tags = {**_tags(fitted, commit), MANIFEST_TAG: artifacts.digest(folder)}
    try:
        mlflow.set_tracking_uri(url)
        mlflow.set_experiment(EXPERIMENT)
        with mlflow.start_run(run_name=fitted.name, tags=tags, log_system_metrics=False) as run:
            mlflow.log_params(fitted.model.params)
            mlflow.log_metrics({metric_name(name): value for name, value in fitted.metrics.items()})
            logged = _log_model(mlflow, fitted, folder)
        return _version(mlflow, url, fitted.name, run.info.run_id, logged.model_id, tags)
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise Unavailable(f"MLflow at {url} did not take the run: {error}") from error


def metric_name(name: str) -> str:
    """MLflow's name of a metric: it refuses the sign @."""
    return name.replace("@", "_at_")


def _mlflow() -> ModuleType:
    """MLflow takes seconds to import, and reads what it may not do (pickles, telemetry) from the environment."""
    os.environ.update(_QUIET)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what MLflow says to itself while it is imported is nothing to act on
        import mlflow  # noqa: PLC0415
        import mlflow.pyfunc  # noqa: PLC0415

    return mlflow


def _log_model(mlflow: ModuleType, fitted: Fitted, folder: Path) -> Any:
    example = pd.DataFrame({"history": [list(fitted.example)]})
    signature = mlflow.models.infer_signature(example, NotebookModel(fitted.model).predict(example), {"k": DEFAULT_K})
    with warnings.catch_warnings():
        # MLflow 3.17 compares a frame's columns with a range, which pandas 3 announces to change: not ours to mend.
        warnings.filterwarnings("ignore", message="Operation with range is deprecated")
        return mlflow.pyfunc.log_model(
            name=fitted.name,
            loader_module=notebook_model.__name__,
            data_path=str(folder),
            signature=signature,
            input_example=example,
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


def _tags(fitted: Fitted, commit: str) -> dict[str, str]:
    return {
        "kindred.data_since": str(fitted.window[0]),
        "kindred.data_until": str(fitted.window[1]),
        "kindred.measured_since": str(fitted.measured[0]),
        "kindred.measured_until": str(fitted.measured[1]),
        "kindred.measured_on": fitted.target,
        "kindred.customers": str(fitted.customers),
        "kindred.items": str(len(fitted.model.items)),
        "kindred.commit": commit,
    }
