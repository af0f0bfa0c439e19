"""One flag says where models are trained: it reaches every fit of `kindred benchmark` and `kindred train`."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from typer.testing import CliRunner

from features.errors import BadInput
from features.offline import EventLog
from models.sasrec.model import SasRec
from pipelines.benchmark import benchmark
from pipelines.benchmark_options import Options
from pipelines.cli import app
from pipelines.train import Job, train
from tests.tastes import DAY_MS, two_tastes

FRAME = two_tastes(days=20)


class Started(Exception):
    """A fit has begun, on this device."""


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU as far as anybody asks torch, and fits that end where they begin."""

    def fit(self: SasRec, *_: Any) -> NoReturn:
        raise Started(self.params["device"])

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(SasRec, "fit", fit)


@pytest.mark.parametrize("tune", [0, 1])
@pytest.mark.usefixtures("cuda")
def test_a_benchmark_trains_and_tunes_on_it(tune: int) -> None:
    for device in ("cpu", "cuda"):
        with pytest.raises(Started, match=device):
            benchmark(FRAME, None, Options("leave-last-out", models=("sasrec",), tune=tune, device=device))


@pytest.mark.parametrize("tune", [0, 1])
@pytest.mark.usefixtures("cuda")
def test_a_training_run_trains_and_tunes_on_it(mlflow_url: str, tmp_path: Path, tune: int) -> None:
    job = Job(mlflow_url, 5 * DAY_MS, "abc", tmp_path, tmp_path / "models", EventLog(tmp_path), tune=tune)
    for device in ("cpu", "cuda"):
        with pytest.raises(Started, match=device):
            train(["sasrec"], FRAME, replace(job, device=device))


@pytest.mark.parametrize("words", [["benchmark", "--protocol", "leave-last-out", "--interactions"], ["train"]])
def test_a_gpu_that_is_not_there_is_said(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("KINDRED_DATA", str(tmp_path))
    done = CliRunner().invoke(app, [*words, "orders.csv", "--device", "cuda"])
    assert isinstance(done.exception, BadInput)
    assert done.exception.field == "device"
