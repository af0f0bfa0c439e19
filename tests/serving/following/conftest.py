"""A follower whose registry and catalogue are in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from features.settings import Settings
from models import create
from serving.following import Follower
from tests.mlflow_server import mlflow_folder, mlflow_url
from tests.serving.decide.fake import shop
from tests.serving.following.fakes import Models, Shop
from tests.tastes import checkerboard

__all__ = ["mlflow_folder", "mlflow_url"]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The files of a trending model over i000 to i009."""
    folder = tmp_path / "files"
    folder.mkdir()
    create("trending").fit(checkerboard()).save(folder)
    return folder


@pytest.fixture
def registry(saved: Path) -> Models:
    """A registry in which version 1 of trending is champion."""
    made = Models(saved)
    made.crown("trending", "1")
    return made


@pytest.fixture
def follower(tmp_path: Path, registry: Models) -> Iterator[Follower]:
    """One that has not started."""
    settings = Settings(tmp_path, redis="redis://127.0.0.1:1", mlflow="http://127.0.0.1:1")
    made = Follower(settings, registry)  # type: ignore[arg-type]
    made._reader = Shop(**shop(*(f"i{number:03d}" for number in range(10))))  # type: ignore[assignment]
    yield made
    made.redis.close()
