"""How a model earns its place: fitted on the past, measured on what came after, then fitted on everything.

What is registered is the second fit (it knows the newest items and customers); its metrics are those of the first, and
the run names both windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_matrix

from features.errors import BadInput
from features.states import RECENT
from models import create
from models.arrays import Csr, Int32
from models.contracts import Model, Progress
from models.histories import Histories
from models.interactions import IdMap
from training import datasets, metrics
from training.splits import Split, time_split

BLOCK = 512
KS = (10, 20)
TARGET = "Order Completed"


@dataclass(frozen=True)
class Fitted:
    """A model ready to be registered.

    `measured` is [since, until) of the holdout in ms UTC, `window` that of everything the model was fitted on;
    `example` is a history (item ids) to try it with.
    """

    name: str
    model: Model
    metrics: dict[str, float]
    window: tuple[int, int]
    measured: tuple[int, int]
    target: str
    customers: int
    example: tuple[str, ...]


def train(name: str, frame: datasets.Frame, holdout_ms: int, seed: int = 0, progress: Progress | None = None) -> Fitted:
    """Fit, measure on the last `holdout_ms`, fit again on everything.

    What is to be found is orders, or, where the holdout has none, every event that adds weight.

    Raises:  BadInput: nothing to learn from, or nobody to measure with.
    """
    rows = datasets.checked(frame)
    split, target = _holdout(rows, holdout_ms)
    model = create(name, seed).fit(datasets.interactions(split.fit), _half(progress, 0))
    found = evaluate(model, split, KS, mask=False, newest=RECENT)
    found |= {f"{key}_new": value for key, value in evaluate(model, split, KS, mask=True, newest=RECENT).items()}
    everything = datasets.interactions(rows)
    final = create(name, seed).fit(everything, _half(progress, 1))
    since, until = everything.window or (0, 0)
    return Fitted(
        name=name,
        model=final,
        metrics={**found, **final.facts},
        window=(since, until),
        measured=(until - holdout_ms, until),
        target=target,
        customers=len(everything.users),
        example=_example(everything.matrix, everything.items),
    )


def _holdout(rows: datasets.Frame, holdout_ms: int) -> tuple[Split, str]:
    split = time_split(rows, holdout_ms)
    if "event" in rows.columns and (orders := split.test["event"] == TARGET).any():
        return replace(split, test=split.test[orders]), TARGET
    return split, "any"


def evaluate(model: Model, split: Split, ks: Sequence[int], mask: bool, newest: int | None = None) -> dict[str, float]:
    """Every metric at every k on the split's test, and `users`: over how many users they are means.

    Args:    mask: items of the history are never shown, and are no targets; newest: as in datasets.histories().
    Raises:  BadInput: no user has a target.
    """
    users = IdMap.of(split.test["user_id"].unique())
    asked = datasets.histories(split.known, users, model.items, newest)
    wanted, unknown = datasets.targets(split.test, users, model.items)
    hidden = datasets.histories(split.known, users, model.items).matrix if mask else wanted * 0
    wanted = _without(wanted, hidden)
    count = int(((np.diff(wanted.indptr) + unknown) > 0).sum())
    if count == 0:
        raise BadInput(
            "no user has anything left to be found; ask with --no-mask, or choose another --holdout", "holdout"
        )
    slates = [
        _block(model, asked.rows(at, at + BLOCK), wanted[at : at + BLOCK], hidden[at : at + BLOCK], max(ks))
        for at in range(0, len(users), BLOCK)
    ]
    return {**metrics.measure(np.concatenate(slates), wanted, unknown, ks), "users": float(count)}


def _block(model: Model, asked: Histories, wanted: Csr, hidden: Csr, k: int) -> Int32:
    scores = model.scores(asked)
    scores[hidden.nonzero()] = -np.inf
    return metrics.ranked(scores, wanted.toarray() > 0, k)


def _without(wanted: Csr, hidden: Csr) -> Csr:
    left = csr_matrix(wanted - wanted.multiply(hidden > 0))
    left.eliminate_zeros()
    left.sort_indices()
    return left


def _half(progress: Progress | None, which: int) -> Progress | None:
    """Progress of one of the two fits as progress of both."""
    if progress is None:
        return None
    return lambda done, total: progress(which * total + done, 2 * total)


def _example(matrix: Csr, items: IdMap) -> tuple[str, ...]:
    """The first items of the first user."""
    return tuple(items.names(matrix.indices[: matrix.indptr[1]][:5]))
