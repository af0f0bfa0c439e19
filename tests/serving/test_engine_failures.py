"""What an engine answers while something is away, late or broken: less, and it says so."""

import asyncio
from dataclasses import replace

import pytest

from serving import engine as engine_module
from serving.decide.state import LoadedRanker
from serving.engine import Engine
from serving.metrics import HOOKS_FAILED
from serving.schema import (
    RecommendRequest,
)
from tests.serving.asking import SHOP, Profiles, Told, ask, items, viewed
from tests.serving.decide.fake import state
from tests.serving.decide.test_ranking import ByColumn


def test_after_gives_up_and_answers_with_what_there_is(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "AFTER_S", 0.01)
    answer = ask(engine, Profiles(viewed("a", 1_000, seen="m0")), user_id="u", after="m1")
    assert answer.degraded == ("after",)
    assert answer.as_of == "1970-01-01T00:00:01.000Z"


def test_after_without_anybody_to_wait_for_is_not_pretended(engine: Engine) -> None:
    assert ask(engine, Profiles(), history=(), after="m1").degraded == ("after",)


def test_without_redis_the_answer_comes_from_memory_and_says_so(engine: Engine) -> None:
    answer = ask(engine, Profiles(None), user_id="u", n=2)
    assert items(answer) == "ea"
    assert answer.degraded == ("profile",)
    assert ask(engine, Profiles(None), user_id="u", after="m1").degraded == ("after", "profile")
    away = Profiles(viewed("a", 1_000), None)
    assert ask(engine, away, user_id="u", after="m1").as_of == "1970-01-01T00:00:01.000Z"


def test_without_a_champion_slates_are_trending_and_say_so(engine: Engine) -> None:
    engine.follower.state = state(None, SHOP, {"e": 7.0, "b": 2.0})
    engine.follower.missing = {"registry"}
    answer = ask(engine, Profiles(viewed("a", 1_000)), user_id="u", n=2)
    assert items(answer) == "eb"
    assert (answer.model, answer.degraded) == (None, ("model", "registry"))


def test_a_hook_that_fails_costs_no_answer_and_is_counted(engine: Engine) -> None:
    told = Told(fails=True)
    engine.exposures, engine.shadow = told, told.log
    before = [HOOKS_FAILED.labels(name)._value.get() for name in ("exposures", "shadow")]
    assert items(ask(engine, Profiles(), user_id="u", n=2)) == "ea"
    after = [HOOKS_FAILED.labels(name)._value.get() for name in ("exposures", "shadow")]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1]


def test_a_redis_that_failed_a_few_times_in_a_row_is_asked_no_more_until_it_answers(engine: Engine) -> None:
    async def go() -> None:
        engine.profiles = away = Profiles(None)  # type: ignore[assignment]
        for _ in range(3):
            assert (await engine.recommend(RecommendRequest(user_id="u"))).degraded == ("profile",)
        asked = len(away.asked)
        assert (await engine.recommend(RecommendRequest(user_id="u"))).degraded == ("profile",)
        assert len(away.asked) == asked
        engine.profiles = Profiles(viewed("a", 1_000))  # type: ignore[assignment]
        while engine.breaker.is_open:
            await asyncio.sleep(0.01)
        assert (await engine.recommend(RecommendRequest(user_id="u"))).degraded == ()
        await engine.breaker.close()

    asyncio.run(go())


def test_a_model_that_fails_costs_no_answer(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    champion = engine.follower.state.champion
    assert champion is not None
    monkeypatch.setattr(champion.model, "recommend_one", lambda *_: 1 / 0)
    answer = ask(engine, Profiles(viewed("a", 1_000)), user_id="u", n=2)
    assert items(answer)[0] == "e"
    assert answer.degraded == ("ranker",)
    assert answer.model is None


def test_without_redis_a_ranker_does_without_live_features_and_the_answer_says_so(engine: Engine) -> None:
    ranker = LoadedRanker("1", ByColumn("base_rank"))  # type: ignore[arg-type]
    engine.follower.state = replace(engine.follower.state, items=engine.items, ranker=ranker)
    answer = ask(engine, Profiles(viewed("a", 1_000)), user_id="u", n=2)
    assert (items(answer), answer.degraded) == ("ed", ("ranker",))
