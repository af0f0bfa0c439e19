"""What many tests share: Kafka and Redis, alone or in a cluster; each starts once, when first asked for."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from features.kafka.broker import EmbeddedBroker
from tests.apache_cluster import ApacheCluster
from tests.apache_kafka import ApacheKafka, NoKafkaError, fetched, jars_folder
from tests.redis_cluster import RedisCluster
from tests.redis_server import RedisServer

Broker = EmbeddedBroker | ApacheKafka
MakeTopic = Callable[[str, int], str]
MakeRedis = Callable[..., RedisServer]


@pytest.fixture(scope="session")
def embedded_kafka() -> Iterator[EmbeddedBroker]:
    """The embedded broker, with Kindred's topics."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka_jars() -> Path:
    """The jars of Apache Kafka; skips where they can't be had, and fails instead where CI=true."""
    try:
        return fetched(jars_folder())
    except NoKafkaError as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no real Kafka: {reason}")
        pytest.skip(f"no real Kafka: {reason}")


@pytest.fixture(scope="session")
def apache_kafka(kafka_jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """A real Apache Kafka without topics."""
    kafka = ApacheKafka(kafka_jars, tmp_path_factory.mktemp("apache-kafka"))
    kafka.start()
    yield kafka
    kafka.stop()


@pytest.fixture
def apache_cluster(kafka_jars: Path, tmp_path: Path) -> Iterator[ApacheCluster]:
    """Three real brokers of one test's own, without topics; they take ten seconds to start."""
    cluster = ApacheCluster(kafka_jars, tmp_path / "apache-cluster")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


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
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server.url
    server.close()


@pytest.fixture
def redis_server(redis_process: str) -> str:
    """URL of the embedded Redis, empty."""
    with redis.Redis.from_url(redis_process) as client:
        client.flushall()
    return redis_process


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[MakeRedis]:
    """Starts a Redis of the test's own, to be killed, frozen or rolled back; with `appendonly` it keeps all it said."""
    made: list[RedisServer] = []

    def make(appendonly: bool = False) -> RedisServer:
        made.append(RedisServer(tmp_path / f"redis-{len(made)}", appendonly))
        made[-1].start()
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture(scope="session")
def redis_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A Redis Cluster of three nodes; a test that takes one down must bring it up again."""
    cluster = RedisCluster(tmp_path_factory.mktemp("redis-cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def redis_cluster(redis_nodes: RedisCluster) -> str:
    """URL of a node of the Redis Cluster, which is empty."""
    redis_nodes.clear()
    return redis_nodes.url
