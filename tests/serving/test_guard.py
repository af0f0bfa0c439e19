"""What is tried and what was promoted is watched: whose answers it gives, what is counted, and how it ends."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from features.events import Event
from features.online import TrialCounts, hour_trial, watch_trial
from features.properties import ProductProperties
from features.settings import Settings
from models.registry import Record, Standing
from serving import ending
from serving import guard as guard_module
from serving.decide.asked import Asked
from serving.decide.assignment import arm_of, number_of
from serving.decide.state import Canary, State
from serving.following import Follower
from serving.following.plans import Key, Plan, Trialled, Watched
from serving.guard import Guard
from serving.tally import RIPE_MS
from tests.serving.decide.fake import shop, state
from tests.serving.following.fakes import Models

SEED = "known:8:5"
ITEMS = shop("a", "b", "c")


class Broken:
    """A model that fails whenever it is asked."""

    def __init__(self, inner: Any) -> None:
        self.items = inner.items

    def recommend_one(self, *_args: Any) -> Any:
        raise IndexError("no such row")


def tried(share: float = 0.5, broken: bool = False) -> State:
    """A champion that prefers a, and a canary that prefers c."""
    made = state({"a": 3.0, "b": 2.0, "c": 1.0}, ITEMS)
    other = state({"a": 1.0, "b": 2.0, "c": 3.0}, ITEMS).champion
    assert other is not None
    model: Any = Broken(other.model) if broken else other.model
    return replace(made, canary=Canary(replace(other, version="8", model=model), share, SEED))


def asked(customer: str) -> Asked:
    return Asked(now=0, n=1, customer=customer)


ARMS = {arm_of(tried(), f"u:{number}").variant: f"u:{number}" for number in range(50)}
IN, OUT = ARMS["canary"], ARMS["champion"]
ARM = f"{SEED}/canary|known:8"


@pytest.fixture
def guard(tmp_path: Path, redis_server: str) -> Iterator[Guard]:
    """One over an empty Redis and a registry in memory."""
    follower = Follower(Settings(tmp_path, redis=redis_server, mlflow="http://127.0.0.1:1"), Models(tmp_path))  # type: ignore[arg-type]
    follower.now = lambda: 1_000
    yield Guard(follower, clock=lambda: 0.0)
    follower.redis.close()


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


def event(name: str, customer: str, request_id: str | None = None, message_id: str = "m") -> Event:
    return Event(
        message_id=message_id, type="track", name=name, customer=customer, user_id=customer[2:], anonymous_id=None,
        event_time=0, received_at=0, properties=ProductProperties(request_id=request_id),
    )  # fmt: skip


def answer(guard: Guard, customer: str) -> str:
    """The request_id of a slate that is served."""
    arm, _ = guard.decide(tried(), asked(customer))
    return guard.receipt(arm, guard.follower.now(), "0" * 13)


def kept(guard: Guard, trial: str = SEED) -> dict[str, int]:
    """What all workers counted of a trial."""
    found = TrialCounts(guard.follower.redis).read(trial)
    return {name: count for name, count in found.items() if not name.endswith(("since", "ms1")) and count}


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


def trying(guard: Guard, ungated: bool = False) -> None:
    guard.follower.state = tried()
    trial = Trialled(Key("known", "8"), 0.5, 5, ungated)
    guard.follower.models.lineup.plan = Plan(canary=trial)


def counted(guard: Guard, **counts: int) -> None:
    TrialCounts(guard.follower.redis).add(SEED, {name.replace("_", ":"): count for name, count in counts.items()})


async def nothing(_name: str) -> None:
    """Nobody is told."""


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch, guard: Guard) -> None:
    monkeypatch.setattr(guard.follower.models, "told", nothing)


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
