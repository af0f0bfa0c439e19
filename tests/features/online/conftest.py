"""Every store must do the same over one Redis and over a cluster of three nodes."""

import pytest


@pytest.fixture
def cluster_url(redis_cluster: str) -> str:
    """URL of the cluster, empty."""
    return redis_cluster.replace("redis://", "redis+cluster://")


@pytest.fixture(params=["redis_server", "cluster_url"], ids=["single", "cluster"])
def redis_url(request: pytest.FixtureRequest) -> str:
    """URL of each of the two in turn, empty."""
    return str(request.getfixturevalue(request.param))
