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
from features.kafka.producer import is_up
from features.kafka.topics import TOPICS, log_id, partitions_of

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
