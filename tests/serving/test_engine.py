"""One request through the engine, with readers that the test holds."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from features.online.items import Float64
from features.profiles import Profile
from features.settings import from_environment
from features.trends import EVERYBODY
from serving.decide.actions import Pin
from serving.decide.state import LoadedRanker
from serving.decide.trends import Trends
from serving.engine import Engine, Served
from serving.schema import (
    Filter,
    RankRequest,
    SimilarRequest,
    Touched,
    parse_recommend,
)
from tests.profiles import message, profile
from tests.serving.asking import SCORES, SHOP, Profiles, Told, ask, items, viewed
from tests.serving.decide.fake import state
from tests.serving.decide.test_ranking import ByColumn


def test_a_known_customer_gets_a_slate_from_the_live_profile(engine: Engine) -> None:
    profiles = Profiles(viewed("a", 1_000))
    answer = ask(engine, profiles, user_id="u", anonymous_id="v", n=3)
    assert profiles.asked == ["u:u"]
    assert items(answer) == "bcd"
    assert [entry.rank for entry in answer.items] == [1, 2, 3]
    assert answer.items[0].reasons[0].kind == "because_you_viewed"
    assert answer.items[0].reasons[0].item_id == "a"
    assert (answer.request_id[11:13], answer.as_of, answer.degraded) == ("r1", "1970-01-01T00:00:01.000Z", ())
    assert answer.model is not None
    assert (answer.model.name, answer.model.version) == ("known", "7")


def test_a_visitor_is_read_by_anonymous_id_and_a_stateless_client_not_at_all(engine: Engine) -> None:
    profiles = Profiles()
    ask(engine, profiles, anonymous_id="v")
    ask(engine, profiles, history=())
    assert profiles.asked == ["a:v"]


def test_the_callers_history_joins_the_live_one_and_moves_as_of(engine: Engine) -> None:
    asked = parse_recommend(
        b'{"user_id":"u","history":[{"item_id": "c", "event": "Product Added", "timestamp": "1970-01-01T00:00:09Z"}]}'
    )
    engine.profiles = Profiles(viewed("a", 1_000))  # type: ignore[assignment]
    answer = asyncio.run(engine.recommend(asked))
    assert answer.as_of == "1970-01-01T00:00:09.000Z"
    assert answer.items[0].reasons[0].kind == "because_you_added"
    assert items(answer)[-2:] == "ac"


def test_what_is_given_back_in_the_history_takes_a_view_away(engine: Engine) -> None:
    back = (Touched(item_id="a", event="Order Refunded"),)
    assert items(ask(engine, Profiles(viewed("a", 1_000)), user_id="u", history=back)) == "eabcd"


def test_the_item_that_is_looked_at_counts_as_a_view(engine: Engine) -> None:
    answer = ask(engine, Profiles(), user_id="u", item_id="b", n=1)
    assert items(answer) == "a"
    assert answer.items[0].reasons[0].item_id == "b"


def test_what_was_bought_is_left_out(engine: Engine) -> None:
    buyer = profile(
        message(0, "Order Completed", "a"), message(1, "Order Completed", "b"), message(2, "Order Refunded", "b")
    )
    assert items(ask(engine, Profiles(buyer), user_id="u")) == "bcde"


def test_filters_and_exclusion_reach_the_decision(engine: Engine) -> None:
    answer = ask(engine, Profiles(), history=(), exclude=("a", "e"), filter=Filter(category=("x",), max_price=2.0))
    assert items(answer) == "bcd"
    assert items(ask(engine, Profiles(), history=(), filter=Filter(max_price=1.99))) == ""


def test_after_waits_until_the_profile_has_the_event(engine: Engine) -> None:
    profiles = Profiles(Profile(), Profile(), viewed("a", 1_000, seen="m1"))
    answer = ask(engine, profiles, user_id="u", after="m1")
    assert len(profiles.asked) == 3
    assert answer.degraded == ()
    assert answer.as_of is not None


def test_similar_items_come_from_the_same_state(engine: Engine) -> None:
    answer = asyncio.run(engine.similar(SimilarRequest(item_id="a", n=2, exclude=("b",))))
    assert items(answer) == "cd"
    assert answer.as_of is None


def test_what_a_stateless_client_says_it_bought_is_not_shown_and_what_it_gave_back_is(engine: Engine) -> None:
    bought = (Touched(item_id="a", event="Order Completed"),)
    assert "a" not in items(ask(engine, Profiles(), history=bought))
    back = (*bought, Touched(item_id="a", event="Order Refunded"))
    assert "a" in items(ask(engine, Profiles(), history=back))


def test_the_hooks_are_told_of_every_slate_for_a_customer(engine: Engine) -> None:
    kept, shadow = Told(), Told()
    engine.exposures, engine.shadow = kept, shadow.log
    answer = ask(engine, Profiles(None), user_id="u", anonymous_id="v", placement="home", n=2)
    (served,) = kept.served
    assert shadow.served == [served]
    assert (served.request_id, served.user_id, served.anonymous_id) == (answer.request_id, "u", "v")
    assert (served.asked.customer, served.asked.placement, served.degraded) == ("u:u", "home", ("profile",))
    assert [placed.item_id for placed in served.decision.slate] == [entry.item_id for entry in answer.items]
    assert served.decision.champion == ("known", "7")


def test_the_given_items_are_ranked_for_a_customer_and_none_is_left_out(engine: Engine) -> None:
    engine.profiles = Profiles(viewed("a", 1_000))  # type: ignore[assignment]
    asked = RankRequest(user_id="u", item_ids=("zz", "c", "a", "c", "b"))
    answer = asyncio.run(engine.rank(asked))
    assert items(answer) == "abczz"
    assert [entry.rank for entry in answer.items] == [1, 2, 3, 4]
    assert answer.as_of == "1970-01-01T00:00:01.000Z"
    engine.profiles = Profiles(None)  # type: ignore[assignment]
    assert asyncio.run(engine.rank(asked)).degraded == ("profile",)


def test_the_trace_is_in_the_answer_only_where_it_is_asked_for(engine: Engine) -> None:
    assert ask(engine, Profiles(), history=()).debug is msgspec.UNSET
    assert b"debug" not in msgspec.json.encode(ask(engine, Profiles(), history=()))
    trace = ask(engine, Profiles(viewed("a", 1_000)), user_id="u", debug=True).debug
    assert trace is not msgspec.UNSET
    assert (trace["seen"], trace["models"]) == (["a"], [{"name": "known", "version": "7"}])
    like = asyncio.run(engine.similar(SimilarRequest(item_id="a", debug=True))).debug
    assert like is not msgspec.UNSET
    assert like["never"] == ["a"]


def test_what_trends_depends_on_the_context(engine: Engine) -> None:
    lists = {EVERYBODY: [("a", 9e3), ("b", 1e3)], "device:mobile": [("b", 5e3)]}
    engine.follower.state = replace(state(None, SHOP), trending=Trends(lists))
    assert items(ask(engine, Profiles(), history=(), n=1)) == "a"
    assert items(ask(engine, Profiles(), history=(), n=1, context={"device": "iphone", "os": None})) == "a"
    assert items(ask(engine, Profiles(), history=(), n=1, context={"device": "ios"})) == "b"


@pytest.mark.parametrize(("said", "first"), [
    ({}, "b"),
    ({"device": "desktop"}, "b"),
    ({"country": "FR"}, "a"),
    ({"locale": "fr-FR"}, "a"),
])  # fmt: skip
def test_who_says_no_country_is_shown_what_trends_where_they_were_seen_last(
    engine: Engine, said: dict[str, str], first: str
) -> None:
    lists = {EVERYBODY: [("a", 60.0), ("b", 40.0)], "country:GB": [("b", 300.0), ("c", 100.0)]}
    engine.follower.state = replace(state({}, SHOP), champion=None, trending=Trends(lists))
    seen = profile({"type": "page", "userId": "u", "messageId": "m", "timestamp": "2026-01-01T00:00:00Z",
                    "receivedAt": "2026-01-01T00:00:00Z", "context": {"location": {"country": "gb"}}})  # fmt: skip
    assert items(ask(engine, Profiles(seen), user_id="u", n=1, context=said)) == first
    assert items(ask(engine, Profiles(None), user_id="u", n=1, context=said)) == "a"


def test_rules_hold_in_the_placement_of_the_request(engine: Engine) -> None:
    hero = Pin(name="hero", item_id="d", position=1, placements=frozenset({"home"}))
    engine.follower.state = replace(engine.follower.state, actions=(hero,))
    answer = ask(engine, Profiles(), history=(), n=1, placement="home")
    assert (items(answer), answer.items[0].reasons[0].rule) == ("d", "hero")
    assert items(ask(engine, Profiles(), history=(), n=1)) == "e"


def test_a_rankers_first_look_at_an_item_reads_its_live_features(engine: Engine) -> None:
    """The ranker puts first what has more views: that is known only once it was read."""
    reads: list[list[str]] = []

    async def numbers(item_ids: Iterable[str], names: Sequence[str], _now: int) -> Float64:
        reads.append(list(item_ids))
        return np.array([[ord(item_id)] * len(names) for item_id in reads[-1]], dtype=np.float64)

    engine.items.reader.numbers = numbers  # type: ignore[method-assign]
    ranker = LoadedRanker("1", ByColumn("item_views_7d"))  # type: ignore[arg-type]
    engine.follower.state = replace(engine.follower.state, items=engine.items, ranker=ranker)
    assert items(ask(engine, Profiles(viewed("a", 1_000)), user_id="u", n=2)) == "ed"
    assert items(ask(engine, Profiles(viewed("a", 1_000)), user_id="u", n=2)) == "ed"
    assert reads == [["b", "c", "d", "e"]]


def test_lists_ranked_and_items_like_one_are_logged_too_and_no_shadow_sees_them(engine: Engine) -> None:
    engine.exposures, shadow = Told(), Told()
    engine.shadow = shadow.log
    engine.profiles = Profiles()  # type: ignore[assignment]
    asyncio.run(engine.rank(RankRequest(user_id="u", item_ids=("c", "a"))))
    asyncio.run(engine.similar(SimilarRequest(item_id="a", n=2)))
    ranked, like = engine.exposures.served
    assert (ranked.user_id, [placed.item_id for placed in ranked.decision.slate]) == ("u", ["a", "c"])
    assert (like.user_id, like.asked.placement, like.asked.alike) == (None, "similar", "a")
    assert shadow.served == []


def test_the_setting_of_exploration_is_the_rate_that_slates_are_drawn_with(tmp_path: Path) -> None:
    given = {"KINDRED_DATA": str(tmp_path), "KINDRED_REDIS": "redis://127.0.0.1:1", "KINDRED_EXPLORATION": "0.3"}
    made = Engine(from_environment(given), lambda: "r1")
    policy = made.follower.state.policy
    made.follower.models.close()
    assert policy.exploration == 0.3
    made.follower.state = replace(state(SCORES, SHOP), policy=policy)
    served: list[Served] = []
    made.shadow = served.append
    ask(made, Profiles(), user_id="u", n=2)
    assert served[0].decision.policy == "uniform(rate=0.3)"
    assert len(served[0].decision.eligible) > 2
