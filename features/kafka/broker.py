"""The embedded broker: the cluster that librdkafka carries for its own tests, started through ctypes.

Other processes reach it at an address on loopback. It keeps everything in memory, 5 MiB a partition, and silently drops
what is older: a part of the demo and of tests, never a store.
"""

import argparse
import ctypes
import json
import os
import signal
import sys
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import cimpl

from features.errors import Unavailable
from features.kafka.topics import LOG_PREFIX, TOPICS

_PRODUCER = 0
_QUIET = {"log_level": "0", "bootstrap.servers": "127.0.0.1:9"}  # without servers it warns that it has none


class EmbeddedBroker:
    """A cluster with the topics of `features.kafka.topics`, empty at every start; ends with its `with` block.

    `bootstrap` is its addresses; `incarnation` the id that its positions belong to. Its brokers, `nodes`, share one
    memory: what one of them took, each of them has.

    Args:    partitions: topics and their sizes instead of those; brokers: how many, numbered from 1.
    """

    def __init__(self, partitions: Mapping[str, int] | None = None, brokers: int = 1) -> None:
        self.incarnation = uuid.uuid4().hex
        self.nodes = range(1, brokers + 1)
        self._lib = _library()
        self._handle: int | None = self._client()
        self._cluster = self._lib.rd_kafka_mock_cluster_new(self._handle, brokers)
        if not self._cluster:
            raise Unavailable("the embedded Kafka broker didn't start: no free port on loopback?")
        self.bootstrap: str = self._lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        self._lib.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        wanted = {name: topic.partitions for name, topic in TOPICS.items()} if partitions is None else partitions
        for name, count in {**wanted, LOG_PREFIX + self.incarnation: 1}.items():
            self.create_topic(name, count)

    def create_topic(self, name: str, partitions: int) -> None:
        """Makes a topic; one that is there already is an error."""
        self._check(
            self._lib.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, len(self.nodes)), name
        )

    def truncate(self, topic: str, partition: int, before: int) -> None:
        """Forgets the records below an offset, as a full partition does by itself."""
        code = self._lib.rd_kafka_mock_partition_delete_records(self._cluster, topic.encode(), partition, before)
        self._check(code, f"{topic}[{partition}]")

    def set_down(self, node: int | None = None) -> None:
        """Closes every connection of one broker, or of all, and takes no new one until `set_up`; what was stored stays.

        Nobody else takes over its partitions by itself: see `move_leader`.
        """
        for each in self._chosen(node):
            self._check(self._lib.rd_kafka_mock_broker_set_down(self._cluster, each), f"set_down of broker {each}")

    def set_up(self, node: int | None = None) -> None:
        """Answers again at the same address."""
        for each in self._chosen(node):
            self._check(self._lib.rd_kafka_mock_broker_set_up(self._cluster, each), f"set_up of broker {each}")

    def move_leader(self, topic: str, partition: int, node: int) -> None:
        """Makes another broker the leader of a partition; clients learn it when the old one refuses them."""
        code = self._lib.rd_kafka_mock_partition_set_leader(self._cluster, topic.encode(), partition, node)
        self._check(code, f"broker {node} as the leader of {topic}[{partition}]")

    def move_coordinator(self, group: str, node: int) -> None:
        """Makes another broker the coordinator of a group; its members find it by themselves."""
        code = self._lib.rd_kafka_mock_coordinator_set(self._cluster, b"group", group.encode(), node)
        self._check(code, f"broker {node} as the coordinator of {group}")

    def close(self) -> None:
        """Ends the broker with all that it holds; a second call does nothing."""
        if self._cluster:
            self._lib.rd_kafka_mock_cluster_destroy(self._cluster)
            self._lib.rd_kafka_destroy(self._handle)
            self._cluster = self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _chosen(self, node: int | None) -> Iterable[int]:
        return self.nodes if node is None else [node]

    def _client(self) -> int:
        """The mock cluster hangs on a client handle, which itself never connects anywhere."""
        reason = ctypes.create_string_buffer(512)
        conf = self._lib.rd_kafka_conf_new()
        for name, value in _QUIET.items():
            self._lib.rd_kafka_conf_set(conf, name.encode(), value.encode(), reason, len(reason))
        handle: int | None = self._lib.rd_kafka_new(_PRODUCER, conf, reason, len(reason))
        if not handle:
            raise Unavailable(f"the embedded Kafka broker didn't start: {reason.value.decode()}")
        return handle

    def _check(self, code: int, what: str) -> None:
        if code:
            raise Unavailable(f"the embedded Kafka broker refused {what}: {self._lib.rd_kafka_err2str(code).decode()}")


def _library() -> ctypes.CDLL:
    """librdkafka as confluent_kafka has loaded it: looking a name up in its extension finds it there."""
    library = ctypes.CDLL(cimpl.__file__)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures: dict[str, tuple[type | None, list[type]]] = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_conf_set": (number, [pointer, text, text, text, ctypes.c_size_t]),
        "rd_kafka_new": (pointer, [number, pointer, text, ctypes.c_size_t]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_err2str": (text, [number]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, number]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_topic_create": (number, [pointer, text, number, number]),
        "rd_kafka_mock_partition_delete_records": (number, [pointer, text, ctypes.c_int32, ctypes.c_int64]),
        "rd_kafka_mock_partition_set_leader": (number, [pointer, text, ctypes.c_int32, ctypes.c_int32]),
        "rd_kafka_mock_coordinator_set": (number, [pointer, text, text, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_down": (number, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_up": (number, [pointer, ctypes.c_int32]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def main() -> None:
    """Runs a broker until stdin closes or SIGTERM comes; its file, `{"bootstrap": "host:port"}`, says that it answers.

    SIGINT is left to whoever started it: Ctrl-C reaches every process of a terminal, and others still have to flush.
    """
    parser = argparse.ArgumentParser(prog="python -m features.kafka.broker", description="embedded Kafka broker")
    parser.add_argument("--port-file", type=Path, required=True, help="where to write the address, as JSON")
    port_file: Path = parser.parse_args().port_file
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with EmbeddedBroker() as broker:
        draft = port_file.with_name(f"{port_file.name}.{os.getpid()}")
        draft.write_text(json.dumps({"bootstrap": broker.bootstrap}))
        draft.replace(port_file)
        try:
            while sys.stdin.buffer.read(4096):
                pass
        finally:
            port_file.unlink(missing_ok=True)


def _stop(_signal: int, _frame: object) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
