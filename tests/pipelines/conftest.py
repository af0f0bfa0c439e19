"""What the pipelines' tests share: an MLflow server, and a Kafka with a Redis of one test's own."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.kafka.broker import EmbeddedBroker
from features.kafka.topics import TOPICS, ensure_topics, metadata
from features.settings import Settings
from pipelines.simulate import Shop, events
from tests.apache_kafka import ApacheKafka
from tests.mlflow_server import mlflow_folder, mlflow_url
from tests.pipelines.stream_world import World
from tests.pipelines.told_shop import UNTIL, Told

MakeWorld = Callable[..., World]

__all__ = ["mlflow_folder", "mlflow_url"]


@pytest.fixture(scope="session")
def new_broker() -> Iterator[Callable[[], EmbeddedBroker]]:
    """Gives a new embedded broker; the next one, which takes a second, starts meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        spare = [pool.submit(EmbeddedBroker)]

        def new() -> EmbeddedBroker:
            spare.append(pool.submit(EmbeddedBroker))
            return spare.pop(0).result()

        yield new
        spare.pop().result().close()


@pytest.fixture
def kafka_of_ones_own(new_broker: Callable[[], EmbeddedBroker]) -> Iterator[EmbeddedBroker]:
    """An embedded broker that nobody else uses."""
    with new_broker() as broker:
        yield broker


@pytest.fixture
def make_world() -> Iterator[MakeWorld]:
    """Makes worlds of a test's own servers; their workers end with the test, however it ends."""
    made: list[World] = []

    def make(settings: Settings, clean: str = "") -> World:
        made.append(World(settings, clean))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def world(kafka_of_ones_own: EmbeddedBroker, redis_server: str, tmp_path: Path) -> Iterator[World]:
    """An embedded broker and an empty Redis."""
    made = World(Settings(data=tmp_path, kafka=kafka_of_ones_own.bootstrap, redis=redis_server))
    yield made
    made.close()


@pytest.fixture
def apache_topics(apache_kafka: ApacheKafka) -> str:
    """Where real Apache Kafka is, with fresh topics."""
    there = metadata(apache_kafka.bootstrap, 10).topics
    for name in TOPICS:
        if name in there:
            apache_kafka.delete_topic(name)
    ensure_topics(apache_kafka.bootstrap)
    return apache_kafka.bootstrap


@pytest.fixture
def apache_world(apache_topics: str, redis_server: str, tmp_path: Path) -> Iterator[World]:
    """Real Apache Kafka with fresh topics, and an empty Redis."""
    made = World(Settings(data=tmp_path, kafka=apache_topics, redis=redis_server))
    yield made
    made.close()


@pytest.fixture(params=["embedded", pytest.param("apache", marks=pytest.mark.slow)])
def either_kafka(request: pytest.FixtureRequest) -> str:
    """Where each of the two brokers is, in turn; with real Kafka a test is slow."""
    if request.param == "embedded":
        broker: EmbeddedBroker = request.getfixturevalue("kafka_of_ones_own")
        return broker.bootstrap
    found: str = request.getfixturevalue("apache_topics")
    return found


@pytest.fixture
def either_world(either_kafka: str, redis_server: str, tmp_path: Path) -> Iterator[World]:
    """Either broker, and an empty Redis."""
    made = World(Settings(data=tmp_path, kafka=either_kafka, redis=redis_server))
    yield made
    made.close()


@pytest.fixture(params=["embedded", "apache"])
def each_world(request: pytest.FixtureRequest) -> World:
    """Each of the two brokers in turn."""
    found: World = request.getfixturevalue("world" if request.param == "embedded" else "apache_world")
    return found


@pytest.fixture(scope="session")
def told() -> Told:
    """A shop of 120 days, made once for all suites."""
    shop = Shop(events=40_000, customers=500, items=300, days=120, seed=7, until=UNTIL)
    return Told(shop, list(events(shop)))
