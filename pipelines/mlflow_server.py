"""An MLflow server of our own: loopback, SQLite, files through the server, two processes, and no call to anywhere."""

import sys
from pathlib import Path

import httpx

QUIET = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # ten processes otherwise
    "PYTHONWARNINGS": "ignore",
}


def start_command(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """The command that serves MLflow on 127.0.0.1, and what to add to its environment.

    Args:    folder: gets the database and the artifacts; it must exist.
    """
    folder = folder.resolve()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")]
    return command, dict(QUIET)


def healthy(url: str) -> bool:
    """Whether an MLflow server answers there."""
    try:
        return httpx.get(f"{url.rstrip('/')}/health", timeout=2.0).text == "OK"
    except httpx.HTTPError:
        return False
