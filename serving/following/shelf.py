"""From a version in the registry to a model in memory: fetched, checked, loaded, and asked before anybody asks it."""

import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np

from features.definitions import FEATURES
from features.errors import BrokenArtifact
from features.table import Table
from models import load
from models.contracts import Model
from models.histories import History
from models.ranker import Ranker
from models.ranker_rows import NAMES
from models.registry import FEATURE_TAG, Registry, Version, folder_of, tidy
from models.registry.trail import Refusal, refuse
from serving.decide.asked import Asked
from serving.decide.columns import Columns
from serving.decide.decision import decide
from serving.decide.state import Champion, LoadedRanker, State
from serving.following.plans import RANKER, Key

CACHE_BYTES = 8 << 30  # of fetched files, of all versions

logger = logging.getLogger("kindred.serving")


class Shelf:
    """Loads versions; it blocks, so it runs in threads, one version at a time."""

    def __init__(self, registry: Registry, cache: Path, table: Table = FEATURES) -> None:
        self.registry = registry
        self.cache = cache
        self.table = table

    def load(self, key: Key, recent: Sequence[Asked]) -> tuple[Model | LoadedRanker, int]:
        """The model of a version and what its files weigh in bytes.

        Args:    recent: real requests of late, that it is tried on.
        Raises:  BrokenArtifact: files, format, or features aren't what they should be; Unavailable: no registry; and
                 whatever the model raises when it is asked.
        """
        version = self.registry.version(*key)
        if version is None:
            raise BrokenArtifact(f"{key.name} has no version {key.version}")
        self._check_features(version)
        folder = self.registry.download(version, self.cache)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        if key.name == RANKER:
            ranker = Ranker.load(folder)
            warm_ranker(key, ranker)
            return LoadedRanker(key.version, ranker), size
        model = load(folder)
        warm(key, model, recent)
        return model, size

    def tidy(self, keys: Collection[Key]) -> None:
        """Bound the folder of fetched files; those of the keys stay."""
        versions = (self.registry.version(*key) for key in keys)
        gone = tidy(self.cache, {folder_of(each) for each in versions if each is not None}, CACHE_BYTES)
        if gone:
            logger.info("let go of fetched files: %s", ", ".join(gone))

    def refuse(self, key: Key, reason: str, now: int, first: Callable[[], bool]) -> None:
        """Write down in the registry why a version isn't served; `first` says whether this worker is to do it."""
        if first() and (version := self.registry.version(*key)) is not None:
            refuse(self.registry, version, Refusal(at=now, reason=reason[:500]))

    def _check_features(self, version: Version) -> None:
        for tag, fingerprint in sorted(version.tags.items()):
            name = tag.removeprefix(FEATURE_TAG)
            if tag.startswith(FEATURE_TAG) and not self.table.means(name, fingerprint):
                known = "means something else now" if name in self.table.features else "is not known here"
                raise BrokenArtifact(f"{version.name} {version.version} was trained on {name!r}, which {known}")


def warm(key: Key, model: Model, recent: Sequence[Asked]) -> None:
    """Ask what customers asked of late, so that no customer waits for cold memory, nor meets what a model fails on."""
    champion = Champion(key.name, key.version, model, Columns(model.items, None))
    for asked in recent:
        decide(State(champion=champion), asked)
    some = np.arange(min(3, len(model.items)), dtype=np.int32)
    found, scores = model.recommend_one(History(some, np.ones(len(some), dtype=np.float32)), 10)
    if not np.isfinite(scores[found >= 0]).all():
        raise BrokenArtifact(f"{key.name} {key.version} scores items with what is no number")
    model.because(History(some, np.ones(len(some), dtype=np.float32)), found[found >= 0])


def warm_ranker(key: Key, ranker: Ranker) -> None:
    """Ask it as requests do: one that was fitted with other columns would fail on every one of them.

    Raises:  BadInput: it was; BrokenArtifact: its scores are no numbers.
    """
    unknown = np.full((3, len(NAMES)), np.nan, dtype=np.float32)
    if not np.isfinite(ranker.score(unknown, NAMES)).all():
        raise BrokenArtifact(f"{key.name} {key.version} scores items with what is no number")
