"""The State follows registry, catalogue and trends; whatever is away leaves it as it was."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from scipy.sparse import csr_matrix

from features.errors import BrokenArtifact, Unavailable
from features.items import Item
from features.settings import Settings
from models import create
from models.interactions import IdMap, Interactions
from models.registry import Version
from serving import following
from serving.decide.columns import Columns
from serving.decide.limits import NONE
from serving.decide.trends import EVERYBODY
from serving.following import Follower
from tests.serving.decide.fake import shop
from tests.tastes import checkerboard


class Models:
    """A registry with a champion a model; versions named in `broken` can't be fetched, `away` is no answer at all."""

    def __init__(self, folder: Path, **champions: str) -> None:
        self.folder = folder
        self.champions = champions
        self.broken: dict[str, Exception] = {}
        self.away = False
        self.fetched: list[str] = []

    def champion(self, name: str) -> Version | None:
        if self.away:
            raise Unavailable("no registry")
        version = self.champions.get(name)
        return None if version is None else Version(name, version, "run", "source", 0, {})

    def download(self, version: Version, _cache: Path) -> Path:
        self.fetched.append(version.version)
        if version.version in self.broken:
            raise self.broken[version.version]
        return self.folder

    def close(self) -> None:
        """Nothing to let go."""


class Catalogue:
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


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The files of a trending model over i000 to i009."""
    folder = tmp_path / "model"
    folder.mkdir()
    create("trending").fit(checkerboard()).save(folder)
    return folder


@pytest.fixture
def follower(tmp_path: Path, saved: Path) -> Iterator[Follower]:
    """One that has not started, with a registry and a catalogue in memory."""
    settings = Settings(tmp_path, redis="redis://127.0.0.1:1", mlflow="http://127.0.0.1:1")
    made = Follower(settings)
    made.registry.close()
    made.registry = Models(saved, trending="1")  # type: ignore[assignment]
    made._reader = Catalogue(**shop(*(f"i{number:03d}" for number in range(10))))  # type: ignore[assignment]
    yield made
    made._redis.close()


def models(follower: Follower) -> Models:
    """The registry in memory."""
    assert isinstance(follower.registry, Models)
    return follower.registry


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


@pytest.mark.parametrize("order", [("catalogue", "registry"), ("registry", "catalogue")])
def test_the_champion_has_the_columns_of_the_catalogue(follower: Follower, order: tuple[str, str]) -> None:
    run(*(getattr(follower, f"read_{name}") for name in order))
    assert version(follower) == "1"
    assert available(follower) == 10
    assert not follower.pending


def test_a_version_is_fetched_once_and_a_new_one_replaces_it(follower: Follower) -> None:
    run(follower.read_registry, follower.read_registry)
    models(follower).champions["trending"] = "2"
    run(follower.read_registry)
    assert models(follower).fetched == ["1", "2"]
    assert version(follower) == "2"


def test_the_first_model_with_a_champion_is_served(follower: Follower) -> None:
    models(follower).champions["als"] = "9"
    run(follower.read_registry)
    assert follower.state.champion is not None
    assert follower.state.champion.name == "als"


@pytest.mark.parametrize("wrong", [BrokenArtifact("changed"), ValueError("odd"), RuntimeError("faiss")])
def test_a_version_that_cannot_be_loaded_is_refused_once_and_the_old_one_goes_on(
    follower: Follower, wrong: Exception
) -> None:
    run(follower.read_registry)
    models(follower).champions["trending"] = "2"
    models(follower).broken["2"] = wrong
    run(follower.read_registry, follower.read_registry)
    assert version(follower) == "1"
    assert models(follower).fetched == ["1", "2"]
    assert not follower.pending
    models(follower).champions["trending"] = "3"
    run(follower.read_registry)
    assert version(follower) == "3"


def test_a_version_whose_files_do_not_come_is_tried_again(follower: Follower) -> None:
    models(follower).broken["1"] = Unavailable("no files")
    with pytest.raises(Unavailable):
        run(follower.read_registry)
    assert follower.pending
    models(follower).broken.clear()
    run(follower.read_registry)
    assert version(follower) == "1"
    assert not follower.pending


def test_without_a_champion_or_a_registry_nothing_is_pending(follower: Follower) -> None:
    models(follower).champions.clear()
    run(follower.read_registry)
    assert not follower.pending
    models(follower).away = True
    with pytest.raises(Unavailable):
        run(follower.read_registry)
    assert not follower.pending


def test_a_model_of_one_item_can_be_warmed_up(follower: Follower, saved: Path) -> None:
    one = Interactions.of(IdMap(("u",)), IdMap(("i",)), csr_matrix(np.ones((1, 1), dtype=np.float32)))
    create("als").fit(one).save(saved)
    run(follower.read_registry)
    assert version(follower) == "1"


def changes(follower: Follower, *told: str) -> None:
    """Take the changes that the channel tells of."""

    async def take() -> None:
        reader: Any = follower._reader
        reader.told = list(told)
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(follower._changes(reader, loop.time() + 60))
        while reader.told:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()

    asyncio.run(take())


def test_a_change_of_the_catalogue_is_taken_in(follower: Follower) -> None:
    run(follower.read_catalogue, follower.read_registry)
    reader: Any = follower._reader
    reader.items["i001"] = Item(item_id="i001", in_stock=False)
    del reader.items["i002"]
    reader.items["new"] = Item(item_id="new", title="New")
    changes(follower, "i001", "i002", "new", "i001")
    assert available(follower) == 8
    known: Mapping[str, Item] = follower.state.catalogue or {}
    assert "i002" not in known
    assert known["new"].title == "New"


def test_no_change_is_lost_when_thousands_come_at_once(follower: Follower) -> None:
    run(follower.read_catalogue)
    reader: Any = follower._reader
    new = [f"n{number:04d}" for number in range(2_500)]
    reader.items |= shop(*new)
    changes(follower, *new)
    assert set(new) <= set(follower.state.catalogue or {})


def test_a_change_while_a_champion_is_put_in_place_is_not_lost(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(follower.read_catalogue)
    building, told = threading.Event(), threading.Event()

    def build(*args: Any) -> Columns:
        made = Columns(*args)
        building.set()
        assert told.wait(10)
        return made

    async def both() -> None:
        loading = asyncio.create_task(follower.read_registry())
        assert await asyncio.to_thread(building.wait, 10)
        reader: Any = follower._reader
        reader.items["i001"] = Item(item_id="i001", in_stock=False)
        reader.told = ["i001"]
        following_it = asyncio.create_task(follower._changes(reader, asyncio.get_running_loop().time() + 60))
        for _ in range(20):
            await asyncio.sleep(0)
        told.set()
        await loading
        for _ in range(20):
            await asyncio.sleep(0)
        following_it.cancel()

    monkeypatch.setattr(following, "Columns", build)
    asyncio.run(both())
    assert available(follower) == 9


def test_trends_are_ordered_by_weight_and_id_without_what_nobody_wants(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        following, "popular", lambda _client, _buckets, _table: {"b": 2, "a": 2, "c": 9, "d": 0, "e": -3}
    )
    monkeypatch.setattr(following, "popular_by_context", lambda *_: {"country:GB": {"a": 1}})
    monkeypatch.setattr(follower.profiles, "follow", lambda: asyncio.sleep(0))
    run(follower.read_trending)
    assert follower.state.trending.lists[EVERYBODY] == (("c", 9.0), ("a", 2.0), ("b", 2.0))
    assert follower.state.trending.lists["country:GB"] == (("a", 1.0),)


def test_it_starts_without_redis_and_without_a_registry(tmp_path: Path) -> None:
    follower = Follower(Settings(tmp_path, redis="redis://127.0.0.1:1", mlflow="http://127.0.0.1:1"))
    run(follower.start, follower.stop)
    assert follower.missing == {"catalogue", "registry", "trending"}
    assert not follower.pending


def test_it_starts_beside_a_registry_that_takes_calls_and_never_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "START_S", 0.05)
    follower = Follower(Settings(tmp_path, redis="redis://127.0.0.1:1", mlflow="http://127.0.0.1:1"))

    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(follower, "read_registry", never)
    run(follower.start, follower.stop)
    assert follower.state.champion is None


@pytest.mark.parametrize("wrong", [redis.ConnectionError("away"), Unavailable("away"), KeyError("odd answer")])
def test_nothing_that_goes_wrong_ends_the_following(follower: Follower, wrong: Exception) -> None:
    outcomes: list[Exception | None] = [wrong, wrong, None]
    said: list[set[str]] = []

    async def step() -> None:
        said.append(set(follower.missing))
        if outcome := outcomes.pop(0):
            raise outcome

    async def keep() -> None:
        follower._tried["registry"] = asyncio.Event()
        task = asyncio.create_task(follower._keep("registry", 0, step))
        while outcomes:
            await asyncio.sleep(0)
        task.cancel()

    asyncio.run(keep())
    assert said == [set(), {"registry"}, {"registry"}]
    assert follower.missing == set()
