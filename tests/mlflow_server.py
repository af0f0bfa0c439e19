"""One real MLflow server for all tests that need one, on loopback, started when first asked for."""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from pipelines.mlflow_server import healthy, start_command

_SERVER = pytest.StashKey[tuple[str, Path]]()
START_S = 120
# A test's webhook goes to this machine, which MLflow refuses unless it is told otherwise.
WEBHOOKS = {"MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true"}


@pytest.fixture(scope="session")
def mlflow_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of the server; it ends with the test run. Conftests import this, and all share the one server."""
    stash = request.config.stash
    if _SERVER not in stash:
        folder = tmp_path_factory.mktemp("mlflow")
        stash[_SERVER] = _start(request.config, folder), folder
    return stash[_SERVER][0]


@pytest.fixture
def mlflow_folder(request: pytest.FixtureRequest, mlflow_url: str) -> Path:  # noqa: ARG001 - it must run first
    """Where the server keeps its database and its files."""
    return request.config.stash[_SERVER][1]


def _start(config: pytest.Config, folder: Path) -> str:
    url = f"http://127.0.0.1:{(port := free_port())}"
    command, variables = start_command(folder, port)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **variables, **WEBHOOKS},
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    config.add_cleanup(lambda: _stop(process))
    deadline = time.monotonic() + START_S
    while not healthy(url):
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"mlflow server did not start: {(folder / 'server.log').read_text()[-2000:]}")
        time.sleep(0.2)
    return url


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """The server has a child of its own: the whole group that we made ends."""
    os.killpg(process.pid, 15)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait(10)


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
