"""How a model earns its place: fitted on the past, measured on what came after, then fitted on everything.

What is registered is the second fit (it knows the newest items and customers); its metrics are those of the first, and
the run names both windows. A rival, such as the champion's configuration, is fitted on the same past and measured on
the same customers, so that the difference is one of models and not of windows.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from features.errors import BadInput
from features.items import Item
from features.states import RECENT
from models import READS_CONTENT, create
from models.arrays import Int32
from models.contracts import Model, Progress, Refreshable
from models.histories import Histories
from models.interactions import IdMap, Interactions
from models.trending import Trending
from training import datasets, evaluation, in_context, statistics
from training.content import with_content
from training.evaluation import Evaluation, Question
from training.splits import Split, time_split

KS = (10, 20)
TARGET = "Order Completed"
BOUNDED = ("ndcg@10", "recall@10", "ndcg@10_new")  # metrics that are registered with their intervals
COMPARED = "ndcg@10"
TIMED = 200  # histories that a model is timed with


@dataclass(frozen=True)
class Recipe:
    """What to fit: a model of MODELS with a seed, and parameters where they aren't production's.

    `weights`: what every event is worth in what the model is fitted on, where that isn't features.weights.WEIGHTS; it
    is asked with those all the same, as live states are folded with them.
    """

    name: str
    seed: int = 0
    params: Mapping[str, object] | None = None
    weights: Mapping[str, float] | None = None

    def create(self) -> Model:
        """The unfitted model."""
        return create(self.name, self.seed, self.params)


@dataclass(frozen=True)
class Fitted:
    """A model ready to be registered.

    `measured` is [since, until) of the holdout in ms UTC, `window` that of everything the model was fitted on;
    `example` is a history (item ids) to try it with; `weights` are those of its recipe.
    """

    name: str
    model: Model
    metrics: dict[str, float]
    window: tuple[int, int]
    measured: tuple[int, int]
    target: str
    customers: int
    example: tuple[str, ...]
    weights: Mapping[str, float] | None = None


def train(
    recipe: Recipe,
    frame: datasets.Frame,
    holdout_ms: int,
    rival: Recipe | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.perf_counter,
    cpu: Callable[[], float] = time.thread_time,
    catalogue: Sequence[Item] = (),
) -> Fitted:
    """Fit, measure on the last `holdout_ms`, fit again on everything.

    What is to be found is orders, or, where the holdout has none, every event that adds weight.

    Args:    catalogue: for models that read what is known of items; as it is now, not as it was before the holdout.
    Raises:  BadInput: nothing to learn from, or nobody to measure with.
    """
    rows = datasets.checked(frame)
    split, target = holdout(rows, holdout_ms)
    learned, parts = interactions_of(recipe, split.fit, catalogue), 2 if rival is None else 3
    model = recipe.create().fit(learned, _part(progress, 0, parts))
    metrics, judged = _measured(model, split, learned, recipe.seed)
    if isinstance(model, Trending):
        metrics |= in_context.measured(model, split, catalogue, recipe.seed)
    if rival is not None:
        other = rival.create().fit(interactions_of(rival, split.fit, catalogue), _part(progress, 1, parts))
        metrics |= _compared(judged, evaluation.judge(*_answered(other, split)), recipe.seed)
    everything = interactions_of(recipe, rows, catalogue)
    started = clock()
    final = recipe.create().fit(everything, _part(progress, parts - 1, parts))
    metrics |= {"fit_seconds": clock() - started, **_speed(final, everything.histories, cpu), **final.facts}
    return _whole(recipe, final, metrics, everything, holdout_ms, target)


def refresh(
    recipe: Recipe,
    base: Model,
    until: int,
    frame: datasets.Frame,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.perf_counter,
    cpu: Callable[[], float] = time.thread_time,
    catalogue: Sequence[Item] = (),
) -> Fitted:
    """A fitted model that started from another one and saw what happened since.

    Its metrics are those of the model it starts from, on the days since: no model has seen them but the one that is
    registered, which can't be asked about them any more. benchmarks/refresh.py measures what a refresh gains.

    Args:    recipe: of the base; base: Refreshable; until: the end of what it was fitted on, in ms UTC.
    Raises:  BadInput: it can't be refreshed, nothing has happened since, or nobody can be measured with.
    """
    if not isinstance(base, Refreshable):
        raise BadInput(f"{base.name} has no warm start: train it in full", "refresh")
    rows = datasets.checked(frame)
    since = int(rows["timestamp"].max()) + 1 - until
    if since < 1:
        raise BadInput(
            f"nothing has happened since {base.name} was trained: there is nothing to refresh with", "refresh"
        )
    split, target = holdout(rows, since)
    people = IdMap.of(split.fit["user_id"].unique())
    known = Interactions(people, base.items, datasets.histories(split.fit, people, base.items))
    metrics, _ = _measured(base, split, known, recipe.seed)
    everything = interactions_of(recipe, rows, catalogue)
    started = clock()
    final = base.refreshed(everything, progress)
    metrics |= {"fit_seconds": clock() - started, **_speed(final, everything.histories, cpu), **final.facts}
    return _whole(recipe, final, metrics, everything, since, target)


def _whole(
    recipe: Recipe, model: Model, metrics: dict[str, float], everything: Interactions, holdout_ms: int, target: str
) -> Fitted:
    since, until = everything.window or (0, 0)
    return Fitted(
        name=model.name,
        model=model,
        metrics=metrics,
        window=(since, until),
        measured=(until - holdout_ms, until),
        target=target,
        customers=len(everything.users),
        example=_example(everything),
        weights=recipe.weights,
    )


def interactions_of(recipe: Recipe, rows: datasets.Frame, catalogue: Sequence[Item]) -> Interactions:
    """What the recipe's model is fitted on, with what is known of the items if it reads that."""
    learned = datasets.interactions(rows if recipe.weights is None else datasets.weighed(rows, recipe.weights))
    return with_content(learned, catalogue) if catalogue and recipe.name in READS_CONTENT else learned


