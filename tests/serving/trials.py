"""A canary beside its champion, customers of both arms, and what is counted of them."""

from dataclasses import replace
from typing import Any

from features.events import Event
from features.online import TrialCounts
from features.properties import ProductProperties
from serving.decide.asked import Asked
from serving.decide.assignment import arm_of
from serving.decide.state import Canary, State
from serving.following.plans import Key, Plan, Trialled
from serving.guard import Guard
from tests.serving.decide.fake import shop, state

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


def trying(guard: Guard, ungated: bool = False) -> None:
    guard.follower.state = tried()
    trial = Trialled(Key("known", "8"), 0.5, 5, ungated)
    guard.follower.models.lineup.plan = Plan(canary=trial)


async def told_nobody(_name: str) -> None:
    """Nobody is told of a move."""
