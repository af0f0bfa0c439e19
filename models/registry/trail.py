"""The audit trail: what was done to a version, by whom, when, why, on which evidence; kept as tags of the version."""

from typing import Literal

import msgspec

from features.errors import BadInput
from models.registry.client import Registry
from models.registry.records import REFUSED_TAG, Version

TRAIL = "kindred.audit."

Action = Literal[
    "promote", "rollback", "canary", "end canary", "shadow", "end shadow", "automatic rollback", "accept ungated"
]


class Gate(msgspec.Struct, frozen=True):
    """One condition as asked and as found: of a promotion, or of a canary that is watched.

    What is not `binding` is told, and stops nothing.
    """

    gate: str
    value: str
    bound: str
    passed: bool
    binding: bool = True


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the trail; `at` is ms UTC, `gates` the evidence, `origin` the aliases that the version had before.

    `previous` is the champion that it was done against, empty for none; `share` is of a canary.
    """

    at: int
    action: Action
    who: str
    previous: str
    forced: bool = False
    gates: tuple[Gate, ...] = ()
    why: str = ""
    origin: str = ""
    share: float = 0.0


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A version that a service would not serve, since when (ms UTC) and why."""

    at: int
    reason: str


def record(registry: Registry, version: Version, entry: Entry) -> None:
    """Add a line to the trail of a version."""
    registry.set_tag(version.name, version.version, f"{TRAIL}{entry.at:013d}", msgspec.json.encode(entry).decode())


def trail(version: Version) -> tuple[Entry, ...]:
    """What happened to a version, oldest first.

    Raises:  BadInput: a line was edited by hand and can't be read.
    """
    entries = []
    for key, value in version.tags.items():
        if key.startswith(TRAIL):
            try:
                entries.append(msgspec.json.decode(value, type=Entry))
            except msgspec.MsgspecError as error:
                raise BadInput(f"tag {key} of {version.name} {version.version} is damaged: {error}", key) from error
    return tuple(sorted(entries, key=lambda entry: entry.at))


def refuse(registry: Registry, version: Version, refusal: Refusal) -> None:
    """Write down why a version isn't served; once for each reason."""
    if all(known.reason != refusal.reason for known in refusals(version)):
        registry.set_tag(version.name, version.version, f"{REFUSED_TAG}{refusal.at:013d}", refusal.reason)


def refusals(version: Version) -> tuple[Refusal, ...]:
    """Why services would not serve a version, oldest first."""
    found = [
        Refusal(at=int(key.removeprefix(REFUSED_TAG)), reason=value)
        for key, value in version.tags.items()
        if key.startswith(REFUSED_TAG) and key.removeprefix(REFUSED_TAG).isdecimal()
    ]
    return tuple(sorted(found, key=lambda each: each.at))
