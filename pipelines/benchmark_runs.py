"""One model of a benchmark: fitted once for each seed, asked, measured in every way, and summed up over the seeds."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.errors import BadInput
from models.arrays import Int32
from models.contracts import Model
from models.interactions import Interactions
from pipelines.peak import Peak
from training import datasets, evaluation, statistics
from training.evaluation import Evaluation, Question
from training.splits import Split

Float64 = NDArray[np.float64]
Told = Callable[[str, int, int], None]  # (what, steps done, steps in all)
Clock = Callable[[], float]


@dataclass(frozen=True)
class Measured:
    """What one model gave: means over the seeds, and for each user the mean over the seeds."""

    metrics: dict[str, float]
    values: dict[str, Float64]


@dataclass(frozen=True)
class Arena:
    """What every model meets: fitted on `learned`, asked the first question; the second is the same without repeats."""

    learned: Interactions
    questions: tuple[Question, ...]
    ks: tuple[int, ...]
    categories: Int32 | None = None

    @classmethod
    def of(
        cls, split: Split, mask: bool, again: bool, ks: Sequence[int], categories: Mapping[str, str] | None = None
    ) -> "Arena":
        """Args: again: ask for what is new too, where anything new is left to be found.

        Raises:  BadInput: nothing to learn from, or nobody to measure with.
        """
        learned = datasets.interactions(split.fit)
        questions = [evaluation.question(split, learned.items, mask)]
        if again and not mask:
            with suppress(BadInput):  # everything that is wanted is in the histories: then there is nothing new
                questions.append(evaluation.question(split, learned.items, mask=True))
        return cls(learned, tuple(questions), tuple(ks), _codes(learned.items.ids, categories or {}))


def measured(
    make: Callable[[int], Model],
    arena: Arena,
    seeds: Sequence[int],
    told: Told | None = None,
    clock: Clock = time.perf_counter,
) -> Measured:
    """One fit for each seed; only one where the model has no seed among its params, since nothing in it is random.

    Metrics are means over the seeds, `_sd` beside them their standard deviation (n - 1), `_low` and `_high` the 95%
    interval over users; memory is the highest.
    """
    runs: list[tuple[dict[str, float], Evaluation]] = []
    for seed in seeds:
        model = make(seed)
        runs.append(_run(model, arena, seed, told, clock))
        if "seed" not in model.params:
            break
    means = {name: _over([found[name] for found, _ in runs], name) for name in runs[0][0]}
    values = {name: np.mean([each.values[name] for _, each in runs], axis=0) for name in runs[0][1].values}
    if len(seeds) > 1:
        means |= {f"{name}_sd": _spread([found[name] for found, _ in runs]) for name in means if "@" in name}
    for name, ends in statistics.intervals(values, seeds[0]).items():
        means |= {f"{name}_low": ends.low, f"{name}_high": ends.high}
    return Measured(means, values)


def compared(a: Measured, b: Measured, name: str, k: int, seed: int) -> dict[str, float]:
    """`ndcg@20_minus_als` and so on: by how much a is better than b, called `name`, on the same users (paired)."""
    found: dict[str, float] = {}
    for metric in (metric for metric in a.values if metric.endswith(f"@{k}")):
        apart = statistics.paired(a.values[metric], b.values[metric], seed)
        found[f"{metric}_minus_{name}"] = apart.mean
        ends = {"low": apart.low, "high": apart.high, "p": apart.p}
        found |= {f"{metric}_minus_{name}_{end}": value for end, value in ends.items()}
    return found


def _run(model: Model, arena: Arena, seed: int, told: Told | None, clock: Clock) -> tuple[dict[str, float], Evaluation]:
    fitting = None if told is None else lambda done, total: told("", done, total)
    asking = None if told is None else lambda done, total: told("asking", done, total)
    with Peak() as fit_peak:
        started = clock()
        model.fit(arena.learned, fitting)
        seconds = clock() - started
    with Peak() as asking_peak:
        started = clock()
        answers = evaluation.slates(model, arena.questions, max(arena.ks), asking)
        seconds_asking = clock() - started
    judged = [
        evaluation.judge(answer, question, arena.ks) for answer, question in zip(answers, arena.questions, strict=True)
    ]
    found = dict(judged[0].metrics)
    for masked in judged[1:]:
        found |= {f"{name}_new": value for name, value in masked.metrics.items()}
    found |= evaluation.described(answers[0], arena.questions[0], arena.learned, arena.ks, seed, arena.categories)
    found |= {"seconds": seconds, "seconds_asking": seconds_asking}
    return found | {"memory_mb": fit_peak.mb, "memory_asking_mb": asking_peak.mb}, judged[0]


def _over(values: list[float], name: str) -> float:
    return max(values) if name.startswith("memory") else float(np.mean(values))


def _spread(values: list[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _codes(items: Sequence[str], categories: Mapping[str, str]) -> Int32 | None:
    """(n_items,) int32, -1 where an item's category isn't known; None where none is."""
    rows = {name: row for row, name in enumerate(sorted(set(categories.values())))}
    codes = np.array([rows.get(categories.get(item, ""), -1) for item in items], dtype=np.int32)
    return codes if (codes >= 0).any() else None
