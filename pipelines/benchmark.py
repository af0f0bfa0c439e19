"""`kindred benchmark`: any model on any file of interactions, under the protocols and metrics of the papers."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from features.errors import BadInput
from models import create, placed
from models.contracts import Model
from models.spaces import SPACES
from models.trending import Trending, TrendingConfig
from pipelines.benchmark_input import read
from pipelines.benchmark_options import Options
from pipelines.benchmark_runs import Arena, Measured, compared, measured
from pipelines.imports import columns
from training import datasets, splits
from training.datasets import Frame
from training.tuning import OnTrial, Tuned, tune, weighed
from training.validation import validation

Results = dict[str, dict[str, float]]
Told = Callable[[str, int, int], None]  # (model and what it does, steps done, steps in all)


@dataclass(frozen=True)
class Tuning:
    """Where trials are kept (an SQLite file, None for nowhere), and who is told of trials and of the best one."""

    storage: Path | None = None
    on_trial_of: Callable[[str], OnTrial] | None = None
    on_tuned: Callable[[str, Tuned], None] | None = None


def benchmark_files(
    interactions: Path,
    test: Path | None,
    mapping: columns.Mapping,
    options: Options,
    progress: Told | None = None,
    tuning: Tuning | None = None,
) -> Results:
    """benchmark() of a file, and of the file of its test part where the split is given.

    Raises:  BadInput: naming the option that doesn't fit, or a file that can't be read.
    """
    options.check(test is not None)
    files = read(interactions, test, mapping, options.protocol)
    return benchmark(files.train, files.test, options, progress, categories=files.categories, tuning=tuning)


def benchmark(
    train: Frame,
    test: Frame | None,
    options: Options,
    progress: Told | None = None,
    clock: Callable[[], float] = time.perf_counter,
    categories: Mapping[str, str] | None = None,
    tuning: Tuning | None = None,
) -> Results:
    """Everything that is measured of each model.

    `recall@k ndcg@k hr@k mrr@k precision@k coverage@k` and `users` measured (training.metrics), each with `_low` and
    `_high`, with several seeds `_sd`, and without a mask the same with it as `ndcg@10_new`; what training.beyond and
    training.groups add; `seconds` and `memory_mb` (peak of the process) of the fit, `seconds_asking` and
    `memory_asking_mb` of asking for everybody.

    Args:    train, test: as training.datasets.checked() takes them, test with the protocol split alone; with prefixes
             as training.splits.prefixes() takes them; categories: by item id, where they are known.
    Raises:  BadInput: naming the option that doesn't fit.
    """
    options.check(test is not None)
    split = split_of(train, test, options)
    arena = arena_of(split, options, categories)
    found: dict[str, Measured] = {}
    for name in options.named:
        make, own = _maker(name, options), arena
        if options.tune and name in SPACES:
            best = _tuned(name, split, options, progress, tuning or Tuning())
            make = _tuned_maker(name, best)
            own = arena if best.weights is None else arena_of(weighed(split, best.weights), options, categories)
        told = None if progress is None else _named(progress, name)
        found[name] = measured(make, own, range(options.seed, options.seed + options.seeds), told, clock)
    return {name: each.metrics | _apart(name, each, found, options) for name, each in found.items()}


def split_of(train: Frame, test: Frame | None, options: Options) -> splits.Split:
    """What is learned from, asked with and to be found under the options' protocol."""
    rows = datasets.checked(train)
    target = options.target
    if options.protocol == "time-split":
        return splits.time_split(rows, options.holdout_ms, target)
    if options.protocol == "leave-last-out":
        return splits.leave_last_out(rows, options.fit, target)
    if test is None:
        raise BadInput(f"--protocol {options.protocol} needs --test FILE", "test")
    if options.protocol == "prefixes":
        return splits.prefixes(rows, test)
    return splits.given(rows, datasets.checked(test), target)


def arena_of(split: splits.Split, options: Options, categories: Mapping[str, str] | None) -> Arena:
    """The split as every model meets it."""
    return Arena.of(split, options.masked, options.protocol != "prefixes", options.ks, categories)


def _maker(name: str, options: Options) -> Callable[[int], Model]:
    """A baseline is a model with one of its ideas switched off: popularity is what trends over all time."""
    if name == "popularity":
        return lambda seed: Trending(TrendingConfig(half_life_days=math.inf), seed)
    return lambda seed: create(name, seed, _given(name, options))


def _given(name: str, options: Options) -> dict[str, object]:
    return placed(name, options.device, options.settings.get(name))


def _tuned_maker(name: str, best: Tuned) -> Callable[[int], Model]:
    return lambda seed: create(name, seed, best.params)


def _tuned(name: str, split: splits.Split, options: Options, progress: Told | None, tuning: Tuning) -> Tuned:
    aside = validation(split, options.protocol, options.holdout_ms, options.target, options.seed)
    told = None if progress is None else _trials(progress, name)
    on_trial = None if tuning.on_trial_of is None else tuning.on_trial_of(name)
    fixed = _given(name, options)
    best = tune(name, aside, options.goal, options.tune, options.seed, tuning.storage, told, on_trial, fixed=fixed)
    if tuning.on_tuned is not None:
        tuning.on_tuned(name, best)
    return best


def _apart(name: str, each: Measured, found: Mapping[str, Measured], options: Options) -> dict[str, float]:
    if not options.compare or name == options.compare:
        return {}
    return compared(each, found[options.compare], options.compare, max(options.ks), options.seed)


def _named(progress: Told, name: str) -> Told:
    return lambda what, done, total: progress(f"{name}: {what}" if what else name, done, total)


def _trials(progress: Told, name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(f"{name}: tuning", done, total)
