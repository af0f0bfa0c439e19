"""The State follows catalogue and trends; whatever is away leaves it as it was."""

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

from features.errors import Unavailable
from features.items import Item
from features.settings import Settings
from features.trends import EVERYBODY
from serving.decide.columns import Columns
from serving.following import Follower, models
from serving.following import follower as follower_module
from tests.serving.decide.fake import shop
from tests.serving.following.fakes import available, run


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
    run(follower.read_catalogue, follower.models.read)
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
        loading = asyncio.create_task(follower.models.read())
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

    monkeypatch.setattr(models, "Columns", build)
    asyncio.run(both())
    assert available(follower) == 9


def test_trends_are_ordered_by_weight_and_id_without_what_nobody_wants(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        follower_module, "popular", lambda _client, _buckets, _table: {"b": 2, "a": 2, "c": 9, "d": 0, "e": -3}
    )
    monkeypatch.setattr(follower_module, "popular_by_context", lambda *_: {"country:GB": {"a": 1}})
    monkeypatch.setattr(follower.profiles, "follow", lambda: asyncio.sleep(0))
    run(follower.read_trending)
    assert follower.state.trending.lists[EVERYBODY] == (("c", 9.0), ("a", 2.0), ("b", 2.0))
    assert follower.state.trending.lists["country:GB"] == (("a", 1.0),)


def test_business_actions_follow_their_file(follower: Follower) -> None:
    path = follower.settings.data / "actions.json"
    path.write_text('[{"action": "pin", "name": "hero", "item_id": "a", "position": 1}]')
    run(follower.read_actions)
    assert [action.name for action in follower.state.actions] == ["hero"]
    path.unlink()
    run(follower.read_actions)
    assert follower.state.actions == ()


def test_it_starts_without_redis_and_without_a_registry(tmp_path: Path) -> None:
    follower = Follower(Settings(tmp_path, redis="redis://127.0.0.1:1", mlflow="http://127.0.0.1:1"))
    run(follower.start, follower.stop)
    assert follower.missing == {"catalogue", "registry", "trending"}
    assert not follower.pending


def test_it_starts_beside_a_registry_that_takes_calls_and_never_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_module, "START_S", 0.05)
    follower = Follower(Settings(tmp_path, redis="redis://127.0.0.1:1", mlflow="http://127.0.0.1:1"))

    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(follower.models, "read", never)
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
