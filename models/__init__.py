"""Mathematics over arrays: one file per model, each with its line in MODELS; the trained files live in MLflow."""

from pathlib import Path

from features.errors import BadInput, BrokenArtifact
from models import artifacts
from models.als import Als
from models.contracts import Model
from models.trending import Trending

MODELS: dict[str, type[Als] | type[Trending]] = {"als": Als, "trending": Trending}


def create(name: str, seed: int = 0) -> Model:
    """An unfitted model with the configuration that production uses.

    Raises:  BadInput: there is no such model.
    """
    if name not in MODELS:
        raise BadInput(f"there is no model {name!r}; known ones: {', '.join(MODELS)}", "model")
    return MODELS[name](seed=seed)


def load(folder: Path) -> Model:
    """The model that a verified folder holds.

    Raises:  BrokenArtifact: the files can't be read, or are of a model that this version doesn't know.
    """
    name = artifacts.stored_name(folder)
    if name not in MODELS:
        raise BrokenArtifact(f"{folder} holds a model {name!r} that this Kindred doesn't know")
    return MODELS[name].load(folder)
