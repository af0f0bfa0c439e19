"""What the registry holds about models: versions, aliases and tags, and the names of those that Kindred keeps there."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

CHAMPION = "champion"
CHALLENGER = "challenger"
CANARY = "canary"
SHADOW = "shadow"
MANIFEST_TAG = "kindred.manifest_sha256"
FEATURE_TAG = "kindred.feature."  # of a version: the fingerprint of each feature that it was trained on
REFUSED_TAG = "kindred.refused."  # of a version: why a service would not serve it, by ms UTC
RECORD_TAG = "kindred.champion"  # of a model: a Record
CANARY_TAG = "kindred.canary"  # of a model: a Trial
SHADOW_TAG = "kindred.shadow"  # of a model: a Trial
SHARE = 0.05  # of a canary that was set by hand, by its alias alone


T = TypeVar("T", bound=msgspec.Struct)


@dataclass(frozen=True)
class Version:
    """One registered version; `created` is ms UTC, `metrics` is filled by versions() and get() alone."""

    name: str
    version: str
    run_id: str
    source: str
    created: int
    tags: dict[str, str]
    aliases: tuple[str, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Who became champion through Kindred last, and after whom; `gated` where gates passed or were overridden.

    It is written just before the alias moves, so an alias on either of the two versions is one that Kindred set.
    `until` (ms UTC) services watch it, to put `previous` back where it does worse; 0 watches nothing.
    """

    version: str
    previous: str = ""
    gated: bool = True
    at: int = 0
    until: int = 0


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A canary or a shadow: the version, its share of the customers from 0 to 1, and since when, ms UTC.

    `at` is 0 where only the alias was set.
    """

    version: str
    share: float
    at: int = 0


@dataclass(frozen=True)
class Standing:
    """A registered model as it stands: version by alias, and the model's own tags."""

    name: str
    aliases: Mapping[str, str]
    tags: Mapping[str, str]

    @property
    def record(self) -> Record | None:
        """Who became champion through Kindred last; None where nobody did, or the tag was edited to something odd."""
        return _read(self.tags.get(RECORD_TAG), Record)

    @property
    def trial(self) -> Trial | None:
        """The canary that the alias names; with SHARE where only the alias was set."""
        version = self.aliases.get(CANARY)
        if version is None:
            return None
        written = _read(self.tags.get(CANARY_TAG), Trial)
        if written is None or written.version != version or not _is_share(written.share):
            return Trial(version=version, share=SHARE)
        return written

    @property
    def shadow(self) -> Trial | None:
        """The shadow that the alias names."""
        version = self.aliases.get(SHADOW)
        written = _read(self.tags.get(SHADOW_TAG), Trial)
        if version is None or (written is not None and written.version == version):
            return None if version is None else written
        return Trial(version=version, share=0.0)


def version_of(answer: Mapping[str, Any]) -> Version:
    """A version from MLflow's JSON."""
    return Version(
        name=answer["name"],
        version=str(answer["version"]),
        run_id=answer.get("run_id", ""),
        source=answer.get("source", ""),
        created=int(answer["creation_timestamp"]),
        tags=tags_of(answer),
        aliases=tuple(sorted(answer.get("aliases", []))),
    )


def standing_of(answer: Mapping[str, Any]) -> Standing:
    """A registered model from MLflow's JSON."""
    aliases = {entry["alias"]: str(entry["version"]) for entry in answer.get("aliases", [])}
    return Standing(answer["name"], aliases, tags_of(answer))


def tags_of(answer: Mapping[str, Any]) -> dict[str, str]:
    """Tags from MLflow's JSON; one without a value has an empty one."""
    return {tag["key"]: tag.get("value", "") for tag in answer.get("tags", [])}


def _is_share(share: float) -> bool:
    return math.isfinite(share) and 0 < share <= 1


def _read(raw: str | None, kind: type[T]) -> T | None:
    """A tag as what Kindred wrote; anybody may edit tags, and an odd one counts as none."""
    try:
        return None if raw is None else msgspec.json.decode(raw, type=kind)
    except msgspec.MsgspecError:
        return None
