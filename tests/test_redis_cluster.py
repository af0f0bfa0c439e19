"""The Redis Cluster of the tests is a real one, and this is how redis-py wants to be used with it."""

from collections import defaultdict
from pathlib import Path

import pytest
import redis
from redis.exceptions import MovedError, RedisClusterException

from features.online import AWAY
from tests.redis_cluster import RedisCluster

KEYS = [f"{{b:{bucket}}}:m" for bucket in range(64)]
SET_AND_GET = "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])"


def test_a_cluster_that_has_started_knows_all_its_slots_on_every_node(tmp_path: Path) -> None:
    cluster = RedisCluster(tmp_path)
    try:
        cluster.start()
        for node in cluster.nodes:
            with redis.Redis(port=node.port) as client:
                found = client.cluster("slots")  # each range with its owner: address, port, id
                assert sum(last - first + 1 for first, last, _owner in found) == 16_384
                assert {owner[1] for _, _, owner in found} == {each.port for each in cluster.nodes}
    finally:
        cluster.close()


def test_every_node_owns_a_third_of_the_slots(redis_nodes: RedisCluster) -> None:
    owners = [redis_nodes.node_of(key).url for key in KEYS]
    assert {node.url for node in redis_nodes.nodes} == set(owners)
    with redis.RedisCluster.from_url(redis_nodes.url) as client:
        assert [client.get_node_from_key(key).port for key in KEYS] == [int(url.rpartition(":")[2]) for url in owners]


def test_a_script_runs_on_the_node_of_its_key(redis_cluster: str) -> None:
    with redis.RedisCluster.from_url(redis_cluster) as client:
        digest = client.script_load(SET_AND_GET)
        assert [client.evalsha(digest, 1, key, key) for key in KEYS] == [key.encode() for key in KEYS]


def test_the_pipeline_of_a_cluster_refuses_scripts(redis_cluster: str) -> None:
    with redis.RedisCluster.from_url(redis_cluster) as client:
        digest = client.script_load(SET_AND_GET)
        with pytest.raises(RedisClusterException):
            client.pipeline().evalsha(digest, 1, KEYS[0], "v")


def test_a_pipeline_to_each_node_carries_scripts_and_reads(redis_cluster: str) -> None:
    with redis.RedisCluster.from_url(redis_cluster) as client:
        digest = client.script_load(SET_AND_GET)
        by_node = defaultdict(list)
        for key in KEYS:
            by_node[client.get_node_from_key(key)].append(key)
        assert len(by_node) == 3
        for node, keys in by_node.items():
            with client.get_redis_connection(node).pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.evalsha(digest, 1, key, key)
                    pipe.mget([key, key.replace(":m", ":none")])
                assert pipe.execute() == [answer for key in keys for answer in (key.encode(), [key.encode(), None])]


def test_a_key_sent_to_the_wrong_node_is_refused_with_the_right_one(redis_nodes: RedisCluster) -> None:
    right = redis_nodes.node_of(KEYS[0])
    wrong = next(node for node in redis_nodes.nodes if node is not right)
    with redis.Redis(port=wrong.port) as client, pytest.raises(MovedError) as moved:
        client.get(KEYS[0])
    assert moved.value.port == right.port


def test_one_node_away_leaves_the_slots_of_the_others(redis_nodes: RedisCluster) -> None:
    gone = redis_nodes.node_of(KEYS[0])
    others = [key for key in KEYS if redis_nodes.node_of(key) is not gone]
    with redis.RedisCluster.from_url(redis_nodes.url) as client:
        gone.kill()
        try:
            redis_nodes.wait_missed(gone)
            assert [client.set(key, "v") for key in others] == [True] * len(others)
            with pytest.raises(AWAY):
                client.set(KEYS[0], "v")
        finally:
            redis_nodes.start_again(gone)
        assert client.set(KEYS[0], "v") is True
