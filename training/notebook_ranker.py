"""The pyfunc flavour of a ranker, found by name like training/notebook_model.py; never used in serving."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models import artifacts
from models.ranker import Ranker


class NotebookRanker:
    """Scores of candidates, by their rows."""

    def __init__(self, model: Ranker) -> None:
        self.model = model

    def predict(self, asked: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002 - MLflow's signature
        """`score` of each row, whose columns are those of models.ranker_rows; higher is better within one request."""
        scores = self.model.score(asked.to_numpy(dtype=np.float32), [str(name) for name in asked.columns])
        return pd.DataFrame({"score": scores.astype(float)})


def _load_pyfunc(data_path: str) -> NotebookRanker:
    """What MLflow calls.

    Raises:  BrokenArtifact: a file is missing or was changed.
    """
    folder = Path(data_path)
    artifacts.verify(folder)
    return NotebookRanker(Ranker.load(folder))
