"""What does worse is ended: a canary, a champion set by hand, a promotion."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import redis

from features.online import TrialCounts, hour_trial, watch_trial
from models.registry import Record, Standing
from serving import ending
from serving.following.plans import Key, Plan, Trialled, Watched
from serving.guard import Guard
from tests.serving.following.fakes import Models
from tests.serving.trials import ARM, IN, SEED, answer, asked, event, kept, tried, trying

Moves = list[tuple[Any, ...]]


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> Moves:
    """What would have been done to the registry."""
    made: Moves = []
    for name in ("end", "crown", "accept"):

        def note(_registry: Any, *args: Any, name: str = name) -> None:
            made.append((name, *args))

        monkeypatch.setattr(ending, name, note)
    monkeypatch.setattr(
        Models, "standing", lambda *_: Standing("known", {}, {"kindred.champion": '{"version": "7"}'}), raising=False
    )
    return made


def counted(guard: Guard, **counts: int) -> None:
    TrialCounts(guard.follower.redis).add(SEED, {name.replace("_", ":"): count for name, count in counts.items()})


def test_workers_add_up_what_they_counted_and_nothing_happens_while_all_is_well(guard: Guard, moves: Moves) -> None:
    trying(guard)
    counted(guard, canary_answers=100, champion_answers=100)
    guard.tally.of(ARM)["answers"] = 7
    asyncio.run(guard.watch())
    assert TrialCounts(guard.follower.redis).read(SEED) == {
        "canary:answers": 107, "champion:answers": 100, "since": 1_000,
    }  # fmt: skip
    assert (guard.tally.arms, moves) == ({}, [])


def test_a_canary_that_fails_is_ended_once_with_the_evidence(guard: Guard, moves: Moves) -> None:
    trying(guard)
    counted(guard, canary_answers=100, canary_errors=50, champion_answers=900)
    for _ in range(2):
        asyncio.run(guard.watch())
    ((what, alias, version, entry),) = moves
    assert (what, alias, version.version) == ("end", "canary", "8")
    assert (entry.action, entry.who, entry.previous) == ("automatic rollback", "kindred (automatic)", "7")
    assert entry.why.startswith("errors: 50 of 100, champion 0 of 900")
    assert [gate.gate for gate in entry.gates if not gate.passed] == ["errors"]


def test_a_champion_set_by_hand_that_fails_gives_way_to_the_last_one(guard: Guard, moves: Moves) -> None:
    trying(guard, ungated=True)
    counted(guard, canary_answers=100, canary_errors=50, champion_answers=900)
    asyncio.run(guard.watch())
    ((what, version, expected, entry),) = moves
    assert (what, version.version, expected) == ("crown", "7", "8")
    assert (entry.action, entry.previous) == ("automatic rollback", "8")


def test_a_champion_set_by_hand_is_accepted_when_its_probation_is_over(guard: Guard, moves: Moves) -> None:
    trying(guard, ungated=True)
    counted(guard, canary_answers=100, champion_answers=900, since=1_000)
    guard.follower.now = lambda: 300_999
    asyncio.run(guard.watch())
    assert moves == []
    guard.follower.now = lambda: 301_000
    asyncio.run(guard.watch())
    ((what, version, entry, watch_ms),) = moves
    assert (what, version.version, entry.action, entry.previous) == ("accept", "8", "accept ungated", "7")
    assert watch_ms == 30 * 60_000  # and is watched from now on


def test_a_canary_that_was_asked_for_goes_on_until_somebody_ends_it(guard: Guard, moves: Moves) -> None:
    trying(guard)
    counted(guard, canary_answers=100, champion_answers=900, since=1_000)
    guard.follower.now = lambda: 10**9
    asyncio.run(guard.watch())
    assert moves == []


@pytest.mark.parametrize("call", ["meet", "add"])
def test_what_could_not_be_added_up_is_added_later(guard: Guard, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    trying(guard)
    slate = answer(guard, IN)
    asyncio.run(guard.watch())
    guard.tally.of(ARM)["answers"] += 3
    guard.note(event("Product Clicked", IN, slate))

    def away(*_: Any, **__: Any) -> None:
        raise redis.ConnectionError("away")

    with monkeypatch.context() as patched:
        patched.setattr(TrialCounts, call, away)
        with pytest.raises(redis.ConnectionError):
            asyncio.run(guard.watch())
    asyncio.run(guard.watch())
    assert kept(guard) == {"canary:answers": 4, "canary:clicks": 1}


def test_what_was_added_up_is_not_added_again_when_another_trial_could_not_be(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard.tally.shadow("first")["shadow:answers"] = 3
    guard.tally.shadow("second")["shadow:answers"] = 5
    add = TrialCounts.add

    def first_only(store: TrialCounts, trial: str, *counts: Any, **more: Any) -> None:
        if trial == "second":
            raise redis.ConnectionError("away")
        add(store, trial, *counts, **more)

    with monkeypatch.context() as patched:
        patched.setattr(TrialCounts, "add", first_only)
        with pytest.raises(redis.ConnectionError):
            asyncio.run(guard.watch())
    asyncio.run(guard.watch())
    assert [kept(guard, trial) for trial in ("first", "second")] == [{"shadow:answers": 3}, {"shadow:answers": 5}]


SINCE, UNTIL = 7_200_000, 9_000_000


def promoted(guard: Guard) -> None:
    """Version 8 is champion since SINCE, after 7."""
    guard.follower.now = lambda: SINCE + 1_000
    guard.follower.models.lineup.plan = Plan(watched=(Watched(Key("known", "8"), "7", SINCE, UNTIL),))
    TrialCounts(guard.follower.redis).add(hour_trial("known", "7", SINCE - 1), {"answers": 900, "ms1": 900})


def test_every_answer_counts_for_the_hour_of_each_version_and_since_its_promotion(guard: Guard) -> None:
    promoted(guard)
    for customer in (IN, ""):
        guard.decide(replace(tried(1.0), canary=None, champion=tried().canary.challenger), asked(customer))  # type: ignore[union-attr]
    asyncio.run(guard.watch())
    assert kept(guard, hour_trial("known", "8", SINCE)) == {"answers": 2}
    assert kept(guard, watch_trial("known", "8", SINCE)) == {"answers": 2}
    assert TrialCounts(guard.follower.redis).before("known", "7", SINCE) == {"answers": 900, "ms1": 900}


def test_a_promotion_after_which_answers_fail_is_undone_once_with_the_evidence(guard: Guard, moves: Moves) -> None:
    promoted(guard)
    counts = TrialCounts(guard.follower.redis)
    counts.add(watch_trial("known", "8", SINCE), {"answers": 100, "ms1": 50})
    asyncio.run(guard.watch())
    assert moves == []
    counts.add(watch_trial("known", "8", SINCE), {"errors": 50})
    for _ in range(2):
        asyncio.run(guard.watch())
    ((what, version, expected, entry),) = moves
    assert (what, version.version, expected) == ("crown", "7", "8")
    assert (entry.action, entry.who, entry.previous) == ("automatic rollback", "kindred (automatic)", "8")
    assert entry.why == "errors: 50 of 100, before 0 of 900"


def test_a_promotion_is_watched_for_its_time_only(guard: Guard, moves: Moves) -> None:
    promoted(guard)
    TrialCounts(guard.follower.redis).add(watch_trial("known", "8", SINCE), {"answers": 100, "errors": 50})
    guard.follower.now = lambda: UNTIL
    asyncio.run(guard.watch())
    assert moves == []


def test_what_was_counted_of_a_trial_begun_by_hand_goes_when_it_ends(guard: Guard) -> None:
    guard.follower.state = tried()
    guard.follower.models.lineup.plan = Plan(canary=Trialled(Key("known", "8"), 0.5, 0))
    guard.note(event("Product Clicked", IN, answer(guard, IN)))
    asyncio.run(guard.watch())
    assert kept(guard) == {"canary:answers": 1, "canary:clicks": 1}
    guard.follower.state = replace(tried(), canary=None)
    guard.follower.models.lineup.plan = Plan()
    asyncio.run(guard.watch())
    assert TrialCounts(guard.follower.redis).read(SEED) == {}


def test_the_record_of_a_champion_is_read_as_it_was_written() -> None:
    assert Standing("m", {}, {"kindred.champion": '{"version": "7"}'}).record == Record(version="7")
