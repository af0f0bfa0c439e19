"""The pyfunc flavour of a version, for notebooks and batches: MLflow finds this module by name, and no code or pickle
is stored. Serving never comes here: it reads the files itself.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models import artifacts, load
from models.contracts import Model
from models.histories import History

DEFAULT_K = 10


class NotebookModel:
    """Slates for histories, as MLflow asks for them."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, asked: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """`item_ids` and `scores` for each row of `history`, a list of item ids that all weigh 1; `k` of them."""
        k = int((params or {}).get("k", DEFAULT_K))
        return pd.DataFrame([self._slate(list(history), k) for history in asked["history"]])

    def _slate(self, history: list[str], k: int) -> dict[str, Any]:
        indices = self.model.items.rows(history)
        rows, scores = self.model.recommend_one(History(indices, np.ones(len(indices), dtype=np.float32)), k)
        return {"item_ids": self.model.items.names(rows), "scores": scores[rows >= 0].astype(float).tolist()}


def _load_pyfunc(data_path: str) -> NotebookModel:
    """What MLflow calls.

    Raises:  BrokenArtifact: a file is missing or was changed.
    """
    folder = Path(data_path)
    artifacts.verify(folder)
    return NotebookModel(load(folder))
