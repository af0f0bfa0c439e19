"""The MLflow server that Kindred starts: what it is told, and whether it is there."""

import sys
from pathlib import Path

import httpx

from pipelines.mlflow_server import healthy, start_command
from tests.mlflow_server import free_port


def test_everything_stays_on_loopback_and_in_the_folder(tmp_path: Path) -> None:
    command, variables = start_command(tmp_path, 5001)
    assert command[:4] == [sys.executable, "-m", "mlflow", "server"]
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--workers") + 1] == "1"
    assert command[command.index("--backend-store-uri") + 1] == f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    assert command[command.index("--artifacts-destination") + 1] == str(tmp_path.resolve() / "artifacts")
    assert variables["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert variables["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert variables["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"


def test_a_running_server_is_healthy(mlflow_url: str) -> None:
    assert healthy(mlflow_url)
    assert healthy(mlflow_url + "/")


def test_nothing_or_something_else_there_is_not(mlflow_url: str) -> None:
    assert not healthy(f"http://127.0.0.1:{free_port()}")
    assert not healthy(f"{mlflow_url}/api")
    assert httpx.get(f"{mlflow_url}/api/health").status_code == 404
