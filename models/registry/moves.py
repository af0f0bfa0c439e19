"""Moves of the aliases champion, canary and shadow: one at a time, only from where they were, never without a trail.

MLflow moves an alias unconditionally. What makes compare-and-set of it is an empty model `kindred.moving.NAME`: its
creation is the one call that MLflow answers to one of two callers only. Whoever made it moves, and takes it away.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from features.errors import BadInput, Overtaken
from models.registry.client import Registry
from models.registry.records import (
    CANARY,
    CANARY_TAG,
    CHALLENGER,
    CHAMPION,
    RECORD_TAG,
    SHADOW,
    SHADOW_TAG,
    Record,
    Standing,
    Trial,
    Version,
)
from models.registry.trail import Entry, record

STALE_MS = 60_000  # a lock this old was left by a process that died


def crown(
    registry: Registry,
    version: Version,
    expected: str,
    entry: Entry,
    gated: bool = True,
    watch_ms: int = 0,
    told: Callable[[], None] = lambda: None,
) -> None:
    """Make a version champion if `expected` ("" for none) is champion still.

    The trail is written first and the record second, so that no service ever takes the move for one made by hand.

    Args:    watch_ms: how long services watch it; told: called as soon as the alias has moved, for services to look at
             once.
    Raises:  Overtaken: another version is champion by now, or somebody else is moving it.
    """
    with _alone(registry, version.name, entry) as standing:
        _compare(standing, CHAMPION, expected)
        record(registry, version, entry)
        made = _record(version, entry, expected, gated, watch_ms)
        registry.tag_model(version.name, RECORD_TAG, msgspec.json.encode(made).decode())
        registry.set_alias(version.name, CHAMPION, version.version)
        told()
        for alias in (CHALLENGER, CANARY, SHADOW):
            if standing.aliases.get(alias) == version.version:
                registry.remove_alias(version.name, alias)
        found = registry.champion(version.name)
        if found is None or found.version != version.version:
            now = "nobody" if found is None else f"version {found.version}"
            raise Overtaken(f"{now} is champion of {version.name}: another program moved the alias at the same moment")


def accept(registry: Registry, version: Version, entry: Entry, watch_ms: int = 0) -> None:
    """Write down that a champion which somebody set by hand stays; watch_ms: as crown().

    Raises:  Overtaken: it isn't champion any more.
    """
    with _alone(registry, version.name, entry) as standing:
        _compare(standing, CHAMPION, version.version)
        record(registry, version, entry)
        made = _record(version, entry, entry.previous, gated=False, watch_ms=watch_ms)
        registry.tag_model(version.name, RECORD_TAG, msgspec.json.encode(made).decode())


def begin_canary(registry: Registry, version: Version, entry: Entry) -> None:
    """Give a version the share of the customers that the entry says.

    Raises:  BadInput: it is the champion; Overtaken: somebody else is moving an alias of the model.
    """
    with _alone(registry, version.name, entry) as standing:
        _not_champion(standing, version, CANARY)
        record(registry, version, entry)
        trial = Trial(version=version.version, share=entry.share, at=entry.at)
        registry.tag_model(version.name, CANARY_TAG, msgspec.json.encode(trial).decode())
        registry.set_alias(version.name, CANARY, version.version)


def begin_shadow(registry: Registry, version: Version, entry: Entry) -> None:
    """Let a version score after the answer what the champion answers.

    Raises:  as begin_canary().
    """
    with _alone(registry, version.name, entry) as standing:
        _not_champion(standing, version, SHADOW)
        record(registry, version, entry)
        trial = Trial(version=version.version, share=0.0, at=entry.at)
        registry.tag_model(version.name, SHADOW_TAG, msgspec.json.encode(trial).decode())
        registry.set_alias(version.name, SHADOW, version.version)


def end(registry: Registry, alias: str, version: Version, entry: Entry) -> None:
    """Take the alias canary or shadow away from a version.

    Raises:  Overtaken: it hasn't it any more.
    """
    with _alone(registry, version.name, entry) as standing:
        _compare(standing, alias, version.version)
        record(registry, version, entry)
        registry.remove_alias(version.name, alias)
        registry.untag_model(version.name, CANARY_TAG if alias == CANARY else SHADOW_TAG)


def _record(version: Version, entry: Entry, previous: str, gated: bool, watch_ms: int) -> Record:
    until = entry.at + watch_ms if watch_ms and previous else 0
    return Record(version=version.version, previous=previous, gated=gated, at=entry.at, until=until)


@contextmanager
def _alone(registry: Registry, name: str, entry: Entry) -> Iterator[Standing]:
    """The model as it stands while nobody else moves an alias of it."""
    lock = f"kindred.moving.{name}"
    _lock(registry, lock, name, entry)
    try:
        standing = registry.standing(name)
        if standing is None:
            raise BadInput(f"there is no model {name!r} in the registry", "model")
        yield standing
    finally:
        registry.delete_model(lock)


def _lock(registry: Registry, lock: str, name: str, entry: Entry) -> None:
    if registry.create_model(lock, entry.who):
        return
    held = registry.describe_model(lock)
    if held is not None and entry.at - held[1] >= STALE_MS:
        registry.delete_model(lock)
        if registry.create_model(lock, entry.who):
            return
    by = "somebody" if held is None else held[0]
    raise Overtaken(f"{by} is moving an alias of {name} at this moment: see `kindred models`, then decide again")


def _compare(standing: Standing, alias: str, expected: str) -> None:
    found = standing.aliases.get(alias, "")
    if found != expected:
        now, before = (f"version {each}" if each else "nobody" for each in (found, expected))
        raise Overtaken(
            f"{alias} of {standing.name} is {now} by now; it was {before} when this was decided: look again"
        )


def _not_champion(standing: Standing, version: Version, alias: str) -> None:
    champion = standing.aliases.get(CHAMPION)
    if champion is None:
        raise BadInput(f"{version.name} has no champion that a {alias} could stand beside: promote one first", "model")
    if champion == version.version:
        raise BadInput(f"{version.name} version {version.version} is champion, it can't be {alias} too", "version")
