"""Every store must do the same over one Redis and over a cluster of three nodes."""

import time

import pytest
import redis

from tests.redis_cluster import RedisCluster

READY_S = 30.0


@pytest.fixture
def cluster_url(redis_cluster: str, redis_nodes: RedisCluster) -> str:
    """URL of the cluster, empty; a node that has just joined takes no writes for two seconds."""
    deadline = time.monotonic() + READY_S
    for node in redis_nodes.nodes:
        with redis.Redis(port=node.port) as client:
            while client.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
                if time.monotonic() > deadline:
                    pytest.fail(f"{node.url} takes no writes")
                time.sleep(0.02)
    return redis_cluster.replace("redis://", "redis+cluster://")


@pytest.fixture(params=["redis_server", "cluster_url"], ids=["single", "cluster"])
def redis_url(request: pytest.FixtureRequest) -> str:
    """URL of each of the two in turn, empty."""
    return str(request.getfixturevalue(request.param))
