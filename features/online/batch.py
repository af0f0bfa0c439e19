"""Many commands in one round trip, to one Redis or to each node of a cluster: each command goes where its key lives."""

import hashlib
from typing import Any, cast

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import AskError, NoScriptError, ResponseError

Client = redis.Redis | RedisCluster


class Batch:
    """Collects commands; `execute` sends them, one pipeline a node, and answers in their order.

    A command that fails fails the batch, though others of it may have been carried out: all that Kindred writes is
    either compared with what it was built on or changes nothing when it is done again.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self._commands: list[tuple[str, tuple[Any, ...]]] = []
        self._scripts: dict[str, Script] = {}

    def add(self, command: str, key: str, *args: Any) -> None:
        """A command about one key, or about several of the same slot."""
        self._commands.append((key, (command, key, *args)))

    def script(self, script: "Script", keys: list[str], args: list[Any]) -> None:
        """A call of a script; all its keys lie in one slot."""
        self._scripts[script.sha] = script
        self._commands.append((keys[0], ("EVALSHA", script.sha, len(keys), *keys, *args)))

    def execute(self) -> list[Any]:
        """Every command's answer.

        A node that was restarted has forgotten its scripts: it is told them again. One that no longer has the slots,
        or is gone, fails the batch, and the next one asks the cluster anew who has them.

        Raises:  redis.RedisError, OSError: of the first that failed.
        """
        commands, self._commands = self._commands, []
        try:
            answers = self._send(commands, list(range(len(commands))))
            forgotten = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if forgotten:
                for script in self._scripts.values():
                    script.load(self.client)
                for at, answer in zip(forgotten, self._send(commands, forgotten), strict=True):
                    answers[at] = answer
            for answer in answers:
                if isinstance(answer, ResponseError):
                    raise answer
        except (AskError, redis.ConnectionError, redis.TimeoutError):
            if isinstance(self.client, RedisCluster):
                self.client.nodes_manager.initialize()
            raise
        return answers

    def _send(self, commands: list[tuple[str, tuple[Any, ...]]], wanted: list[int]) -> list[Any]:
        """The answers of some of the commands; the error is the answer of one that was refused."""
        found: dict[int, Any] = {}
        for connection, places in self._by_node(commands, wanted):
            with connection.pipeline(transaction=False) as pipe:
                for at in places:
                    pipe.execute_command(*commands[at][1])  # type: ignore[no-untyped-call]
                found.update(zip(places, pipe.execute(raise_on_error=False), strict=True))
        return [found[at] for at in wanted]

    def _by_node(
        self, commands: list[tuple[str, tuple[Any, ...]]], wanted: list[int]
    ) -> list[tuple[redis.Redis, list[int]]]:
        if not isinstance(self.client, RedisCluster):
            return [(self.client, wanted)]
        places: dict[str, list[int]] = {}
        nodes: dict[str, ClusterNode] = {}
        for at in wanted:
            node = cast("ClusterNode", self.client.get_node_from_key(commands[at][0]))  # type: ignore[no-untyped-call]
            nodes[node.name] = node
            places.setdefault(node.name, []).append(at)
        return [(self.client.get_redis_connection(nodes[name]), mine) for name, mine in places.items()]


class Script:
    """A Lua script, known to every node that can be written to."""

    def __init__(self, client: Client, source: str) -> None:
        self.source = source
        self.sha = hashlib.sha1(source.encode()).hexdigest()  # noqa: S324 - Redis names scripts so
        self.load(client)

    def load(self, client: Client) -> None:
        """Tell it to the nodes."""
        for each in primaries(client):
            each.script_load(self.source)


def primaries(client: Client) -> list[redis.Redis]:
    """A connection to each node that can be written to."""
    if not isinstance(client, RedisCluster):
        return [client]
    return [client.get_redis_connection(node) for node in client.get_primaries()]  # type: ignore[no-untyped-call]
