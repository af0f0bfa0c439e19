"""Models of customers, from the event log to what can be registered: who leaves, who belongs together, who is alike."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from features.offline import EventLog
from models.contracts import Progress
from models.customers.clusters import Clusters
from training import churn as churning
from training import clusters as clustering
from training import lookalike as alike
from training import notebook_customers
from training.datasets import Frame
from training.notebook_customers import NotebookChurn, NotebookClusters, NotebookLookalike
from training.runs import Registrable


@dataclass(frozen=True)
class Given:
    """What a model of customers is trained with.

    `frame` are the log's interactions, `until` the end of the data (ms UTC, exclusive); `previous` the files of the
    version before, whose labels new clusters keep where they can; the last `holdout_ms` are for measuring.
    """

    log: EventLog
    frame: Frame
    until: int
    holdout_ms: int
    seed: int = 0
    previous: Path | None = None
    progress: Progress | None = None


def churn(given: Given) -> Registrable:
    """Who orders nothing within the horizon, which is as long as the holdout."""
    task = churning.Task(horizon=given.holdout_ms)
    fitted = churning.train(given.log, task, given.seed, given.progress)
    example = pd.DataFrame([fitted.example])
    tags = {f"kindred.feature.{name}": digest for name, digest in fitted.fingerprints.items()}
    tags |= _tags(fitted.window, fitted.measured, fitted.customers)
    answer = NotebookChurn(fitted.model).predict(example)
    return _made(fitted.name, fitted.model.save, fitted.model.params, fitted.metrics, tags, example, answer)


def clusters(given: Given) -> Registrable:
    """Who belongs together, by the last 30 days."""
    previous = None if given.previous is None else Clusters.load(given.previous)
    fitted = clustering.train(given.log, given.until - 1, previous, given.seed, progress=given.progress)
    rows = clustering.customer_features(given.log, fitted.assigned["user_id"].head(1), given.until - 1)
    example = rows.drop(columns=["user_id"]).head(1)
    answer = NotebookClusters(fitted.model).predict(example)
    tags = _tags(fitted.window, fitted.window, fitted.customers)
    return _made(fitted.name, fitted.save, fitted.params, fitted.metrics, tags, example, answer)


def lookalike(given: Given) -> Registrable:
    """Who is like the best customers."""
    fitted = alike.train(given.frame, given.holdout_ms, given.seed)
    example = pd.DataFrame(
        {"history": [list(fitted.space.items.ids[:2])], "times": [[given.until - 2, given.until - 1]]}
    )
    answer = NotebookLookalike(fitted.model, fitted.space).predict(example)
    tags = _tags(fitted.window, fitted.measured, fitted.customers)
    return _made(fitted.name, fitted.save, fitted.params, fitted.metrics, tags, example, answer)


CUSTOMER_MODELS: dict[str, Callable[[Given], Registrable]] = {
    "churn": churn,
    "clusters": clusters,
    "lookalike": lookalike,
}


def _tags(window: tuple[int, int], measured: tuple[int, int], customers: int) -> dict[str, str]:
    return {
        "kindred.data_since": str(window[0]),
        "kindred.data_until": str(window[1]),
        "kindred.measured_since": str(measured[0]),
        "kindred.measured_until": str(measured[1]),
        "kindred.customers": str(customers),
    }


def _made(
    name: str,
    save: Callable[[Path], None],
    params: "dict[str, float | int | str]",
    metrics: dict[str, float],
    tags: dict[str, str],
    example: pd.DataFrame,
    answer: pd.DataFrame,
) -> Registrable:
    return Registrable(name, save, params, metrics, tags, notebook_customers.__name__, example, answer)
