"""Who is champion: a version that passes the gates becomes it, the one before comes back; both leave a trail."""

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from features.errors import BadInput
from models.registry import CHAMPION, Registry, Version
from models.registry.moves import crown
from models.registry.trail import Entry, Gate, Refusal, refusals, trail
from pipelines import gates
from pipelines.parity import Parity

MOVES = ("promote", "rollback", "automatic rollback", "accept ungated")  # what makes a version champion


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A version as `kindred models` shows it; `created` is ms UTC, `trail` and `refusals` oldest first.

    `share` is of the customers, 0 where it isn't a canary; `ungated` is a champion that was set by hand.
    """

    name: str
    version: str
    aliases: tuple[str, ...]
    created: int
    metrics: dict[str, float]
    commit: str
    trail: tuple[Entry, ...]
    refusals: tuple[Refusal, ...] = ()
    share: float = 0.0
    ungated: bool = False


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """What promote() did: whether the alias moved, from which version ("" for none), and every gate."""

    name: str
    version: str
    previous: str
    promoted: bool
    gates: tuple[Gate, ...]


def promote(
    registry: Registry,
    name: str,
    version: str,
    force: bool,
    who: str,
    now: int,
    cache: Path,
    why: str = "",
    parity: Parity | None = None,
    watch_ms: int = 0,
    told: Callable[[], None] = lambda: None,
) -> Promotion:
    """Move `champion` to the version if every gate passes, or if forced, which the trail then says.

    Args:    who, why: for the trail; now: ms UTC; cache: where files are fetched to, the same folder that serving uses;
             parity: what was found of the live state, None where there is none; watch_ms, told: as crown().
    Raises:  BadInput: there is no such version; BrokenArtifact: its files are damaged, which no force overrides;
             Overtaken: somebody else moved the alias meanwhile.
    """
    candidate, champion = registry.get(name, version), measured_champion(registry, name)
    found = gates.of_version(registry, candidate, champion, cache, parity, force)
    previous = "" if champion is None else champion.version
    promoted = force or not gates.stopping(found)
    if promoted and previous != candidate.version:
        entry = Entry(
            at=now,
            action="promote",
            who=who,
            previous=previous,
            forced=force,
            gates=found,
            why=why,
            origin=",".join(candidate.aliases),
        )
        crown(registry, candidate, previous, entry, watch_ms=watch_ms, told=told)
    return Promotion(name=name, version=version, previous=previous, promoted=promoted, gates=found)


def rollback(
    registry: Registry, name: str, who: str, now: int, why: str = "", told: Callable[[], None] = lambda: None
) -> Version:
    """Make the champion before this one champion again.

    Raises:  BadInput: there is no champion, or none before it; Overtaken: somebody else moved the alias meanwhile.
    """
    champion = registry.champion(name)
    if champion is None:
        raise BadInput(f"{name} has no champion to roll back from", "model")
    previous = before(registry, champion)
    if not previous:
        raise BadInput(f"{name} had no champion before version {champion.version}", "model")
    restored = registry.get(name, previous)
    origin = ",".join(restored.aliases)
    entry = Entry(at=now, action="rollback", who=who, previous=champion.version, why=why, origin=origin)
    crown(registry, restored, champion.version, entry, told=told)
    return restored


def before(registry: Registry, champion: Version) -> str:
    """The version that was champion before; of one that was set by hand the last that Kindred knows of; "" for none."""
    standing = registry.standing(champion.name)
    record = None if standing is None else standing.record
    if record is not None and champion.version not in {record.version, record.previous}:
        return record.version
    became = [entry for entry in trail(champion) if entry.action in {"promote", "accept ungated"}]
    return became[-1].previous if became else ""


def measured_champion(registry: Registry, name: str) -> Version | None:
    """The champion with its metrics."""
    champion = registry.champion(name)
    return None if champion is None else registry.get(name, champion.version)


def listing(registry: Registry, names: Iterable[str]) -> list[Listed]:
    """Every version of the models, by name, newest first.

    Raises:  BadInput: an entry of the trail was edited by hand and can't be read.
    """
    wanted = list(names)
    standings = registry.standings(wanted)
    found = []
    for name in wanted:
        standing = standings.get(name)
        trial, record = (None, None) if standing is None else (standing.trial, standing.record)
        for each in registry.versions(name):
            known = trail(each)
            found.append(
                Listed(
                    name=name,
                    version=each.version,
                    aliases=each.aliases,
                    created=each.created,
                    metrics=each.metrics,
                    commit=each.tags.get("kindred.commit", ""),
                    trail=known,
                    refusals=refusals(each),
                    share=trial.share if trial is not None and trial.version == each.version else 0.0,
                    ungated=CHAMPION in each.aliases
                    and not (any(e.action in MOVES for e in known) and (record is None or record.gated)),
                )
            )
    return found
