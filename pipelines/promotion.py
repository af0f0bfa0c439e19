"""Who is champion: the gates that a version must pass, the move of the alias, and the trail that it leaves in tags."""

import math
from collections.abc import Iterable
from pathlib import Path

import msgspec

from features.errors import BadInput, BrokenArtifact
from models import facts_of
from models.registry import CHALLENGER, CHAMPION, Registry, Version

QUALITY = {"churn": "auc", "clusters": "silhouette", "lookalike": "auc"}  # of a model of items ndcg_at_10
RECALL = "index_recall_at_20"
LEAST_RECALL = 0.95
TRAIL = "kindred.audit."
NEEDED = ("ndcg_at_10", "recall_at_10", "coverage_at_10")  # of a model of items


class Gate(msgspec.Struct, frozen=True):
    """One condition of a promotion, as asked and as found."""

    gate: str
    value: str
    bound: str
    passed: bool


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit trail, kept as a tag of the version that became champion; `at` is ms UTC."""

    at: int
    action: str
    who: str
    previous: str
    forced: bool
    gates: tuple[Gate, ...] = ()


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A version as `kindred models` shows it; `created` is ms UTC, `trail` oldest first."""

    name: str
    version: str
    aliases: tuple[str, ...]
    created: int
    metrics: dict[str, float]
    commit: str
    trail: tuple[Entry, ...]


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """What promote() did: whether the alias moved, from which version ("" for none), and every gate."""

    name: str
    version: str
    previous: str
    promoted: bool
    gates: tuple[Gate, ...]


def promote(registry: Registry, name: str, version: str, force: bool, who: str, now: int, cache: Path) -> Promotion:
    """Move `champion` to the version if every gate passes, or if forced, which the trail then says.

    Args:    who: for the trail; now: ms UTC; cache: where files are fetched to, the same folder that serving uses.
    Raises:  BadInput: there is no such version; BrokenArtifact: its files are damaged, which no force overrides.
    """
    candidate = registry.get(name, version)
    champion = registry.champion(name)
    gates = (*_quality(registry, candidate, champion), *_of_files(registry, candidate, cache, force))
    previous = "" if champion is None else champion.version
    promoted = force or all(gate.passed for gate in gates)
    if promoted and previous != candidate.version:
        entry = Entry(at=now, action="promote", who=who, previous=previous, forced=force, gates=gates)
        _move(registry, candidate, entry)
    return Promotion(name=name, version=version, previous=previous, promoted=promoted, gates=gates)


def rollback(registry: Registry, name: str, who: str, now: int) -> Version:
    """Make the champion before this one champion again.

    Raises:  BadInput: there is no champion, or none before it.
    """
    champion = registry.champion(name)
    if champion is None:
        raise BadInput(f"{name} has no champion to roll back from", "model")
    promotions = [entry for entry in trail(champion) if entry.action == "promote"]
    previous = promotions[-1].previous if promotions else ""
    if not previous:
        raise BadInput(f"{name} had no champion before version {champion.version}", "model")
    restored = registry.get(name, previous)
    _move(registry, restored, Entry(at=now, action="rollback", who=who, previous=champion.version, forced=False))
    return restored


def listing(registry: Registry, names: Iterable[str]) -> list[Listed]:
    """Every version of the models, by name, newest first.

    Raises:  BadInput: an entry of the trail was edited by hand and can't be read.
    """
    return [
        Listed(
            name=name,
            version=each.version,
            aliases=each.aliases,
            created=each.created,
            metrics=each.metrics,
            commit=each.tags.get("kindred.commit", ""),
            trail=trail(each),
        )
        for name in names
        for each in registry.versions(name)
    ]


def trail(version: Version) -> tuple[Entry, ...]:
    """What happened to a version, oldest first."""
    entries = []
    for key, value in version.tags.items():
        if key.startswith(TRAIL):
            try:
                entries.append(msgspec.json.decode(value, type=Entry))
            except msgspec.MsgspecError as error:
                raise BadInput(f"tag {key} of {version.name} {version.version} is damaged: {error}", key) from error
    return tuple(sorted(entries, key=lambda entry: entry.at))


def _quality(registry: Registry, candidate: Version, champion: Version | None) -> list[Gate]:
    quality = QUALITY.get(candidate.name, NEEDED[0])
    needed = (quality,) if candidate.name in QUALITY else NEEDED
    gates = [_present(candidate, metric) for metric in needed]
    found = candidate.metrics.get(quality, math.nan)
    least = -math.inf
    if champion is not None:
        least = registry.get(champion.name, champion.version).metrics.get(quality, -math.inf)
    bound = "no champion yet" if least == -math.inf else f">= {least:.4g} of the champion"
    gates.append(Gate(f"{quality} not below the champion's", _shown(found), bound, found >= least))
    return gates


def _present(candidate: Version, metric: str) -> Gate:
    value = candidate.metrics.get(metric, math.nan)
    return Gate(f"{metric} is there", _shown(value), "from 0 to 1", 0 <= value <= 1)


def _of_files(registry: Registry, candidate: Version, cache: Path, force: bool) -> list[Gate]:
    """Damaged files would stop the service from following: so a forced promotion of them raises."""
    bound = "as registered, and it loads"
    try:
        facts = facts_of(registry.download(candidate, cache))
    except BrokenArtifact as error:
        if force:
            raise
        return [Gate("integrity of the files", str(error), bound, False)]
    gates = [Gate("integrity of the files", "as registered", bound, True)]
    if RECALL in facts:
        gates.append(_at_least("recall of the index", facts[RECALL], LEAST_RECALL))
    return gates


def _at_least(gate: str, value: float, bound: float) -> Gate:
    return Gate(gate, _shown(value), f">= {bound:g}", value >= bound)


def _move(registry: Registry, version: Version, entry: Entry) -> None:
    """The trail first: a champion without an entry would look like one that was set by hand."""
    registry.set_tag(version.name, version.version, f"{TRAIL}{entry.at:013d}", msgspec.json.encode(entry).decode())
    registry.set_alias(version.name, CHAMPION, version.version)
    challenger = registry.alias(version.name, CHALLENGER)
    if challenger is not None and challenger.version == version.version:
        registry.remove_alias(version.name, CHALLENGER)


def _shown(value: float) -> str:
    return "missing" if math.isnan(value) else f"{value:.4g}"
