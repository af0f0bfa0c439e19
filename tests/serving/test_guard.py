"""Whose answers a guard gives, and what is counted of them."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import redis

from features.online import TrialCounts
from serving import guard as guard_module
from serving.decide.assignment import arm_of, number_of
from serving.guard import Guard
from serving.tally import RIPE_MS
from tests.serving.decide.fake import state
from tests.serving.trials import IN, ITEMS, OUT, SEED, answer, asked, event, kept, tried, trying


def test_each_customer_is_answered_by_one_arm_and_always_by_the_same(guard: Guard) -> None:
    for customer, item, variant, version in ((IN, "c", "canary", "8"), (OUT, "a", "champion", "7")):
        for _ in range(2):
            arm, decision = guard.decide(tried(), asked(customer))
            assert [placed.item_id for placed in decision.slate] == [item]
            assert (decision.variant, decision.champion, arm.variant) == (variant, ("known", version), variant)
    assert guard.tally.arms == {
        f"{SEED}/canary|known:8": {"answers": 2, "errors": 0, "ms1": 2},
        f"{SEED}/champion|known:7": {"answers": 2, "errors": 0, "ms1": 2},
    }


def test_the_share_of_the_customers_is_that_of_the_canary() -> None:
    drawn = [arm_of(tried(0.1), f"u:{number}").variant for number in range(5_000)]
    assert abs(drawn.count("canary") - 500) < 3 * (5_000 * 0.1 * 0.9) ** 0.5
    assert drawn.count("canary") == sum((number_of(SEED, f"u:{number}") or 0) < 0.1 for number in range(5_000))


def test_who_is_nobody_meets_the_champion_and_counts_for_neither_arm(guard: Guard) -> None:
    _, decision = guard.decide(tried(1.0), asked(""))
    assert decision.variant == ""
    assert list(guard.tally.arms) == ["/|known:7"]


def test_a_canary_of_a_model_that_stands_by_takes_its_place_there() -> None:
    leading = state({"a": 1.0}, ITEMS).champion
    assert leading is not None
    whole = replace(tried(1.0), champion=replace(leading, name="other"), sources=(leading,))
    arm = arm_of(whole, "u:1")
    assert arm.champion is not None
    assert (arm.champion.name, [each.version for each in arm.sources]) == ("other", ["8"])


def test_where_the_canary_fails_the_champion_answers_and_it_counts_against_the_canary(guard: Guard) -> None:
    _, decision = guard.decide(tried(broken=True), asked(IN))
    assert [placed.item_id for placed in decision.slate] == ["a"]
    assert decision.champion == ("known", "7")
    assert guard.tally.arms[f"{SEED}/canary|known:8"] == {"answers": 1, "errors": 1, "ms1": 1}


def test_a_ranker_that_fails_is_a_failure(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    real = guard_module.decide
    monkeypatch.setattr(guard_module, "decide", lambda *it: replace(real(*it), degraded=("ranker",)))
    guard.decide(replace(tried(), canary=None), asked(OUT))
    assert guard.tally.arms["/|known:7"]["errors"] == 1


def test_a_click_counts_once_for_the_arm_whose_slate_it_names_whoever_clicks(guard: Guard) -> None:
    trying(guard)
    slate = answer(guard, IN)
    for customer in (IN, OUT):  # who logs in meanwhile has another id
        guard.note(event("Product Clicked", customer, slate))
    asyncio.run(guard.watch())
    guard.note(event("Product Clicked", IN, slate))
    asyncio.run(guard.watch())
    assert kept(guard) == {"canary:answers": 1, "canary:clicks": 1}


def test_a_click_that_names_no_slate_or_one_of_nobody_here_counts_for_nobody(guard: Guard) -> None:
    trying(guard)
    for request_id in (None, "", "r1", "ö" * 32, "0" * 32):
        guard.note(event("Product Clicked", IN, request_id))
    asyncio.run(guard.watch())
    guard.follower.now = lambda: 12_000
    asyncio.run(guard.watch())
    assert kept(guard) == {}
    assert not guard.tally.rewards


def test_a_click_waits_for_the_worker_that_answered_to_say_so(guard: Guard) -> None:
    trying(guard)
    other = Guard(guard.follower, clock=lambda: 0.0)
    guard.note(event("Product Clicked", IN, answer(other, IN)))
    asyncio.run(guard.watch())
    assert kept(guard) == {}
    asyncio.run(other.watch())
    asyncio.run(guard.watch())
    assert kept(guard) == {"canary:answers": 1, "canary:clicks": 1}


def test_answers_count_for_clicks_once_they_are_old_enough_and_later_clicks_do_not(guard: Guard) -> None:
    trying(guard)
    slates = [answer(guard, IN), answer(guard, OUT)]
    asyncio.run(guard.watch())
    assert "canary:ripe" not in kept(guard)
    guard.follower.now = lambda: 1_000 + RIPE_MS
    guard.note(event("Product Clicked", IN, slates[0]))
    asyncio.run(guard.watch())
    guard.follower.now = lambda: 1_001 + RIPE_MS
    guard.note(event("Product Clicked", OUT, slates[1]))
    asyncio.run(guard.watch())
    assert kept(guard) == {
        "canary:answers": 1, "canary:ripe": 1, "canary:clicks": 1, "champion:answers": 1, "champion:ripe": 1,
    }  # fmt: skip


def test_what_a_worker_without_slates_hears_counts_where_slates_are_answered(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    trying(guard)
    tracking = Guard(guard.follower, clock=lambda: 0.0)
    tracking._judges = False
    tracking.note(event("Product Clicked", OUT, answer(guard, IN)))
    tracking.note(event("Order Completed", OUT))

    def away(*_: Any) -> None:
        raise redis.ConnectionError("away")

    with monkeypatch.context() as patched:
        patched.setattr(TrialCounts, "hand", away)
        with pytest.raises(redis.ConnectionError):
            asyncio.run(tracking.watch())
    asyncio.run(tracking.watch())
    assert not tracking.tally.rewards
    for _ in range(2):
        asyncio.run(guard.watch())
    assert kept(guard) == {"canary:answers": 1, "canary:clicks": 1, "champion:orders": 1}


def test_an_order_counts_for_the_slate_that_it_names_else_for_the_arm_of_who_made_it(guard: Guard) -> None:
    trying(guard)
    named = event("Order Completed", OUT, answer(guard, IN))
    for told in (named, named, event("Order Completed", OUT, message_id="n"), event("Product Viewed", IN)):
        guard.note(told)
    asyncio.run(guard.watch())
    assert kept(guard) == {"canary:answers": 1, "canary:orders": 1, "champion:orders": 1}
