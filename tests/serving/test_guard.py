"""A canary is watched: whose answers it gives, what is counted, and how it ends."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from features.events import Event
from features.online import TrialCounts
from features.settings import Settings
from models.registry import Record, Standing
from serving import guard as guard_module
from serving.decide.asked import Asked
from serving.decide.assignment import arm_of, number_of
from serving.decide.state import Canary, State
from serving.following import Follower
from serving.following.plans import Key, Plan, Trialled
from serving.guard import Guard
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
    assert guard.counts[SEED] == {
        "canary:answers": 2, "canary:ms1": 2, "champion:answers": 2, "champion:ms1": 2,
    }  # fmt: skip


def test_the_share_of_the_customers_is_that_of_the_canary() -> None:
    drawn = [arm_of(tried(0.1), f"u:{number}").variant for number in range(5_000)]
    assert abs(drawn.count("canary") - 500) < 3 * (5_000 * 0.1 * 0.9) ** 0.5
    assert drawn.count("canary") == sum((number_of(SEED, f"u:{number}") or 0) < 0.1 for number in range(5_000))


def test_who_is_nobody_meets_the_champion_and_is_not_counted(guard: Guard) -> None:
    _, decision = guard.decide(tried(1.0), asked(""))
    assert decision.variant == ""
    assert guard.counts == {}


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
    assert guard.counts[SEED] == {"canary:answers": 1, "canary:errors": 1, "canary:ms1": 1}


def event(name: str, customer: str) -> Event:
    return Event(
        message_id="m", type="track", name=name, customer=customer, user_id=customer[2:], anonymous_id=None,
        event_time=0, received_at=0, properties={},  # type: ignore[arg-type]
    )  # fmt: skip


def test_clicks_and_orders_count_for_the_arm_of_who_made_them(guard: Guard) -> None:
    guard.note(event("Product Clicked", IN))
    assert guard.counts == {}  # no canary is tried
    guard.follower.state = tried()
    for name, customer in (("Product Clicked", IN), ("Order Completed", OUT), ("Product Viewed", IN)):
        guard.note(event(name, customer))
    assert guard.counts[SEED] == {"canary:clicks": 1, "champion:orders": 1}


Moves = list[tuple[Any, ...]]


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> Moves:
    """What would have been done to the registry."""
    made: Moves = []
    for name in ("end", "crown", "accept"):

        def note(_registry: Any, *args: Any, name: str = name) -> None:
            made.append((name, *args))

        monkeypatch.setattr(guard_module, name, note)
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
    guard.counter(SEED)["canary:answers"] = 7
    asyncio.run(guard.watch())
    assert TrialCounts(guard.follower.redis).read(SEED) == {
        "canary:answers": 107, "champion:answers": 100, "since": 1_000,
    }  # fmt: skip
    assert (guard.counts, moves) == ({}, [])


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
    ((what, version, entry),) = moves
    assert (what, version.version, entry.action, entry.previous) == ("accept", "8", "accept ungated", "7")


def test_a_canary_that_was_asked_for_goes_on_until_somebody_ends_it(guard: Guard, moves: Moves) -> None:
    trying(guard)
    counted(guard, canary_answers=100, champion_answers=900, since=1_000)
    guard.follower.now = lambda: 10**9
    asyncio.run(guard.watch())
    assert moves == []


def test_what_could_not_be_added_up_is_added_later(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    guard.counter(SEED)["canary:answers"] = 3

    def away(*_: Any) -> None:
        raise redis.ConnectionError("away")

    with monkeypatch.context() as patched:
        patched.setattr(TrialCounts, "add", away)
        with pytest.raises(redis.ConnectionError):
            asyncio.run(guard.watch())
    assert guard.counts[SEED] == {"canary:answers": 3}
    asyncio.run(guard.watch())
    assert TrialCounts(guard.follower.redis).read(SEED) == {"canary:answers": 3}


def test_what_was_added_up_is_not_added_again_when_another_trial_could_not_be(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard.counter("first")["canary:answers"] = 3
    guard.counter("second")["canary:answers"] = 5
    add = TrialCounts.add

    def first_only(store: TrialCounts, trial: str, counts: Any) -> None:
        if trial == "second":
            raise redis.ConnectionError("away")
        add(store, trial, counts)

    with monkeypatch.context() as patched:
        patched.setattr(TrialCounts, "add", first_only)
        with pytest.raises(redis.ConnectionError):
            asyncio.run(guard.watch())
    asyncio.run(guard.watch())
    kept = TrialCounts(guard.follower.redis)
    assert [kept.read(trial) for trial in ("first", "second")] == [{"canary:answers": 3}, {"canary:answers": 5}]


def test_the_record_of_a_champion_is_read_as_it_was_written() -> None:
    assert Standing("m", {}, {"kindred.champion": '{"version": "7"}'}).record == Record(version="7")
