"""One engine whose readers a test holds, and how it is asked."""

import asyncio

import redis

from features.profiles import Profile
from serving.engine import Engine, Served
from serving.schema import (
    RecommendRequest,
    RecommendResponse,
)
from tests.profiles import message, profile
from tests.serving.decide.fake import shop

SCORES = {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}
SHOP = shop("a", "b", "c", "d", "e", category="x", price=2.0)


class Profiles:
    """Answers each read with the next of its profiles, the last one again and again; None is a Redis that is away."""

    def __init__(self, *profiles: Profile | None) -> None:
        self.profiles = list(profiles) or [Profile()]
        self.asked: list[str] = []

    async def profile(self, customer: str, merge: bool = True) -> Profile:
        self.asked.append(customer)
        self.merged = merge
        found = self.profiles.pop(0) if len(self.profiles) > 1 else self.profiles[0]
        if found is None:
            raise redis.ConnectionError("away")
        return found


def ask(engine: Engine, profiles: Profiles, **request: object) -> RecommendResponse:
    """The engine's answer."""
    engine.profiles = profiles  # type: ignore[assignment]
    return asyncio.run(engine.recommend(RecommendRequest(**request)))  # type: ignore[arg-type]


def viewed(item_id: str, at: int, name: str = "Product Viewed", seen: str = "") -> Profile:
    """Somebody who did one thing."""
    return profile(message(event=name, item=item_id, at=at, messageId=seen or "m"))


def items(answer: RecommendResponse) -> str:
    """Item ids as one word."""
    return "".join(entry.item_id for entry in answer.items)


class Told:
    """A hook that remembers what it was told, and fails where it is to."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.served: list[Served] = []

    def log(self, served: Served) -> None:
        self.served.append(served)
        if self.fails:
            raise OSError("full")