def holdout(rows: datasets.Frame, holdout_ms: int) -> tuple[Split, str]:
    """The last window against all before it, and what is to be found: orders, or `any` event where it has none."""
    split = time_split(rows, holdout_ms)
    if "event" in rows.columns and (orders := split.test["event"] == TARGET).any():
        return replace(split, test=split.test[orders]), TARGET
    return split, "any"


def _measured(model: Model, split: Split, learned: Interactions, seed: int) -> tuple[dict[str, float], Evaluation]:
    """With repeats and (`_new`) without, with intervals, and beyond accuracy; asked with what serving asks with."""
    both = [evaluation.question(split, model.items, mask, RECENT) for mask in (False, True)]
    answers = evaluation.slates(model, both, max(KS))
    judged, new = (evaluation.judge(answer, asked, KS) for answer, asked in zip(answers, both, strict=True))
    found = judged.metrics | {f"{key}_new": value for key, value in new.metrics.items()}
    values = {**judged.values, **{f"{key}_new": value for key, value in new.values.items()}}
    for name in BOUNDED:
        bounds = statistics.interval(values[name], seed)
        found |= {f"{name}_low": bounds.low, f"{name}_high": bounds.high}
    return found | evaluation.described(answers[0], both[0], learned, (10,), seed), judged


def _answered(model: Model, split: Split) -> tuple[Int32, Question, Sequence[int]]:
    asked = evaluation.question(split, model.items, False, RECENT)
    return evaluation.slates(model, [asked], max(KS))[0], asked, KS


def _compared(own: Evaluation, rival: Evaluation, seed: int) -> dict[str, float]:
    """How much better than the rival, customer by customer."""
    apart = statistics.paired(own.values[COMPARED], rival.values[COMPARED], seed)
    return {
        f"rival_{COMPARED}": rival.metrics[COMPARED],
        f"gain_{COMPARED}": apart.mean,
        f"gain_{COMPARED}_low": apart.low,
        f"gain_{COMPARED}_high": apart.high,
    }


def _speed(model: Model, histories: Histories, cpu: Callable[[], float]) -> dict[str, float]:
    """Milliseconds of one core for a slate of ten for one history, asked as serving asks: with one thread.

    Of CPU and not of the wall: what else this machine does while it trains says nothing of the model.
    """
    step = max(1, len(histories) // TIMED)
    took = []
    with threadpool_limits(1):
        for row in range(0, len(histories), step):
            started = cpu()
            model.recommend_one(histories[row], 10)
            took.append((cpu() - started) * 1000)
    return {"ask_ms_p50": float(np.median(took)), "ask_ms_p99": float(np.quantile(took, 0.99))}


def _part(progress: Progress | None, which: int, parts: int) -> Progress | None:
    """Progress of one of several fits as progress of all."""
    if progress is None:
        return None
    return lambda done, total: progress(which * total + done, parts * total)


def _example(interactions: Interactions) -> tuple[str, ...]:
    """The newest items of the first user."""
    return tuple(interactions.items.names(interactions.histories[0].items[-5:]))
