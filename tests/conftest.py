"""What many tests share: the embedded broker, a real Apache Kafka, a Redis; each starts once, when first asked for."""

import os
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
import redis

from features.kafka.broker import EmbeddedBroker
from features.online import AWAY
from features.online.server import start_command
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


@pytest.fixture(scope="session")
def redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of one embedded Redis on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    folder = tmp_path_factory.mktemp("redis")
    with (folder / "redis.log").open("ab") as log:
        process = subprocess.Popen(start_command(folder, port), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    client = redis.Redis(port=port)
    deadline = time.monotonic() + 20
    while not _answers(client):
        assert process.poll() is None, (folder / "redis.log").read_text()
        assert time.monotonic() < deadline, "Redis doesn't answer"
        time.sleep(0.02)
    yield f"redis://127.0.0.1:{port}"
    client.close()
    process.kill()
    process.wait()


@pytest.fixture
def redis_server(redis_process: str) -> str:
    """URL of the embedded Redis, empty."""
    with redis.Redis.from_url(redis_process) as client:
        client.flushall()
    return redis_process


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except AWAY:
        return False
