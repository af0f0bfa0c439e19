"""`kindred benchmark`: any model on any file of interactions, under the protocols and metrics of the papers."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from features.errors import BadInput
from features.events import FILE_ALIASES
from models import MODELS, create
from models.contracts import Model
from models.trending import Trending, TrendingConfig
from pipelines.imports.columns import Mapping
from pipelines.imports.interactions import interactions_from
from pipelines.imports.rows import Rows
from training import datasets, splits, trainer
from training.datasets import Frame
from training.splits import Fit

Protocol = Literal["split", "leave-last-out", "time-split"]

BASELINES = ("popularity",)  # measured beside the models, never trained or served


@dataclass(frozen=True)
class Options:
    """`mask`: items of the history are neither shown nor wanted; `fit` matters for leave-last-out alone.

    `target_event`: only such interactions are to be found. `holdout_ms` matters for time-split alone.
    """

    protocol: Protocol
    models: tuple[str, ...] = ("als", "trending")
    ks: tuple[int, ...] = (10, 20)
    holdout_ms: int = 30 * 86_400_000
    fit: Fit = "strict"
    mask: bool = True
    target_event: str | None = None
    seed: int = 0


def benchmark_files(
    interactions: Path,
    test: Path | None,
    mapping: Mapping,
    options: Options,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, dict[str, float]]:
    """benchmark() of a file, and of the file of its test part where the split is given.

    Raises:  BadInput: naming the option that doesn't fit, or a file that can't be read.
    """
    _check(test is not None, options)
    frames = [_frame(path, mapping) for path in (interactions, test) if path is not None]
    return benchmark(frames[0], frames[1] if test is not None else None, options, progress)


def benchmark(
    train: Frame,
    test: Frame | None,
    options: Options,
    progress: Callable[[str, int, int], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, dict[str, float]]:
    """Metrics of each model: `recall@k ndcg@k hr@k mrr@k precision@k coverage@k`, `users` measured, `seconds` of fit.

    Without a mask, the same metrics with it stand beside them as `ndcg@10_new` and so on.

    Args:    train, test: as training.datasets.checked() takes them; test with the protocol split alone.
    Raises:  BadInput: naming the option that doesn't fit.
    """
    _check(test is not None, options)
    split = _split(train, test, options)
    learned = datasets.interactions(split.fit)
    found = {}
    for name in options.models:
        told = None if progress is None else _told(progress, name)
        started = clock()
        model = _model(name, options.seed).fit(learned, told)
        seconds = clock() - started
        metrics = trainer.evaluate(model, split, options.ks, options.mask)
        if not options.mask:
            masked = trainer.evaluate(model, split, options.ks, mask=True)
            metrics |= {f"{key}_new": value for key, value in masked.items()}
        found[name] = {**metrics, "seconds": seconds}
    return found


def _split(train: Frame, test: Frame | None, options: Options) -> splits.Split:
    rows = datasets.checked(train)
    wanted = options.target_event
    target = None if wanted is None else FILE_ALIASES.get(wanted) or FILE_ALIASES.get(wanted.lower(), wanted)
    if options.protocol == "time-split":
        return splits.time_split(rows, options.holdout_ms, target)
    if options.protocol == "leave-last-out":
        return splits.leave_last_out(rows, options.fit, target)
    if test is None:
        raise BadInput("--protocol split needs --test FILE", "test")
    return splits.given(rows, datasets.checked(test), target)


def _check(has_test: bool, options: Options) -> None:
    if options.protocol not in get_args(Protocol):
        protocols = ", ".join(get_args(Protocol))
        raise BadInput(f"--protocol {options.protocol} can't be measured yet; choose one of {protocols}", "protocol")
    if has_test and options.protocol != "split":
        raise BadInput(f"--test goes with --protocol split; {options.protocol} makes its own", "test")
    if options.fit not in get_args(Fit):
        raise BadInput(f"--fit is strict or refit, not {options.fit!r}", "fit")
    if not options.ks or min(options.ks) < 1:
        raise BadInput("--k takes whole numbers above 0, for example 10,20", "k")
    if options.holdout_ms < 1:
        raise BadInput("--holdout must be longer than nothing, for example 30d", "holdout")
    known = (*MODELS, *BASELINES)
    for name in options.models:
        if name not in known:
            raise BadInput(f"there is no model {name!r}; known ones: {', '.join(known)}", "models")


def _model(name: str, seed: int) -> Model:
    """A baseline is a model with one of its ideas switched off: popularity is what trends over all time."""
    return Trending(TrendingConfig(half_life_days=math.inf)) if name == "popularity" else create(name, seed)


def _told(progress: Callable[[str, int, int], None], name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(name, done, total)


def _frame(path: Path, mapping: Mapping) -> Frame:
    with Rows(path) as rows:
        return interactions_from(rows, mapping)
