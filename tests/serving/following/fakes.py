"""A registry and a catalogue in memory, and how to ask a follower what it serves."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from features.errors import Unavailable
from features.items import Item
from models.registry import CANARY, CHAMPION, Record, Standing, Trial, Version
from serving.decide.limits import NONE
from serving.following import Follower


class Models:
    """Aliases and tags by model; versions in `broken` can't be fetched, `away` is no answer at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.aliases: dict[str, dict[str, str]] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.of_versions: dict[str, dict[str, str]] = {}
        self.broken: dict[str, Exception] = {}
        self.away = False
        self.fetched: list[str] = []

    def crown(self, name: str, version: str) -> None:
        """As Kindred does: a record, then the alias."""
        before = self.aliases.get(name, {}).get(CHAMPION, "")
        record = Record(version=version, previous=before)
        self.tags.setdefault(name, {})["kindred.champion"] = msgspec.json.encode(record).decode()
        self.by_hand(name, CHAMPION, version)

    def try_out(self, name: str, version: str, share: float) -> None:
        """A canary, as Kindred makes one."""
        trial = Trial(version=version, share=share, at=5)
        self.tags.setdefault(name, {})["kindred.canary"] = msgspec.json.encode(trial).decode()
        self.by_hand(name, CANARY, version)

    def by_hand(self, name: str, alias: str, version: str) -> None:
        """As somebody does in MLflow's own page."""
        self.aliases.setdefault(name, {})[alias] = version

    def standings(self, names: Iterable[str]) -> dict[str, Standing]:
        if self.away:
            raise Unavailable("no registry")
        known = [name for name in names if name in self.aliases]
        return {name: Standing(name, dict(self.aliases[name]), dict(self.tags.get(name, {}))) for name in known}

    def version(self, name: str, version: str) -> Version | None:
        tags = {"kindred.manifest_sha256": "0" * 64, **self.of_versions.get(version, {})}
        return Version(name, version, "run", "source", 0, tags)

    def set_tag(self, _name: str, version: str, key: str, value: str) -> None:
        self.of_versions.setdefault(version, {})[key] = value

    def download(self, version: Version, cache: Path) -> Path:
        cache.mkdir(exist_ok=True)
        self.fetched.append(version.version)
        if version.version in self.broken:
            raise self.broken[version.version]
        return self.folder

    def close(self) -> None:
        """Nothing to let go."""


class Shop:
    """The catalogue's reader and its own subscription; an unread message is an item_id."""

    def __init__(self, **items: Item) -> None:
        self.items = items
        self.told: list[str] = []

    async def all(self) -> dict[str, Item]:
        return dict(self.items)

    async def some(self, item_ids: list[str]) -> dict[str, Item | None]:
        return {item_id: self.items.get(item_id) for item_id in item_ids}

    async def get_message(self, **_timeout: float) -> dict[str, bytes] | None:
        await asyncio.sleep(0)
        return {"data": self.told.pop(0).encode()} if self.told else None


def run(*steps: Any) -> None:
    """Each step in turn, in one loop."""

    async def all_of_them() -> None:
        for step in steps:
            await step()

    asyncio.run(all_of_them())


def version(follower: Follower) -> str:
    """The version that is served; empty for none."""
    return follower.state.champion.version if follower.state.champion else ""


def available(follower: Follower) -> int:
    """How many of the champion's items may be shown."""
    assert follower.state.champion is not None
    return int(follower.state.champion.columns.allowed(NONE, ()).sum())
