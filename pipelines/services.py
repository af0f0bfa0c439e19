"""The processes that Kindred itself is made of: the HTTP service and the stream processor."""

import os
import sys
import time
from pathlib import Path

import httpx

from features.errors import BadSetting, Unavailable
from features.settings import Settings, to_environment
from models import MODELS
from pipelines.processes import Children, last_words

ROOT = Path(__file__).parent.parent


def serve_command(settings: Settings, host: str, port: int, workers: int) -> tuple[list[str], dict[str, str]]:
    """The command that runs the BentoML service, and its environment.

    Raises:  BadSetting: KINDRED_MODELS names a model that there isn't.
    """
    check_models(settings)
    command = [sys.executable, "-P", "-m", "bentoml", "serve", "serving.service:service"]
    command += ["--host", host, "--port", str(port), "--working-dir", str(ROOT)]
    quiet = {
        "BENTOML_HOME": str(settings.data / "bentoml" / str(port)),  # a service that starts empties the metrics there
        "BENTOML_DO_NOT_TRACK": "true",
        "BENTOML_CONFIG_OPTIONS": f"services.kindred.workers={workers}",
        "OMP_NUM_THREADS": "1",  # of the libraries that are loaded after the service has limited the others
        "OPENBLAS_NUM_THREADS": "1",
    }
    return command, {**to_environment(settings), **quiet}


def check_models(settings: Settings) -> None:
    """Raises BadSetting where KINDRED_MODELS names a model that there isn't."""
    if unknown := [name for name in settings.models if name not in MODELS]:
        raise BadSetting(f"KINDRED_MODELS names {unknown[0]!r}; known ones: {', '.join(MODELS)}", "KINDRED_MODELS")


def stream_command(settings: Settings) -> tuple[list[str], dict[str, str]]:
    """The command that runs a stream processor, and its environment."""
    return [sys.executable, "-P", "-m", "pipelines.cli", "stream"], to_environment(settings)


def is_ready(url: str) -> bool:
    """Whether the service there has what it needs."""
    try:
        return httpx.get(f"{url}/readyz", timeout=2.0).status_code == 200
    except httpx.HTTPError:
        return False


def wait_for_end(children: Children) -> None:
    """Return never; raise when a process has ended by itself, so that the rest is stopped too.

    Raises:  Unavailable: with the last line of its log.
    """
    while True:
        dead = children.dead()
        if dead is not None:
            raise Unavailable(f"{dead.name} ended, so everything was stopped; {last_words(dead.log)}")
        time.sleep(0.2)


def commit_of_checkout() -> str:
    """The git commit that this code is, for a model's lineage; `unknown` outside a checkout."""
    head = ROOT / ".git" / "HEAD"
    if not head.is_file():
        return os.environ.get("GIT_COMMIT", "unknown")
    text = head.read_text().strip()
    if not text.startswith("ref: "):
        return text
    name = text.removeprefix("ref: ")
    loose = ROOT / ".git" / name
    if loose.is_file():
        return loose.read_text().strip()
    packed = ROOT / ".git" / "packed-refs"
    lines = packed.read_text().splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), "unknown")
