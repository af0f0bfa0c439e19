"""A real Apache Kafka for the tests: its jars by Maven, a KRaft node on loopback, killed and restarted at will."""

import base64
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from features.kafka.producer import is_up
from features.kafka.topics import Topic, ensure_topics

POM = Path(__file__).with_name("kafka-pom.xml")
START_S, FETCH_S = 60.0, 600.0

# For one node or several; `log.dirs` and the ids come from `properties`.
COMMON = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "300",
    "broker.session.timeout.ms": "1500",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
}


class NoKafkaError(Exception):
    """Apache Kafka can't be had here; the message says why."""


def jars_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the jars are kept between runs: beside Kindred's own data, which git ignores."""
    return Path(environment.get("KINDRED_DATA") or POM.parents[1] / ".kindred").resolve() / "kafka-jars"


def kafka_available(folder: Path) -> tuple[bool, str]:
    """Whether real Kafka can be started, fetching it where it hasn't been yet; and if not, why."""
    try:
        fetched(folder)
    except NoKafkaError as error:
        return False, str(error)
    return True, ""


def fetched(folder: Path) -> Path:
    """The folder with Kafka's jars, complete: fetched beside it first and then moved, so that half of it never counts.

    Maven's own repository lies in there too, for as long as the fetch takes.

    Raises:  NoKafkaError: no Java, no Maven, or a fetch that failed.
    """
    if shutil.which("java") is None:
        raise NoKafkaError("Java isn't installed")
    jars = folder / "jars"
    if jars.is_dir():
        return jars
    if shutil.which("mvn") is None:
        raise NoKafkaError("Maven isn't installed")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        _fetch(Path(work))
        if not jars.is_dir():  # another run may have been faster
            (Path(work) / "jars").rename(jars)
    return jars


def _fetch(work: Path) -> None:
    command = ["mvn", "--batch-mode", "--quiet", f"--file={POM}", f"-Dmaven.repo.local={work / 'repository'}"]
    options = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={work / 'jars'}"]
    try:
        subprocess.run([*command, *options], check=True, capture_output=True, timeout=FETCH_S, cwd=work)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        output = (error.stdout or b"").decode(errors="replace").strip().splitlines()
        raise NoKafkaError(f"Maven couldn't fetch Kafka: {output[0] if output else error}") from error


class KafkaNode:
    """One broker's process over one folder; what it stored outlives `stop`, `kill` and `start`.

    Args:    properties: its server.properties; heap: of its JVM, as in `-Xmx512m`.
    """

    def __init__(self, jars: Path, folder: Path, properties: Mapping[str, str], heap: str = "512m") -> None:
        self.address = properties["advertised.listeners"].split(",")[0].removeprefix("PLAINTEXT://")
        self._log = folder / "kafka.log"
        self._java = ["java", f"-Xmx{heap}", "-cp", f"{jars}/*"]
        self._properties = folder / "server.properties"
        self._process: subprocess.Popen[bytes] | None = None
        lines = {**properties, "log.dirs": str(folder / "data")}
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def format(self, cluster_id: str, *options: str) -> None:
        """Prepares its folder, once, before the first start."""
        command = ["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self._properties), *options]
        with self._log.open("ab") as log:
            subprocess.run([*self._java, *command], check=True, stdout=log, stderr=log, timeout=START_S)

    def launch(self) -> None:
        """Starts the process; see `wait`."""
        with self._log.open("ab") as log:
            command = [*self._java, "kafka.Kafka", str(self._properties)]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait(self) -> None:
        """Returns once it answers.

        Raises:  NoKafkaError: it ended, or took too long.
        """
        deadline = time.monotonic() + START_S
        while not is_up(self.address, 0.5)[0]:
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise NoKafkaError(f"Kafka didn't start; its log ends: {self._log.read_text()[-800:]}")

    def start(self) -> None:
        """Starts it and waits until it answers."""
        self.launch()
        self.wait()

    def stop(self) -> None:
        """Ends it in order; ended already is well."""
        self._end(kill=False)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self._end(kill=True)

    def _end(self, kill: bool) -> None:
        if self._process is None:
            return
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


class ApacheKafka:
    """A single node in a folder of its own; what it stored outlives `stop`, `kill` and `start`."""

    def __init__(self, jars: Path, folder: Path) -> None:
        port, controller = free_ports(2)
        voter = {"controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}"}
        self._node = KafkaNode(jars, folder, COMMON | voter | replication(1, 1) | listeners(1, port, controller))
        self._node.format(cluster_id(), "--standalone")
        self.bootstrap = self._node.address

    def start(self) -> None:
        """Starts it and waits until it answers."""
        self._node.start()

    def stop(self) -> None:
        """Ends it in order; ended already is well."""
        self._node.stop()

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self._node.kill()

    def restart(self) -> None:
        """Ends it in order and starts it again, with its data, at the same address."""
        self.stop()
        self.start()

    def create_topic(self, name: str, partitions: int) -> None:
        """Makes a topic with the broker's defaults."""
        ensure_topics(self.bootstrap, {name: Topic(partitions)})

    def delete_topic(self, name: str) -> None:
        """Deletes a topic and waits until the broker says so."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for deleted in admin.delete_topics([name], operation_timeout=10).values():
            deleted.result()
        while name in admin.list_topics(timeout=10).topics:  # the controller knows before the broker does
            time.sleep(0.02)

    def truncate(self, topic: str, partition: int, before: int) -> None:
        """Forgets the records below an offset, as retention does by itself."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for deleted in admin.delete_records([TopicPartition(topic, partition, before)]).values():
            deleted.result()

    def set_down(self) -> None:
        """As the embedded broker's: nobody answers until `set_up`."""
        self.kill()

    def set_up(self) -> None:
        """Answers again at the same address, with what it had."""
        self.start()


def listeners(node: int, port: int, controller: int) -> dict[str, str]:
    """Who a node is and where it listens."""
    both = f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"
    return {"node.id": str(node), "listeners": both, "advertised.listeners": both}


def replication(factor: int, in_sync: int) -> dict[str, str]:
    """How many nodes hold each record, Kafka's own included, and how many must before it counts as written."""
    own = {"transaction.state.log.min.isr": in_sync, "share.coordinator.state.topic.min.isr": in_sync}
    factors = ("default", "offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    counts = own | {"min.insync.replicas": in_sync} | {f"{name}.replication.factor": factor for name in factors}
    return {name: str(count) for name, count in counts.items()}


def cluster_id() -> str:
    """An id for a new cluster, as Kafka writes UUIDs; never one that would look like an option."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports
