"""Servers that die, freeze, forget or fill up under running workers: nothing is lost, nothing counts twice."""

import random
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from features.kafka.broker import EmbeddedBroker
from features.online import connect
from features.online.state import meta_key
from features.settings import Settings
from tests.apache_kafka import ApacheKafka
from tests.conftest import MakeRedis
from tests.pipelines.conftest import MakeWorld
from tests.pipelines.stream_truth import GENERATION
from tests.pipelines.stream_world import World
from tests.redis_cluster import RedisCluster

MB = 2**20


def memory(world: World) -> float:
    return max(psutil.Process(worker.pid).memory_info().rss / MB for worker in world.workers if worker.poll() is None)


def test_a_redis_killed_and_started_again_under_traffic_is_waited_for_with_the_partitions_paused(
    make_world: MakeWorld, either_kafka: str, own_redis: MakeRedis, tmp_path: Path
) -> None:
    redis = own_redis(appendonly=True)
    world = make_world(Settings(data=tmp_path / "data", kafka=either_kafka, redis=redis.url))
    worker = world.worker()
    world.pour(seed=40, count=500)
    world.caught_up()
    with world.flowing(seed=41, count=1_500):
        world.moved(100)
        redis.kill()
        before = memory(world)
        world.until(lambda: "paused" in world.log_tail())
        for number in range(20):
            world.pour(seed=42 + number, count=300)
        assert memory(world) < before + 32  # what waits, waits in Kafka
        redis.start()
        world.until(lambda: "resumed with" in world.log_tail())
    world.caught_up()
    world.assert_exact()
    assert worker.poll() is None


def test_a_redis_that_freezes_for_seconds_is_waited_for(
    make_world: MakeWorld, either_kafka: str, own_redis: MakeRedis, tmp_path: Path
) -> None:
    redis = own_redis()
    world = make_world(Settings(data=tmp_path / "data", kafka=either_kafka, redis=redis.url))
    world.worker()
    with world.flowing(seed=43, count=2_500):
        world.moved(200)
        redis.freeze()
        thaw = threading.Timer(2.0, redis.thaw)
        thaw.start()
        thaw.join()
    world.caught_up()
    world.assert_exact()


@pytest.mark.slow
def test_a_redis_frozen_longer_than_calls_wait_is_waited_for(
    make_world: MakeWorld, either_kafka: str, own_redis: MakeRedis, tmp_path: Path
) -> None:
    redis = own_redis()
    world = make_world(Settings(data=tmp_path / "data", kafka=either_kafka, redis=redis.url))
    world.worker()
    with world.flowing(seed=44, count=6_000):
        world.moved(200)
        redis.freeze()
        # One that a rebalance or a fence meets first leaves its group and begins anew; else it pauses its partitions.
        world.until(lambda: "paused" in world.log_tail() or "starting over" in world.log_tail(), 200)
        redis.thaw()
    world.caught_up()
    world.assert_exact()


def test_a_redis_that_falls_back_to_an_older_snapshot_under_two_workers_catches_up_from_the_log(
    make_world: MakeWorld, either_kafka: str, own_redis: MakeRedis, tmp_path: Path
) -> None:
    redis = own_redis()
    world = make_world(Settings(data=tmp_path / "data", kafka=either_kafka, redis=redis.url))
    workers = [world.worker(), world.worker()]
    with world.flowing(seed=45, count=2_500):
        world.moved(300)
        older = redis.snapshot()
        world.moved(500)
        redis.roll_back(older)
    world.caught_up()
    world.assert_exact()
    assert [worker.poll() for worker in workers] == [None, None]


@pytest.mark.slow
def test_a_node_of_a_redis_cluster_killed_and_started_again_is_waited_for(
    make_world: MakeWorld, kafka_of_ones_own: EmbeddedBroker, redis_server: str, tmp_path: Path
) -> None:
    cluster = RedisCluster(tmp_path / "cluster", appendonly=True)
    cluster.start()
    url = cluster.url.replace("redis://", "redis+cluster://")
    world = make_world(
        Settings(data=tmp_path / "data", kafka=kafka_of_ones_own.bootstrap, redis=url), clean=redis_server
    )
    world.worker()
    with world.flowing(seed=46, count=3_000):
        world.moved(300)
        cluster.nodes[1].kill()
        world.until(lambda: "paused" in world.log_tail() or "starting over" in world.log_tail())
        cluster.start_again(cluster.nodes[1])
    world.caught_up(90)
    world.assert_exact()
    cluster.close()


@pytest.mark.slow
def test_buckets_that_move_to_another_node_under_traffic_lose_and_double_nothing(
    make_world: MakeWorld, kafka_of_ones_own: EmbeddedBroker, redis_server: str, tmp_path: Path
) -> None:
    cluster = RedisCluster(tmp_path / "cluster")
    cluster.start()
    url = cluster.url.replace("redis://", "redis+cluster://")
    world = make_world(
        Settings(data=tmp_path / "data", kafka=kafka_of_ones_own.bootstrap, redis=url), clean=redis_server
    )
    worker = world.worker()
    with world.flowing(seed=56, count=4_000):
        world.moved(300)
        moved = cluster.move([meta_key(bucket, GENERATION) for bucket in range(64)], to=cluster.nodes[2])
        assert moved > 20
        world.until(lambda: world.stands() >= 0)  # this test's own client asks anew where buckets are
        world.moved(300)
    world.caught_up(90)
    world.assert_exact()
    assert worker.poll() is None
    cluster.close()


def test_a_redis_cluster_holds_what_one_redis_would(
    make_world: MakeWorld, kafka_of_ones_own: EmbeddedBroker, redis_cluster: str, redis_server: str, tmp_path: Path
) -> None:
    url = redis_cluster.replace("redis://", "redis+cluster://")
    world = make_world(
        Settings(data=tmp_path / "data", kafka=kafka_of_ones_own.bootstrap, redis=url), clean=redis_server
    )
    world.pour(seed=47, count=400)
    world.pump()
    world.assert_exact()


def test_a_broker_that_is_down_for_a_while_is_waited_for(
    make_world: MakeWorld, kafka_of_ones_own: EmbeddedBroker, redis_server: str, tmp_path: Path
) -> None:
    world = make_world(Settings(data=tmp_path, kafka=kafka_of_ones_own.bootstrap, redis=redis_server))
    world.worker()
    with world.flowing(seed=48, count=1_500):
        world.moved(200)
        kafka_of_ones_own.set_down()
        time.sleep(1.0)
        kafka_of_ones_own.set_up()
    world.caught_up()
    world.assert_exact()


def test_leaders_that_move_and_brokers_that_go_and_come_change_nothing(
    make_world: MakeWorld, redis_server: str, tmp_path: Path
) -> None:
    rng = random.Random(1)
    with EmbeddedBroker(brokers=3) as broker:
        world = make_world(Settings(data=tmp_path, kafka=broker.bootstrap, redis=redis_server))
        world.worker()
        with world.flowing(seed=49, count=2_000):
            for _ in range(4):
                world.moved(100)
                for partition in range(16):
                    broker.move_leader("events", partition, rng.choice(broker.nodes))
            down = 3
            for partition in range(16):
                for topic in ("events", "events.rekey", "identity", "items", "events.dead-letter"):
                    if partition < (16 if topic in {"events", "events.rekey", "identity"} else 4):
                        broker.move_leader(topic, partition, rng.choice([1, 2]))
            broker.set_down(down)
            world.moved(200)
            broker.set_up(down)
        world.caught_up()
        world.assert_exact()


@pytest.mark.slow
def test_a_real_kafka_that_dies_and_starts_again_with_its_data_is_read_on(
    apache_world: World, apache_kafka: ApacheKafka
) -> None:
    apache_world.worker()
    apache_world.pour(seed=50, count=1_500)
    apache_world.moved(500)
    apache_kafka.kill()
    apache_kafka.start()
    apache_world.pour(seed=51, count=500)
    apache_world.caught_up(90)
    apache_world.assert_exact()


def test_a_disk_that_is_full_for_a_while_stops_the_worker_and_loses_nothing(either_world: World) -> None:
    full = either_world.settings.data / "full"
    either_world.pour(seed=52, count=300)
    full.touch()
    worker = either_world.worker("tests.pipelines.full_disk_worker")
    either_world.until(lambda: "File too large" in either_world.log_tail())
    assert either_world.stands() == 0
    full.unlink()
    either_world.pour(seed=53, count=300)
    either_world.caught_up()
    either_world.assert_exact()
    assert worker.poll() is None


@pytest.mark.slow
def test_workers_that_come_and_go_in_a_storm_lose_and_double_nothing(each_world: World) -> None:
    rng = random.Random(2)
    running = [each_world.worker()]
    with each_world.flowing(seed=54, count=12_000):
        for _ in range(10):
            each_world.moved(rng.randrange(100, 800))
            if len(running) < 3 and rng.random() < 0.6:
                running.append(each_world.worker())
            else:
                gone = running.pop(rng.randrange(len(running)))
                gone.send_signal(rng.choice([signal.SIGTERM, signal.SIGKILL]))
                if not running:
                    running.append(each_world.worker())
    each_world.caught_up(90)
    each_world.assert_exact()


def test_a_worker_starts_before_redis_does_and_waits(
    make_world: MakeWorld, world: World, own_redis: MakeRedis, tmp_path: Path
) -> None:
    redis = own_redis()
    redis.stop()
    late = make_world(Settings(data=tmp_path / "late", kafka=world.settings.kafka, redis=redis.url))
    late.settings.data.mkdir()
    worker = late.worker()
    late.pour(seed=55, count=100)
    late.until(lambda: "starting over" in late.log_tail())
    redis.start()
    late.caught_up()
    late.assert_exact()
    assert worker.poll() is None
    assert connect(redis.url).ping()
