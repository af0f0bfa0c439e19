"""How a ranker earns its place: trained on one window, measured on the next against the order it was given."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definitions import FEATURES
from features.errors import BadInput
from features.items import Item
from features.offline import EventLog, training_frame
from models.arrays import Int64
from models.contracts import Progress
from models.ranker import Ranker
from models.ranker_rows import ITEM, NAMES, OF_CUSTOMER
from models.registry import FEATURE_TAG
from training import datasets, notebook_ranker, statistics, trainer
from training.notebook_ranker import NotebookRanker
from training.ranking_frame import Frame, RankingConfig, RankingFrame, ranking_frame
from training.runs import Registrable
from training.statistics import Float64
from training.trainer import Recipe

K = 10
TIMED = 200  # requests that a ranker is timed with
EXAMPLE = 5  # rows to try it with


@dataclass(frozen=True)
class Given:
    """What a ranker is trained with: the event log and its interactions, `until` the end of the data (ms UTC,
    exclusive), how long a window is, the recipe of the model of slates whose candidates it orders, the catalogue.
    """

    log: EventLog
    frame: Frame
    until: int
    holdout_ms: int
    base: Recipe
    catalogue: Sequence[Item] = ()
    seed: int = 0
    progress: Progress | None = None
    config: RankingConfig | None = None


def train(given: Given, clock: Callable[[], float] = time.perf_counter) -> Registrable:
    """Measure one that learned from the window before the last on the last one; register one that learned from this.

    Raises:  BadInput: there aren't two windows in which people chose something.
    """
    tell = given.progress or (lambda _done, _total: None)
    past = _framed(given, given.until - 2 * given.holdout_ms, given.until - given.holdout_ms)
    tell(1, 4)
    later = _framed(given, given.until - given.holdout_ms, given.until)
    tell(2, 4)
    measured = Ranker(seed=given.seed).fit(past.table, NAMES, past.groups, past.relevance)
    metrics = compared(measured, later, given.seed)
    tell(3, 4)
    started = clock()
    final = Ranker(seed=given.seed).fit(later.table, NAMES, later.groups, later.relevance)
    metrics |= {"fit_seconds": clock() - started, **_speed(final, later, clock), **_finite(final.facts)}
    tell(4, 4)
    example = pd.DataFrame(later.table[:EXAMPLE].astype(np.float64), columns=list(NAMES))
    return Registrable(
        name=final.name,
        save=final.save,
        params={**final.params, "base": given.base.name},
        metrics=metrics,
        tags=_tags(given),
        loader=notebook_ranker.__name__,
        example=example,
        answer=NotebookRanker(final).predict(example),
    )


def compared(ranker: Ranker, frame: RankingFrame, seed: int) -> dict[str, float]:
    """NDCG@10 as ranked and as given, and what ranking gains, request by request, with its interval.

    `found` is the share of what was chosen that is among the candidates: no ranker finds the rest.
    """
    scores = ranker.score(frame.table, NAMES)
    edges = np.cumsum(frame.groups)[:-1]
    gains = np.split(frame.relevance > 0, edges)
    order = [np.argsort(-part, kind="stable") for part in np.split(scores, edges)]
    ranked = ndcg([gain[at] for gain, at in zip(gains, order, strict=True)], frame.wanted)
    unranked = ndcg(gains, frame.wanted)
    apart, bounds = statistics.paired(ranked, unranked, seed), statistics.interval(ranked, seed)
    return {
        f"ndcg@{K}": float(ranked.mean()),
        f"ndcg@{K}_low": bounds.low,
        f"ndcg@{K}_high": bounds.high,
        f"unranked_ndcg@{K}": float(unranked.mean()),
        f"gain_ndcg@{K}": apart.mean,
        f"gain_ndcg@{K}_low": apart.low,
        f"gain_ndcg@{K}_high": apart.high,
        "found": float(sum(gain.sum() for gain in gains) / frame.wanted.sum()),
        "measured_requests": float(len(frame.groups)),
    }


def ndcg(gains: Sequence[NDArray[np.bool_]], wanted: Int64) -> Float64:
    """(requests,) NDCG@10: whether each place holds something wanted, and how many items were, found or not."""
    discount = 1 / np.log2(np.arange(K) + 2)
    best = np.cumsum(discount)
    return np.array(
        [
            discount[: len(gain)] @ gain[:K] / best[min(int(count), K) - 1]
            for gain, count in zip(gains, wanted, strict=True)
        ]
    )


def _framed(given: Given, since: int, until: int) -> RankingFrame:
    rows = datasets.checked(given.frame)
    rows = rows[rows["timestamp"] < until]
    known = rows[rows["timestamp"] < since]
    if known.empty:
        days = given.holdout_ms / 86_400_000
        raise BadInput(f"a ranker needs more than two windows of {days:g} days; choose a shorter --holdout", "holdout")
    base = given.base.create().fit(trainer.interactions_of(given.base, known, given.catalogue))
    live = lambda labels, names: training_frame(given.log, labels, names)  # noqa: E731 - one line with its types above
    return ranking_frame(base, rows, (since, until), live, given.catalogue, given.config)


def _speed(ranker: Ranker, frame: RankingFrame, clock: Callable[[], float]) -> dict[str, float]:
    """Milliseconds for the candidates of one request, on this machine as busy as it was."""
    took = []
    for table in np.split(frame.table, np.cumsum(frame.groups)[:-1])[:TIMED]:
        started = clock()
        ranker.score(table, NAMES)
        took.append((clock() - started) * 1000)
    return {"ask_ms_p50": float(np.median(took)), "ask_ms_p99": float(np.quantile(took, 0.99))}


def _finite(facts: dict[str, float]) -> dict[str, float]:
    """What fit() measured, under names of its own; of too few requests it kept none aside."""
    return {f"fit_{name}": value for name, value in facts.items() if np.isfinite(value)}


def _tags(given: Given) -> dict[str, str]:
    named = (*OF_CUSTOMER, *ITEM)
    return {
        "kindred.base": given.base.name,
        "kindred.data_since": str(int(given.frame["timestamp"].min())),
        "kindred.data_until": str(given.until),
        "kindred.measured_since": str(given.until - given.holdout_ms),
        "kindred.measured_until": str(given.until),
        **{f"{FEATURE_TAG}{name}": FEATURES.fingerprint(name) for name in named},
    }
