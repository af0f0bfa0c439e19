"""The registry is followed: what it names is loaded and served, what is broken is refused, and all of it is seen."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from features.definitions import FEATURES
from features.errors import BrokenArtifact, Unavailable
from models import create
from models.interactions import IdMap, Interactions
from serving.decide.asked import Asked
from serving.following import Follower, shelf
from tests.serving.following.fakes import Models, available, run, version


@pytest.mark.parametrize("order", [("catalogue", "registry"), ("registry", "catalogue")])
def test_the_champion_has_the_columns_of_the_catalogue(follower: Follower, order: tuple[str, str]) -> None:
    steps = {"catalogue": follower.read_catalogue, "registry": follower.models.read}
    run(*(steps[name] for name in order))
    assert version(follower) == "1"
    assert available(follower) == 10
    assert not follower.pending


def test_a_version_is_fetched_once_and_a_new_one_replaces_it(follower: Follower, registry: Models) -> None:
    run(follower.models.read, follower.models.read)
    registry.crown("trending", "2")
    run(follower.models.read)
    assert registry.fetched == ["1", "2"]
    assert version(follower) == "2"


def test_a_rollback_and_a_promotion_of_what_is_warm_fetch_nothing(follower: Follower, registry: Models) -> None:
    registry.by_hand("trending", "challenger", "2")
    run(follower.models.read)
    assert registry.fetched == ["1", "2"]
    for champion in ("2", "1", "2"):
        registry.crown("trending", champion)
        run(follower.models.look)
        assert version(follower) == champion
    assert registry.fetched == ["1", "2"]


def test_a_fresh_worker_has_the_way_back_in_memory_too(follower: Follower, registry: Models) -> None:
    registry.crown("trending", "2")
    run(follower.models.read)
    assert registry.fetched == ["2", "1"]  # the champion first
    assert [each.version for each in follower.state.spare] == ["1"]


def test_the_first_model_with_a_champion_leads_and_the_others_stand_by(follower: Follower, registry: Models) -> None:
    registry.crown("als", "9")
    run(follower.models.read)
    assert follower.state.champion is not None
    assert follower.state.champion.name == "als"
    assert [each.name for each in follower.state.sources] == ["trending"]


@pytest.mark.parametrize("wrong", [BrokenArtifact("changed"), ValueError("odd"), RuntimeError("faiss")])
def test_a_version_that_cannot_be_loaded_is_refused_once_and_the_old_one_goes_on(
    follower: Follower, registry: Models, wrong: Exception
) -> None:
    run(follower.models.read)
    registry.crown("trending", "2")
    registry.broken["2"] = wrong
    run(follower.models.read, follower.models.read)
    assert version(follower) == "1"
    assert registry.fetched == ["1", "2"]
    assert not follower.pending
    ((key, reason),) = registry.of_versions["2"].items()
    assert key.startswith("kindred.refused.")
    assert reason == str(wrong)
    registry.crown("trending", "3")
    run(follower.models.read)
    assert version(follower) == "3"


def test_a_version_of_which_a_feature_means_something_else_now_is_refused(follower: Follower, registry: Models) -> None:
    run(follower.models.read)
    name = next(iter(FEATURES.features))
    registry.of_versions["2"] = {f"kindred.feature.{name}": FEATURES.fingerprint(name)}
    registry.of_versions["3"] = {f"kindred.feature.{name}": "00000000"}
    registry.of_versions["4"] = {"kindred.feature.gone": "00000000"}
    for champion, served in (("2", "2"), ("3", "2"), ("4", "2")):
        registry.crown("trending", champion)
        run(follower.models.read)
        assert version(follower) == served
    assert "means something else now" in next(iter(follower.models.lineup.refused.values()))


def test_a_model_that_fails_on_what_customers_asked_of_late_is_refused(
    follower: Follower, registry: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(follower.models.read)
    asked: list[Asked] = []

    def decide(_state: Any, question: Asked) -> None:
        asked.append(question)
        raise IndexError("no such row")

    follower.recent.append(Asked(now=0, n=7))
    monkeypatch.setattr(shelf, "decide", decide)
    registry.crown("trending", "2")
    run(follower.models.read)
    assert [question.n for question in asked] == [7]
    assert version(follower) == "1"


def test_a_version_whose_files_do_not_come_is_tried_again(follower: Follower, registry: Models) -> None:
    registry.broken["1"] = Unavailable("no files")
    with pytest.raises(Unavailable):
        run(follower.models.read)
    assert follower.pending
    registry.broken.clear()
    run(follower.models.read)
    assert version(follower) == "1"
    assert not follower.pending


def test_without_a_champion_or_a_registry_nothing_is_pending(follower: Follower, registry: Models) -> None:
    registry.aliases.clear()
    run(follower.models.read)
    assert not follower.pending
    registry.away = True
    with pytest.raises(Unavailable):
        run(follower.models.read)
    assert not follower.pending


def test_an_alias_that_is_taken_away_ends_the_serving_and_comes_back_at_once(
    follower: Follower, registry: Models
) -> None:
    run(follower.models.read)
    aliases = registry.aliases.pop("trending")
    run(follower.models.read)
    assert version(follower) == ""
    assert not follower.pending  # a fresh worker would serve no model either
    registry.aliases["trending"] = aliases
    run(follower.models.look)
    assert version(follower) == "1"
    assert registry.fetched == ["1"]


def test_a_registry_that_is_away_takes_no_champion_away(follower: Follower, registry: Models) -> None:
    run(follower.models.read)
    registry.away = True
    with pytest.raises(Unavailable):
        run(follower.models.read)
    assert version(follower) == "1"


def test_a_champion_set_by_hand_is_tried_on_a_tenth_first(follower: Follower, registry: Models) -> None:
    run(follower.models.read)
    registry.by_hand("trending", "champion", "2")
    run(follower.models.read)
    assert version(follower) == "1"
    assert follower.state.canary is not None
    assert (follower.state.canary.challenger.version, follower.state.canary.share) == ("2", 0.1)


def test_a_canary_and_a_shadow_are_loaded(follower: Follower, registry: Models) -> None:
    registry.try_out("trending", "2", 0.25)
    registry.by_hand("trending", "shadow", "3")
    run(follower.models.read)
    assert follower.state.canary is not None
    assert (follower.state.canary.challenger.version, follower.state.canary.share) == ("2", 0.25)
    assert follower.state.shadow is not None
    assert follower.state.shadow.version == "3"


def test_an_answer_of_the_registry_that_comes_late_undoes_nothing(follower: Follower, registry: Models) -> None:
    registry.by_hand("trending", "challenger", "2")
    run(follower.models.read)
    held, late = asyncio.Event(), registry.standings(["trending"])

    async def out_of_order() -> None:
        plain = asyncio.to_thread

        async def slowly(call: Any, *args: Any) -> Any:
            if call == registry.standings and not held.is_set():
                held.set()
                await asyncio.sleep(0.05)
                return late
            return await plain(call, *args)

        follower_models: Any = follower.models
        asyncio_to_thread = asyncio.to_thread
        asyncio.to_thread = slowly  # type: ignore[assignment]
        try:
            first = asyncio.create_task(follower_models.look())
            await held.wait()
            registry.crown("trending", "2")
            await follower_models.look()
            await first
        finally:
            asyncio.to_thread = asyncio_to_thread

    asyncio.run(out_of_order())
    assert version(follower) == "2"


def test_a_model_of_one_item_can_be_warmed_up(follower: Follower, saved: Path) -> None:
    one = Interactions.of(IdMap(("u",)), IdMap(("i",)), csr_matrix(np.ones((1, 1), dtype=np.float32)))
    create("als").fit(one).save(saved)
    run(follower.models.read)
    assert version(follower) == "1"
