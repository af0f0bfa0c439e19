"""What is tried before it is promoted: a canary on a share of the customers, a shadow on answers already given."""

from pathlib import Path

import msgspec

from features.errors import BadInput
from models.registry import CANARY, SHADOW, Registry, Version
from models.registry.moves import begin_canary, begin_shadow, end
from models.registry.trail import Action, Entry, Gate
from pipelines import gates
from pipelines.promotion import measured_champion


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What canary() or shadow() did: whether the version has the alias now, its share, and every gate."""

    name: str
    version: str
    champion: str
    begun: bool
    share: float
    gates: tuple[Gate, ...]


def canary(
    registry: Registry, name: str, version: str, share: float, who: str, now: int, cache: Path, why: str = ""
) -> Tried:
    """Serve a version to a share of the customers, if its files, features, index and speed are well.

    Its quality is told and stops nothing: to find that out is what a canary is for.

    Raises:  BadInput: there is no such version, or no champion; Overtaken: somebody else moves an alias of the model.
    """
    return _try(registry, name, version, CANARY, share, who, now, cache, why)


def shadow(registry: Registry, name: str, version: str, who: str, now: int, cache: Path, why: str = "") -> Tried:
    """Let a version score a sample of what was answered, seen by nobody, if its files and features are well.

    Raises:  as canary().
    """
    return _try(registry, name, version, SHADOW, 0.0, who, now, cache, why)


def end_trial(registry: Registry, name: str, alias: str, who: str, now: int, why: str = "") -> Version:
    """End a canary or a shadow; the version that was tried.

    Raises:  BadInput: there is none; Overtaken: somebody else moved the alias meanwhile.
    """
    tried = registry.alias(name, alias)
    if tried is None:
        raise BadInput(f"{name} has no {alias}", "model")
    champion = registry.champion(name)
    action: Action = "end canary" if alias == CANARY else "end shadow"
    previous = "" if champion is None else champion.version
    end(registry, alias, tried, Entry(at=now, action=action, who=who, previous=previous, why=why))
    return tried


def _try(
    registry: Registry, name: str, version: str, alias: str, share: float, who: str, now: int, cache: Path, why: str
) -> Tried:
    candidate, champion = registry.get(name, version), measured_champion(registry, name)
    found = tuple(
        msgspec.structs.replace(gate, binding=gate.binding and gate.gate in gates.OF_FILES)
        for gate in gates.of_version(registry, candidate, champion, cache, None, force=False)
    )
    previous, begun = "" if champion is None else champion.version, not gates.stopping(found)
    if begun:
        action: Action = "canary" if alias == CANARY else "shadow"
        origin = ",".join(candidate.aliases)
        entry = Entry(
            at=now, action=action, who=who, previous=previous, gates=found, why=why, origin=origin, share=share
        )
        (begin_canary if alias == CANARY else begin_shadow)(registry, candidate, entry)
    return Tried(name=name, version=version, champion=previous, begun=begun, share=share, gates=found)
