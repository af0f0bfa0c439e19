"""The job `kindred train`: each model fitted, measured on what came later, and registered as a challenger."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from features.errors import BadInput
from models import MODELS
from models.registry import Registry
from training import runs, trainer

HOLDOUT_MS = 30 * 86_400_000

Progress = Callable[[str, int, int], None]  # (model, steps done, steps in all)


@dataclass(frozen=True)
class Trained:
    """A version that was registered, and how it did on the holdout."""

    name: str
    version: str
    run_id: str
    metrics: dict[str, float]


def train(
    names: Sequence[str],
    interactions: pd.DataFrame,
    registry_url: str,
    holdout_ms: int,
    progress: Progress | None,
    commit: str,
    workspace: Path,
    seed: int = 0,
) -> list[Trained]:
    """Train the models in the order given; a version exists only for what was trained to the end.

    Args:    names: of models, or `all`; interactions: as features.offline gives them; holdout_ms: the last part, to
             measure on; workspace: an existing folder for temporary files.
    Raises:  BadInput: an unknown model, or data that nothing can be learned from; Unavailable: no registry.
    """
    wanted = _wanted(names)
    with Registry(registry_url) as registry:
        registry.ping()  # before the work, not after it
    return [_train(name, interactions, registry_url, holdout_ms, progress, commit, workspace, seed) for name in wanted]


def _train(
    name: str,
    interactions: pd.DataFrame,
    url: str,
    holdout_ms: int,
    progress: Progress | None,
    commit: str,
    workspace: Path,
    seed: int,
) -> Trained:
    told = None if progress is None else lambda done, total: progress(name, done, total)
    fitted = trainer.train(name, interactions, holdout_ms, seed, told)
    with tempfile.TemporaryDirectory(prefix="train-", dir=workspace) as folder:
        registered = runs.register(url, fitted, commit, Path(folder))
    return Trained(name, registered.version, registered.run_id, fitted.metrics)


def _wanted(names: Sequence[str]) -> list[str]:
    wanted = list(MODELS) if list(names) == ["all"] else list(dict.fromkeys(names))
    for name in wanted:
        if name not in MODELS:
            raise BadInput(f"there is no model {name!r}; known ones: {', '.join(MODELS)}, all", "model")
    if not wanted:
        raise BadInput(f"name a model to train: {', '.join(MODELS)}, or all", "model")
    return wanted
