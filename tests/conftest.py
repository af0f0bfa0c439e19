"""What many tests share: the embedded broker and a real Apache Kafka, each started once, when first asked for."""

import os
import uuid
from collections.abc import Callable, Iterator

import pytest

from features.kafka.broker import EmbeddedBroker
from tests.apache_kafka import ApacheKafka, NoKafkaError, fetched, jars_folder

Broker = EmbeddedBroker | ApacheKafka
MakeTopic = Callable[[str, int], str]


@pytest.fixture(scope="session")
def embedded_kafka() -> Iterator[EmbeddedBroker]:
    """The embedded broker, with Kindred's topics."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """A real Apache Kafka without topics; skips where it can't be had, and fails instead where CI=true."""
    try:
        kafka = ApacheKafka(fetched(jars_folder()), tmp_path_factory.mktemp("apache-kafka"))
        kafka.start()
    except NoKafkaError as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no real Kafka: {reason}")
        pytest.skip(f"no real Kafka: {reason}")
    yield kafka
    kafka.stop()


@pytest.fixture(params=["embedded", "apache"])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Each of the two brokers in turn, up; a test may take it down and must bring it up again."""
    found: Broker = request.getfixturevalue(f"{request.param}_kafka")
    return found


@pytest.fixture
def kafka(broker: Broker) -> str:
    """Bootstrap servers of each of the two brokers in turn."""
    return broker.bootstrap


@pytest.fixture
def make_topic(broker: Broker) -> MakeTopic:
    """Makes a topic of one test's own, with so many partitions, and returns its name."""

    def make(name: str, partitions: int) -> str:
        unique = f"{name}.{uuid.uuid4().hex[:8]}"
        broker.create_topic(unique, partitions)
        return unique

    return make
