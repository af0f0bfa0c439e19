"""The embedded broker as a process of its own: it says where it is, and ends with its starter."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.errors import Unavailable
from features.kafka.broker import EmbeddedBroker
from features.kafka.consumer import Consumer
from features.kafka.producer import Producer, is_up
from features.kafka.topics import TOPICS, log_id, metadata, partitions_of
from tests.features.kafka.conftest import from_zero, read

Started = tuple[subprocess.Popen[bytes], str, Path]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    port_file = tmp_path / "kafka.json"
    command = [sys.executable, "-m", "features.kafka.broker", "--port-file", str(port_file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        while not port_file.exists():
            assert process.poll() is None
        yield process, json.loads(port_file.read_text())["bootstrap"], port_file
        process.kill()


def test_the_process_answers_on_loopback_with_all_topics(started: Started) -> None:
    _, bootstrap, _ = started
    assert bootstrap.startswith("127.0.0.1:")
    assert {name: partitions_of(bootstrap, name) for name in TOPICS} == {n: t.partitions for n, t in TOPICS.items()}
    assert log_id(bootstrap, "events")


def test_the_process_ends_when_its_stdin_closes(started: Started) -> None:
    process, bootstrap, port_file = started
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(10) == 0
    assert not port_file.exists()
    assert is_up(bootstrap, 0.2)[0] is False


def test_the_process_ends_on_sigterm_but_not_on_ctrl_c(started: Started) -> None:
    process, bootstrap, _ = started
    process.send_signal(signal.SIGINT)
    assert is_up(bootstrap)[0] is True
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_a_topic_that_is_there_is_refused_with_its_name(embedded_kafka: EmbeddedBroker) -> None:
    with pytest.raises(Unavailable, match="events"):
        embedded_kafka.create_topic("events", 2)


def test_a_closed_broker_can_be_closed_again() -> None:
    broker = EmbeddedBroker({"one": 1})
    broker.close()
    broker.close()
    assert is_up(broker.bootstrap, 0.2)[0] is False


@pytest.fixture
def trio() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker({"t": 3}, brokers=3) as cluster:
        yield cluster


def leaders(cluster: EmbeddedBroker) -> list[int]:
    return [place.leader for place in metadata(cluster.bootstrap, 5).topics["t"].partitions.values()]


def test_a_cluster_of_three_answers_at_three_addresses(trio: EmbeddedBroker) -> None:
    assert [is_up(address)[1].split()[3] for address in trio.bootstrap.split(",")] == ["3"] * 3
    assert len(set(trio.bootstrap.split(","))) == 3


def test_one_broker_down_leaves_the_others_up(trio: EmbeddedBroker) -> None:
    addresses = trio.bootstrap.split(",")
    trio.set_down(2)
    assert [is_up(address, 0.5)[0] for address in addresses] == [True, False, True]
    trio.set_up(2)
    assert is_up(addresses[1], 10)[0] is True


def test_all_brokers_go_down_and_up_together(trio: EmbeddedBroker) -> None:
    trio.set_down()
    assert [is_up(address, 0.3)[0] for address in trio.bootstrap.split(",")] == [False] * 3
    trio.set_up()
    assert is_up(trio.bootstrap, 10)[0] is True


def test_a_moved_leader_is_what_clients_are_told(trio: EmbeddedBroker) -> None:
    for node in trio.nodes:
        for partition in range(3):
            trio.move_leader("t", partition, node)
        assert leaders(trio) == [node] * 3


def test_a_group_whose_coordinator_is_down_waits_until_another_broker_takes_it(trio: EmbeddedBroker) -> None:
    for partition in range(3):
        trio.move_leader("t", partition, 1)
    trio.move_coordinator("waiting", 2)
    trio.set_down(2)
    producer, consumer = Producer(trio.bootstrap), Consumer(trio.bootstrap, "waiting")
    consumer.subscribe(["t"], from_zero, lambda _places: None)
    producer.send("t", b"k", b"v")
    producer.flush()
    assert read(consumer, 1, polls=5) == []
    trio.move_coordinator("waiting", 3)
    assert [record.value for record in read(consumer, 1)] == [b"v"]
    consumer.close()
    producer.close()


def test_nothing_is_lost_or_doubled_while_leaders_and_coordinators_go_down_and_others_take_over(
    trio: EmbeddedBroker,
) -> None:
    producer = Producer(trio.bootstrap, delivery_timeout_ms=20_000)
    consumer = Consumer(trio.bootstrap, "moves")
    consumer.subscribe(["t"], from_zero, lambda _places: None)
    values: list[bytes] = []
    for gone, heir in ((3, 1), (1, 2), (2, 3)):
        trio.set_down(gone)
        trio.move_coordinator("moves", heir)
        for partition in range(3):
            trio.move_leader("t", partition, heir)
        for number in range(30):
            producer.send("t", b"%d" % number, b"%d of %d" % (number, heir))
        producer.flush(20)
        values += [record.value or b"" for record in read(consumer, 30)]
        trio.set_up(gone)
    assert sorted(values) == sorted(b"%d of %d" % (number, heir) for number in range(30) for heir in (1, 2, 3))
    consumer.close()
    producer.close()


def test_a_place_that_is_not_there_is_refused(trio: EmbeddedBroker) -> None:
    with pytest.raises(Unavailable, match=r"leader of t\[9\]"):
        trio.move_leader("t", 9, 1)
    with pytest.raises(Unavailable, match="broker 4"):
        trio.set_down(4)
