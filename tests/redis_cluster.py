"""A Redis Cluster of three nodes on loopback, made of three `RedisServer`s."""

import itertools
import random
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import redis

from tests.redis_server import NoRedisError, RedisServer

NODES, SLOTS, READY_S = 3, 16_384, 30.0
BUS = 10_000  # Redis 6 talks to its peers at its own port plus this
OPTIONS = {
    "cluster-enabled": "yes",
    "cluster-node-timeout": "2000",
    "cluster-require-full-coverage": "no",  # while one node is away the others go on with their slots
}


class RedisCluster:
    """Three nodes that share the slots evenly and have no replicas; `url` is where a client starts.

    `nodes` are processes of their own: kill, freeze or roll one back, and the slots of the others still answer.

    Args:    appendonly: as of `RedisServer`, for each node.
    """

    def __init__(self, folder: Path, appendonly: bool = False) -> None:
        self.nodes = [RedisServer(folder / f"node-{n}", appendonly, OPTIONS, _port()) for n in range(NODES)]
        self.url = self.nodes[0].url

    def start(self) -> None:
        """Starts the nodes, gives each its slots, and waits until all of them know it.

        Raises:  NoRedisError: a node doesn't start, or they don't find each other.
        """
        for node in self.nodes:
            node.start()
        clients: list[Any] = [redis.Redis(port=node.port) for node in self.nodes]
        for epoch, (client, slots) in enumerate(zip(clients, _slots(), strict=True), 1):
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", epoch)  # else they quarrel over who is newest
            client.execute_command("CLUSTER ADDSLOTS", *slots)
        for node in self.nodes[1:]:
            clients[0].execute_command("CLUSTER MEET", "127.0.0.1", node.port)
        for client in clients:
            client.close()
        self._wait()

    def start_again(self, node: RedisServer) -> None:
        """Starts a node that was ended, and returns once all see it again."""
        node.start()
        self._wait()

    def wait_missed(self, node: RedisServer) -> None:
        """Returns once the other nodes have noticed that one is away: seconds after it went.

        Raises:  NoRedisError: they don't.
        """
        others = [redis.Redis(port=each.port) for each in self.nodes if each is not node]
        _until(others, lambda client: "fail" in _flags(client, node), "the cluster doesn't miss the node")

    def node_of(self, key: str) -> RedisServer:
        """The node whose slots a key belongs to."""
        with redis.Redis(port=self.nodes[0].port) as client:
            slot = int(client.execute_command("CLUSTER KEYSLOT", key))
        return next(node for node, slots in zip(self.nodes, _slots(), strict=True) if slot in slots)

    def move(self, keys: Iterable[str], to: RedisServer) -> int:
        """Moves the slots of some keys to a node, while they are used, as `redis-cli --cluster reshard` does.

        Returns: how many of them another node had.
        """
        clients: list[Any] = [redis.Redis(port=node.port) for node in self.nodes]
        ids = [client.execute_command("CLUSTER MYID").decode() for client in clients]
        names = {node.port: name for node, name in zip(self.nodes, ids, strict=True)}
        slots = {int(clients[0].execute_command("CLUSTER KEYSLOT", key)): self.node_of(key) for key in keys}
        moved = {slot: node for slot, node in slots.items() if node is not to}
        target = clients[self.nodes.index(to)]
        for slot, node in moved.items():
            source = clients[self.nodes.index(node)]
            target.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", names[node.port])
            source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", names[to.port])
            while there := source.execute_command("CLUSTER GETKEYSINSLOT", slot, 10):
                source.execute_command("MIGRATE", "127.0.0.1", to.port, "", 0, 5_000, "KEYS", *there)
            for client in (target, source, *clients):
                client.execute_command("CLUSTER SETSLOT", slot, "NODE", names[to.port])
        for client in clients:
            client.close()
        return len(moved)

    def clear(self) -> None:
        """Forgets every key; the slots stay where they are."""
        for node in self.nodes:
            with redis.Redis(port=node.port) as client:
                client.flushall()

    def close(self) -> None:
        """Ends all nodes."""
        for node in self.nodes:
            node.close()

    def _wait(self) -> None:
        _until([redis.Redis(port=each.port) for each in self.nodes], _knows_all, "the nodes didn't find each other")


def _until(clients: list[Any], ready: Callable[[Any], bool], otherwise: str) -> None:
    """Returns once all nodes are ready, and closes the clients; `execute_command` is untyped in redis-py."""
    deadline = time.monotonic() + READY_S
    while not all(ready(client) for client in clients):
        if time.monotonic() > deadline:
            raise NoRedisError(otherwise)
        time.sleep(0.02)
    for client in clients:
        client.close()


def _flags(client: Any, node: RedisServer) -> list[str]:
    """How a node sees another one, for example master and fail; redis-py has parsed its answer: a dict by address."""
    flags: str = client.execute_command("CLUSTER NODES")[f"127.0.0.1:{node.port}"]["flags"]
    return flags.split(",")


def _slots() -> list[range]:
    edges = [SLOTS * n // NODES for n in range(NODES + 1)]
    return [range(*pair) for pair in itertools.pairwise(edges)]


def _knows_all(client: Any) -> bool:
    """Whether a node has found every node and its slots, and takes writes, which it does two seconds later."""
    if client.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
        return False
    nodes = client.execute_command("CLUSTER NODES").values()
    return len([node for node in nodes if node["connected"] and node["slots"] and "fail" not in node["flags"]]) == NODES


def _port() -> int:
    """A port whose port for the bus is free too."""
    while True:
        port = random.randrange(20_000, 30_000)
        try:
            with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", port + BUS)):
                return port
        except OSError:
            continue
