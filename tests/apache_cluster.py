"""Three real Apache Kafka brokers on loopback, of which one at a time may be stopped, killed and started again."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from features.kafka.topics import Topic, ensure_topics, metadata
from tests.apache_kafka import COMMON, KafkaNode, NoKafkaError, cluster_id, free_ports, listeners, replication

NODES, HEAP, IN_SYNC_S = 3, "384m", 60.0


class ApacheCluster:
    """Brokers 1 to 3, each a controller too: three copies of each record, written once two have it.

    `nodes` are processes by the ids that Kafka gives them: `nodes[2].kill()`, `nodes[2].start()`.
    """

    def __init__(self, jars: Path, folder: Path) -> None:
        ports = free_ports(2 * NODES)
        brokers = dict(enumerate(zip(ports[:NODES], ports[NODES:], strict=True), 1))
        voters = ",".join(f"{node}@127.0.0.1:{controller}" for node, (_, controller) in brokers.items())
        shared = COMMON | replication(NODES, NODES - 1) | {"controller.quorum.voters": voters}
        self.nodes: dict[int, KafkaNode] = {}
        for node, (port, controller) in brokers.items():
            home = folder / f"node-{node}"
            home.mkdir(parents=True)
            self.nodes[node] = KafkaNode(jars, home, shared | listeners(node, port, controller), HEAP)
        self.bootstrap = ",".join(node.address for node in self.nodes.values())
        name = cluster_id()
        with ThreadPoolExecutor(NODES) as pool:
            list(pool.map(lambda node: node.format(name), self.nodes.values()))

    def start(self) -> None:
        """Starts all nodes and waits until each answers and all know each other.

        Raises:  NoKafkaError: one ended, or took too long.
        """
        for node in self.nodes.values():
            node.launch()
        for node in self.nodes.values():
            node.wait()
        deadline = time.monotonic() + IN_SYNC_S
        while any(len(metadata(node.address, 5).brokers) < NODES for node in self.nodes.values()):
            if time.monotonic() > deadline:
                raise NoKafkaError("the brokers of the cluster didn't find each other")
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends all nodes, at once since nobody is left to take anything over."""
        for node in self.nodes.values():
            node.kill()

    def create_topic(self, name: str, partitions: int) -> None:
        """Makes a topic of three copies."""
        ensure_topics(self.bootstrap, {name: Topic(partitions)})

    def leader(self, topic: str, partition: int) -> int:
        """The node that answers for a partition; -1 while there is none."""
        return int(metadata(self.bootstrap, 10).topics[topic].partitions[partition].leader)

    def wait_in_sync(self, topic: str) -> None:
        """Returns once all nodes have every record of a topic: then the next one may go down.

        Raises:  NoKafkaError: that takes too long.
        """
        deadline = time.monotonic() + IN_SYNC_S
        while any(len(each.isrs) < NODES for each in metadata(self.bootstrap, 10).topics[topic].partitions.values()):
            if time.monotonic() > deadline:
                raise NoKafkaError(f"the copies of {topic} didn't come into step")
            time.sleep(0.05)
