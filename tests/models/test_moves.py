"""Aliases move one at a time, only from where they were, and never without a trail; on a real MLflow server."""

import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from features.errors import BadInput, KindredError, Overtaken
from models.registry import CANARY, CHAMPION, SHADOW, Record, Registry, Trial, Version, moves
from models.registry.trail import Action, Entry, Refusal, refusals, refuse, trail
from tests.tastes import DAY_MS, two_tastes
from training import runs, trainer

FITTED = trainer.train(trainer.Recipe("trending"), two_tastes(days=30), 10 * DAY_MS)


@pytest.fixture(scope="module")
def versions(mlflow_url: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three versions of a model of this module's own; its name is the first entry."""
    name = f"trending-{uuid.uuid4().hex[:8]}"
    made = runs.recommender(replace(FITTED, name=name))
    return [name, *(runs.register(mlflow_url, made, {}, tmp_path_factory.mktemp("v")).version for _ in range(3))]


@pytest.fixture
def registry(mlflow_url: str) -> Iterator[Registry]:
    with Registry(mlflow_url) as registry:
        yield registry


@pytest.fixture
def get(registry: Registry, versions: list[str]) -> Callable[[int], Version]:
    """The versions by place from 1, after every alias and tag of the model was taken away."""
    standing = registry.standing(versions[0])
    assert standing is not None
    for alias in standing.aliases:
        registry.remove_alias(versions[0], alias)
    for tag in standing.tags:
        registry.untag_model(versions[0], tag)
    return lambda place: registry.get(versions[0], versions[place])


def entry(action: Action = "promote", at: int = 1, previous: str = "", share: float = 0.0) -> Entry:
    return Entry(at=at, action=action, who="ann", previous=previous, share=share)


def aliases(registry: Registry, version: Version) -> dict[str, str]:
    standing = registry.standing(version.name)
    assert standing is not None
    return dict(standing.aliases)


def test_a_version_becomes_champion_and_the_record_says_after_whom(
    registry: Registry, get: Callable[[int], Version]
) -> None:
    moves.crown(registry, get(1), "", entry(at=1))
    moves.crown(registry, get(2), "1", entry(at=2, previous="1"))
    standing = registry.standing(get(1).name)
    assert standing is not None
    assert standing.record is not None
    assert (standing.aliases[CHAMPION], standing.record.version, standing.record.previous) == ("2", "2", "1")
    assert trail(get(2))[-1] == entry(at=2, previous="1")


def test_nobody_is_crowned_where_another_became_champion_meanwhile(
    registry: Registry, get: Callable[[int], Version]
) -> None:
    moves.crown(registry, get(1), "", entry())
    before = trail(get(2))
    with pytest.raises(Overtaken, match="is version 1 by now; it was nobody"):
        moves.crown(registry, get(2), "", entry(at=99))
    assert aliases(registry, get(1))[CHAMPION] == "1"
    assert trail(get(2)) == before


def test_of_two_who_promote_at_once_one_loses_clearly(
    mlflow_url: str, registry: Registry, get: Callable[[int], Version]
) -> None:
    moves.crown(registry, get(1), "", entry())
    start, lost = threading.Barrier(2), []

    def crown(version: Version) -> None:
        with Registry(mlflow_url) as own:
            start.wait(30)
            try:
                moves.crown(own, version, "1", entry(at=5, previous="1"))
            except Overtaken as error:
                lost.append((version.version, str(error)))

    threads = [threading.Thread(target=crown, args=(get(place),)) for place in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    ((loser, said),) = lost
    assert {aliases(registry, get(1))[CHAMPION], loser} == {"2", "3"}
    assert "by now" in said or "at this moment" in said


def test_a_lock_that_a_dead_process_left_is_broken_after_a_minute(
    registry: Registry, get: Callable[[int], Version]
) -> None:
    lock = f"kindred.moving.{get(1).name}"
    assert registry.create_model(lock, "bob")
    _, since = registry.describe_model(lock) or ("", 0)
    with pytest.raises(Overtaken, match="bob is moving"):
        moves.crown(registry, get(1), "", entry(at=since + 59_000))
    moves.crown(registry, get(1), "", entry(at=since + 60_000))
    assert aliases(registry, get(1))[CHAMPION] == "1"
    assert registry.describe_model(lock) is None


def test_a_canary_has_its_share_and_ends_with_what_it_was_tried_for(
    registry: Registry, get: Callable[[int], Version]
) -> None:
    moves.crown(registry, get(1), "", entry())
    moves.begin_canary(registry, get(2), entry("canary", 7, "1", 0.1))
    standing = registry.standing(get(1).name)
    assert standing is not None
    assert standing.trial is not None
    assert (standing.trial.version, standing.trial.share, standing.trial.at) == ("2", 0.1, 7)
    with pytest.raises(Overtaken, match="canary of"):
        moves.end(registry, CANARY, get(3), entry("end canary", 8))
    moves.end(registry, CANARY, get(2), entry("end canary", 8))
    standing = registry.standing(get(1).name)
    assert standing is not None
    assert standing.trial is None


def test_a_shadow_says_since_when_until_it_ends(registry: Registry, get: Callable[[int], Version]) -> None:
    moves.crown(registry, get(1), "", entry())
    for at in (5, 9):
        moves.begin_shadow(registry, get(2), entry("shadow", at=at))
        standing = registry.standing(get(1).name)
        assert standing is not None
        assert standing.shadow == Trial(version="2", share=0.0, at=at)
        moves.end(registry, SHADOW, get(2), entry("end shadow", at=at + 1))
    standing = registry.standing(get(1).name)
    assert standing is not None
    assert standing.shadow is None
    assert "kindred.shadow" not in standing.tags


def test_a_champion_is_watched_where_there_was_one_before_it(registry: Registry, get: Callable[[int], Version]) -> None:
    for place, before, until in ((1, "", 0), (2, "1", 62)):
        moves.crown(registry, get(place), before, entry(at=2), watch_ms=60)
        standing = registry.standing(get(1).name)
        assert standing is not None
        assert standing.record == Record(version=str(place), previous=before, at=2, until=until)


def test_a_canary_that_is_promoted_is_no_canary_any_more(registry: Registry, get: Callable[[int], Version]) -> None:
    moves.crown(registry, get(1), "", entry())
    moves.begin_canary(registry, get(2), entry("canary", 7, "1", 0.1))
    moves.begin_shadow(registry, get(2), entry("shadow", 8, "1"))
    moves.crown(registry, get(2), "1", entry(at=9, previous="1"))
    assert aliases(registry, get(1)) == {CHAMPION: "2"}


@pytest.mark.parametrize("begin", [moves.begin_canary, moves.begin_shadow])
def test_nothing_is_tried_without_a_champion_or_as_the_champion(
    registry: Registry, get: Callable[[int], Version], begin: Callable[[Registry, Version, Entry], None]
) -> None:
    with pytest.raises(BadInput, match="has no champion"):
        begin(registry, get(2), entry("canary", share=0.1))
    moves.crown(registry, get(2), "", entry())
    with pytest.raises(BadInput, match="is champion, it can't be"):
        begin(registry, get(2), entry("canary", share=0.1))


def test_a_canary_that_is_set_by_its_alias_alone_gets_a_twentieth(
    registry: Registry, get: Callable[[int], Version]
) -> None:
    registry.set_alias(get(1).name, CANARY, "3")
    standing = registry.standing(get(1).name)
    assert standing is not None
    assert standing.trial is not None
    assert (standing.trial.version, standing.trial.share) == ("3", 0.05)
    registry.tag_model(get(1).name, "kindred.canary", '{"version": "3", "share": 7}')  # edited to what is no share
    standing = registry.standing(get(1).name)
    assert standing is not None
    assert standing.trial is not None
    assert standing.trial.share == 0.05


def test_one_request_says_how_all_models_stand(registry: Registry, get: Callable[[int], Version]) -> None:
    name = get(1).name
    moves.crown(registry, get(1), "", entry())
    registry.set_alias(name, SHADOW, "3")
    found = registry.standings([name, "nobody"])
    assert set(found) == {name}
    assert found[name] == registry.standing(name)
    assert found[name].aliases == {CHAMPION: "1", SHADOW: "3"}


def test_a_lock_is_no_model_to_be_left_behind(registry: Registry, get: Callable[[int], Version]) -> None:
    with pytest.raises(KindredError):
        moves.crown(registry, get(1), "77", entry())
    assert registry.describe_model(f"kindred.moving.{get(1).name}") is None


def test_a_reason_for_a_refusal_is_written_down_once(registry: Registry, get: Callable[[int], Version]) -> None:
    refuse(registry, get(3), Refusal(at=5, reason="broken"))
    refuse(registry, get(3), Refusal(at=6, reason="broken"))
    refuse(registry, get(3), Refusal(at=7, reason="unknown"))
    assert refusals(get(3)) == (Refusal(at=5, reason="broken"), Refusal(at=7, reason="unknown"))


def test_the_files_are_still_there(registry: Registry, get: Callable[[int], Version], tmp_path: Path) -> None:
    assert (registry.download(get(1), tmp_path) / "arrays.npz").is_file()
