"""How a trial or a promotion ends by itself: the alias goes back, and the trail says on which evidence."""

import logging
from collections.abc import Sequence

from models.registry import CANARY, Registry
from models.registry.moves import accept, crown, end
from models.registry.trail import Entry, Gate
from serving.following.plans import Trialled, Watched
from serving.metrics import ENDED

WHO = "kindred (automatic)"

logger = logging.getLogger("kindred.serving")


def end_canary(registry: Registry, trial: Trialled, gates: tuple[Gate, ...], now: int, watch_ms: int) -> None:
    """Take a canary away, put the last champion back, or accept one whose probation is over.

    Args:    gates: the evidence; now: ms UTC; watch_ms: how long one that is accepted is watched.
    Raises:  Overtaken: somebody else moved the alias meanwhile; Unavailable.
    """
    key, failed = trial.key, [gate for gate in gates if not gate.passed]
    version = registry.version(*key)
    standing = registry.standing(key.name)
    if version is None or standing is None:
        return
    why = _why(failed) or "its probation is over"
    before = "" if standing.record is None else standing.record.version
    entry = Entry(
        at=now,
        action="automatic rollback" if failed else "accept ungated",
        who=WHO,
        previous=key.version if failed and trial.ungated else before,
        gates=gates,
        why=why,
        origin=",".join(version.aliases),
    )
    _say(key.name, key.version, entry)
    if not trial.ungated:
        end(registry, CANARY, version, entry)
    elif not failed:
        accept(registry, version, entry, watch_ms)
    elif (restored := registry.version(key.name, before)) is not None:
        crown(registry, restored, key.version, entry)


def undo(registry: Registry, watched: Watched, gates: tuple[Gate, ...], now: int) -> None:
    """Make the champion before a promotion champion again.

    Raises:  as end_canary().
    """
    restored = registry.version(watched.key.name, watched.previous)
    if restored is None:
        return
    entry = Entry(
        at=now,
        action="automatic rollback",
        who=WHO,
        previous=watched.key.version,
        gates=gates,
        why=_why([gate for gate in gates if not gate.passed]),
        origin=",".join(restored.aliases),
    )
    _say(watched.key.name, watched.key.version, entry)
    crown(registry, restored, watched.key.version, entry)


def _why(failed: Sequence[Gate]) -> str:
    return "; ".join(f"{gate.gate}: {gate.value}" for gate in failed)


def _say(name: str, version: str, entry: Entry) -> None:
    logger.warning("%s version %s: %s, %s", name, version, entry.action, entry.why)
    ENDED.labels(name, entry.action).inc()
