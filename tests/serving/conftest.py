"""One running Kindred for all tests that talk to the service over HTTP."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from features.kafka.consumer import Consumer
from features.settings import Settings
from serving.engine import Engine
from serving.following import Follower
from serving.guard import Guard
from tests.serving.asking import SCORES, SHOP
from tests.serving.decide.fake import state
from tests.serving.following.fakes import Models
from tests.serving.trials import told_nobody
from tests.serving.world import Topic, World, world


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Embedded parts, a simulated shop, a champion, the stream processor and the service."""
    with world(tmp_path_factory.mktemp("shop")) as running:
        yield running


@pytest.fixture(scope="session")
def read_topic(shop: World) -> Iterator[Callable[[str], Topic]]:
    """A reader of a topic from its first record."""
    open_topics: dict[str, Topic] = {}

    def read(name: str) -> Topic:
        if name not in open_topics:
            consumer = Consumer(shop.settings.kafka, f"test-{uuid.uuid4().hex}", session_timeout_ms=1_500)
            consumer.subscribe([name], lambda places: dict.fromkeys(places, 0), lambda _places: None)
            open_topics[name] = Topic(consumer)
        return open_topics[name]

    yield read
    for topic in open_topics.values():
        topic.consumer.close()


@pytest.fixture(scope="session")
def events(read_topic: Callable[[str], Topic]) -> Topic:
    """The topic `events`."""
    return read_topic("events")


@pytest.fixture(scope="session")
def dead_letters(read_topic: Callable[[str], Topic]) -> Topic:
    """The topic `events.dead-letter`."""
    return read_topic("events.dead-letter")


@pytest.fixture
def customer() -> str:
    """The id of a customer whom nobody has seen."""
    return f"customer-{uuid.uuid4().hex}"


@pytest.fixture
def guard(tmp_path: Path, redis_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guard]:
    """One over an empty Redis and a registry in memory."""
    follower = Follower(Settings(tmp_path, redis=redis_server, mlflow="http://127.0.0.1:1"), Models(tmp_path))  # type: ignore[arg-type]
    follower.now = lambda: 1_000
    monkeypatch.setattr(follower.models, "told", told_nobody)
    yield Guard(follower, clock=lambda: 0.0)
    follower.redis.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine without parts of its own: a test gives it what it reads (tests/serving/asking.py)."""
    made = Engine(Settings(tmp_path, redis="redis://127.0.0.1:1", mlflow="http://127.0.0.1:1"), lambda: "r1")
    made.follower.state = state(SCORES, SHOP, {"e": 7.0})
    yield made
    made.follower.models.close()
