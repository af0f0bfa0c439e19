"""The pyfunc flavour of models of customers: found by name like training/notebook_model.py, never used in serving."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from models import artifacts
from models.customers.churn import Churn
from models.customers.clusters import Clusters
from models.customers.customer_space import CustomerSpace, activity
from models.customers.lookalike import Lookalike
from models.histories import Histories, History


class Notebook(Protocol):
    """What MLflow asks."""

    def predict(self, asked: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """A row for each row."""


class NotebookChurn:
    """Churn probabilities of customers, by their features."""

    def __init__(self, model: Churn) -> None:
        self.model = model

    def predict(self, asked: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002 - MLflow's signature
        """`churn_probability` of each row, whose columns are the features that the model was fitted on."""
        inputs = {str(name): column.to_numpy() for name, column in asked.items()}
        return pd.DataFrame({"churn_probability": self.model.predict(inputs).astype(float)})


class NotebookClusters:
    """The cluster of customers, by their features."""

    def __init__(self, model: Clusters) -> None:
        self.model = model

    def predict(self, asked: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002 - MLflow's signature
        """`cluster`, its `name`, `distance` and `confidence` of each row of features."""
        rows = [{str(name): value for name, value in row.items()} for row in asked.to_dict("records")]
        return pd.DataFrame([self.model.assign(row)._asdict() for row in rows])


class NotebookLookalike:
    """How like the seed audience customers are, by what they took and when."""

    def __init__(self, model: Lookalike, space: CustomerSpace) -> None:
        self.model, self.space = model, space

    def predict(self, asked: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """`similarity` of each row: lists `history` of item ids and `times` (ms UTC), oldest first; `now` in ms UTC."""
        rows = [self._history(*row) for row in zip(asked["history"], asked["times"], strict=True)]
        histories = Histories.of(rows, len(self.space.items))
        newest = 0 if histories.times is None else int(histories.times.max(initial=0))
        now = int((params or {}).get("now", newest))
        scores = self.model.score(self.space.vectors(histories), activity(histories, now))
        return pd.DataFrame({"similarity": scores.astype(float)})

    def _history(self, items: list[str], times: list[int]) -> History:
        rows = self.space.items.rows(list(items))
        return History(rows, np.ones(len(rows), dtype=np.float32), np.array(list(times), dtype=np.int64))


LOADERS: dict[str, Callable[[Path], Notebook]] = {
    Churn.name: lambda folder: NotebookChurn(Churn.load(folder)),
    Clusters.name: lambda folder: NotebookClusters(Clusters.load(folder)),
    Lookalike.name: lambda folder: NotebookLookalike(Lookalike.load(folder), CustomerSpace.load(folder)),
}


def _load_pyfunc(data_path: str) -> Notebook:
    """What MLflow calls.

    Raises:  BrokenArtifact: a file is missing or was changed.
    """
    folder = Path(data_path)
    artifacts.verify(folder)
    return LOADERS[artifacts.stored_name(folder)](folder)
