"""The job `kindred train`: each model fitted, measured on what came later, and registered as a challenger.

The same data, recipe and code again register nothing new, so that a run that was cut off goes on where it was: what is
registered already is found by the hash of its inputs.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from features.errors import BadInput
from features.items import Item
from features.offline import EventLog
from models import MODELS, load, parameters, placed
from models.contracts import Refreshable
from models.device import check_device
from models.ranker import Ranker
from models.registry import CHALLENGER, Registry, Version
from models.registry.trail import trail
from models.spaces import SPACES
from training import datasets, inputs, ranking, runs, trainer, tuning
from training.customer_models import CUSTOMER_MODELS, Given
from training.runs import Registrable
from training.trainer import Recipe
from training.tuning import Goal
from training.validation import validation

HOLDOUT_MS = 30 * 86_400_000

Progress = Callable[[str, int, int], None]  # (model, steps done, steps in all)
Told = Callable[[int, int], None]
ALL = "all"
TRAINABLE = (*MODELS, *CUSTOMER_MODELS, Ranker.name)


@dataclass(frozen=True)
class Trained:
    """A registered version, and how it did on the holdout; not `fresh` where the same run had been made before.

    Of `all`, a model for which the data don't do is `refused`, with the reason, and has no version.
    """

    name: str
    version: str
    run_id: str
    metrics: dict[str, float]
    fresh: bool = True
    refused: str = ""


@dataclass(frozen=True)
class Job:
    """What all models of one call share.

    The registry; how much of the end of the data to measure on; the commit of the code; an existing folder for
    temporary files, and one where models are kept that were fetched; the event log, which models of customers read for
    themselves; what is known of items; and the models that may serve slates, the first with a champion is what a
    ranker gets its candidates from; how many configurations of a model of slates are tried first, and the file that
    keeps them; where models are trained that can be trained on several devices, the champion's recipe too; and of each
    model the fields of its configuration that are to be others than production's. `refresh`: start from the champion,
    or where there is none from the challenger, instead of from nothing.
    """

    registry_url: str
    holdout_ms: int
    code: str
    workspace: Path
    cache: Path
    log: EventLog
    catalogue: Sequence[Item] = ()
    slates: Sequence[str] = ()
    tune: int = 0
    studies: Path | None = None
    device: str = "cpu"
    given: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    refresh: bool = False


def train(
    names: Sequence[str], interactions: pd.DataFrame, job: Job, progress: Progress | None = None, seed: int = 0
) -> list[Trained]:
    """Train the models in the order given; a version exists only for what was trained to the end.

    Args:    names: of models, or only `all`; interactions: as features.offline gives them.
    Raises:  BadInput: an unknown model, or data that nothing can be learned from; Unavailable: no registry.
    """
    wanted = _wanted(names)
    check_device(job.device)
    if job.tune and SPACES.keys().isdisjoint(wanted):
        raise BadInput(f"only models of slates can be tuned: {', '.join(SPACES)}", "tune")
    if strange := sorted(job.given.keys() - set(wanted)):
        raise BadInput(f"--set says something of {strange[0]}, which isn't trained here", "set")
    if job.refresh and (job.tune or job.given):
        raise BadInput("--refresh starts from a version as it is: --tune and --set go with a full fit", "refresh")
    recipes = [Recipe(name, seed, placed(name, job.device, job.given.get(name))) for name in wanted]
    with Registry(job.registry_url) as registry:
        registry.ping()  # before the work, not after it
        data = inputs.digest_of(interactions)
        if list(names) != [ALL]:
            return [_train(registry, recipe, interactions, data, job, progress) for recipe in recipes]
        return [_tried(registry, recipe, interactions, data, job, progress) for recipe in recipes]


def _tried(
    registry: Registry, recipe: Recipe, frame: pd.DataFrame, data: str, job: Job, progress: Progress | None
) -> Trained:
    """One of all: a shop without orders has no churn, and its other models are wanted all the same."""
    try:
        return _train(registry, recipe, frame, data, job, progress)
    except BadInput as error:
        return Trained(recipe.name, "", "", {}, fresh=False, refused=str(error))


def _train(
    registry: Registry, recipe: Recipe, frame: pd.DataFrame, data: str, job: Job, progress: Progress | None
) -> Trained:
    name = recipe.name
    told = None if progress is None else lambda done, total: progress(name, done, total)
    if job.tune and name in SPACES:
        recipe = _tuned(recipe, frame, job, told)
    base = _base(registry, recipe, job)
    given = inputs.inputs_of(recipe, data, job.holdout_ms, job.code, None if base is None else base.version)
    if known := registry.find(name, inputs.INPUTS_TAG, given):
        logged = registry.get(name, known.version).metrics
        metrics = {runs.own_name(metric): value for metric, value in logged.items()}
        _complete(registry, known)
        return Trained(name, known.version, known.run_id, metrics, fresh=False)
    if base is None:
        made, tags = _maker(name)(registry, recipe, frame, job, told)
    else:
        made, tags = _refreshed(registry, base, recipe, frame, job, told)
    tags |= {"kindred.commit": job.code, inputs.INPUTS_TAG: given, inputs.FEATURES_TAG: inputs.features_fingerprint()}
    with tempfile.TemporaryDirectory(prefix="train-", dir=job.workspace) as folder:
        registered = runs.register(job.registry_url, made, tags, Path(folder))
    return Trained(name, registered.version, registered.run_id, dict(made.metrics))


def _base(registry: Registry, recipe: Recipe, job: Job) -> Version | None:
    """What is to be refreshed; None where a model is to be fitted in full.

    Raises:  BadInput: there is nothing to start from.
    """
    if not job.refresh:
        return None
    if recipe.name not in MODELS or not issubclass(MODELS[recipe.name], Refreshable):
        raise BadInput(f"{recipe.name} has no warm start: train it without --refresh", "refresh")
    found = registry.champion(recipe.name) or registry.alias(recipe.name, CHALLENGER)
    if found is None:
        raise BadInput(f"there is no {recipe.name} to refresh: `kindred train {recipe.name}` first", "refresh")
    return found


def _refreshed(
    registry: Registry, base: Version, recipe: Recipe, frame: pd.DataFrame, job: Job, told: Told | None
) -> tuple[Registrable, dict[str, str]]:
    before = load(registry.download(base, job.cache))
    until = int(base.tags["kindred.data_until"])
    own = replace(_recipe_of(registry, base, recipe.seed, job.device), seed=recipe.seed)
    fitted = trainer.refresh(own, before, until, frame, told, catalogue=job.catalogue)
    return runs.recommender(fitted), {"kindred.follows": base.version}


def _complete(registry: Registry, known: Version) -> None:
    """Name a version that a crash left without its alias: the newest of all, which nobody has promoted or tried yet."""
    newest = max(registry.versions(known.name), key=lambda each: int(each.version))
    if newest.version == known.version and not newest.aliases and not trail(newest):
        registry.set_alias(known.name, CHALLENGER, known.version)


def _tuned(recipe: Recipe, frame: pd.DataFrame, job: Job, told: Told | None) -> Recipe:
    """The best of `tune` configurations on the window before the measured one; a study that was cut off goes on.

    What events are worth is tried too, in what a model is fitted on: serving asks with what they are worth in live
    states, and so do the trials.
    """
    split, target = trainer.holdout(datasets.checked(frame), job.holdout_ms)
    aside = validation(split, "time-split", job.holdout_ms, None if target == "any" else target)
    goal = Goal(mask=False)
    fixed = recipe.params or {}
    ranges = tuning.weight_ranges(aside.fit)
    study = tuning.study_name(recipe.name, aside, goal, recipe.seed, ranges, fixed, asked=False)
    on_trial = runs.trials(job.registry_url, recipe.name, study)
    best = tuning.tune(
        recipe.name, aside, goal, job.tune, recipe.seed, job.studies, told, on_trial, asked=False, fixed=fixed
    )
    return replace(recipe, params=best.params, weights=best.weights)


def _maker(name: str) -> "Callable[..., tuple[Registrable, dict[str, str]]]":
    if name == Ranker.name:
        return _of_candidates
    return _of_customers if name in CUSTOMER_MODELS else _of_items


def _of_items(
    registry: Registry, recipe: Recipe, frame: pd.DataFrame, job: Job, told: Told | None
) -> tuple[Registrable, dict[str, str]]:
    rival, against = _rival(registry, recipe, job.device)
    fitted = trainer.train(recipe, frame, job.holdout_ms, rival, told, catalogue=job.catalogue)
    return runs.recommender(fitted), {} if rival is None else {"kindred.compared_with": against}


def _of_customers(
    registry: Registry, recipe: Recipe, frame: pd.DataFrame, job: Job, told: Told | None
) -> tuple[Registrable, dict[str, str]]:
    before = registry.champion(recipe.name) or registry.alias(recipe.name, CHALLENGER)
    previous = None if before is None else registry.download(before, job.cache)
    until = int(frame["timestamp"].max()) + 1
    given = Given(job.log, frame, until, job.holdout_ms, recipe.seed, previous, told)
    tags = {} if before is None else {"kindred.follows": before.version}
    return CUSTOMER_MODELS[recipe.name](given), tags


def _of_candidates(
    registry: Registry, recipe: Recipe, frame: pd.DataFrame, job: Job, told: Told | None
) -> tuple[Registrable, dict[str, str]]:
    """A ranker of what the champion of slates finds; of ALS where there is no champion yet."""
    until, champions = int(frame["timestamp"].max()) + 1, (registry.champion(name) for name in job.slates)
    champion = next((each for each in champions if each is not None), None)
    base = Recipe("als", recipe.seed) if champion is None else _recipe_of(registry, champion, recipe.seed, job.device)
    given = ranking.Given(job.log, frame, until, job.holdout_ms, base, job.catalogue, recipe.seed, told)
    return ranking.train(given), {} if champion is None else {"kindred.follows": champion.version}


def _recipe_of(registry: Registry, version: Version, seed: int, device: str) -> Recipe:
    """A version's recipe, for this machine: where it was trained then may not be here."""
    logged = registry.params(version)
    params = placed(version.name, device, parameters(version.name, logged))
    return Recipe(version.name, int(logged.get("seed", seed)), params, runs.weights_read(logged))


def _rival(registry: Registry, recipe: Recipe, device: str) -> tuple[Recipe | None, str]:
    """The champion's configuration, to be fitted on the same window: its files know the days that are measured on."""
    champion = registry.champion(recipe.name)
    if champion is None:
        return None, ""
    return _recipe_of(registry, champion, recipe.seed, device), champion.version


def _wanted(names: Sequence[str]) -> list[str]:
    wanted = list(TRAINABLE) if list(names) == [ALL] else list(dict.fromkeys(names))
    for name in wanted:
        if name not in TRAINABLE:
            raise BadInput(f"there is no model {name!r}; known ones: {', '.join(TRAINABLE)}, {ALL}", "model")
    if not wanted:
        raise BadInput(f"name a model to train: {', '.join(TRAINABLE)}, or {ALL}", "model")
    return wanted
