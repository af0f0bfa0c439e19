"""What a command starts is gone when the command is, however it ends."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from features.errors import Unavailable
from pipelines.processes import Children

NAP = "import time; time.sleep(600)"
FAMILY = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{NAP}'])"
SLEEPER = [sys.executable, "-c", FAMILY]
STARTER = f"""
import sys, time
from pathlib import Path
from pipelines.processes import Children
children = Children(Path(sys.argv[1]))
children.start("sleeper", {SLEEPER!r}, {{}})
print("started", flush=True)
time.sleep(600)
"""


def family(pid: int, size: int = 3) -> list[psutil.Process]:
    """All descendants, once they are there: lifeline, command, and the command's own child."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        found = psutil.Process(pid).children(recursive=True)
        if len(found) >= size:
            return found
        time.sleep(0.05)
    raise AssertionError("the processes didn't start")


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert alive == []


def test_stopping_ends_the_whole_family(tmp_path: Path) -> None:
    children = Children(tmp_path)
    child = children.start("sleeper", SLEEPER, {})
    lifeline = psutil.Process(child.process.pid)
    processes = [lifeline, *family(lifeline.pid, 2)]
    children.stop()
    assert_gone(processes)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_starter_that_dies_takes_the_family_with_it(tmp_path: Path, number: signal.Signals) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert starter.stdout is not None
    with starter.stdout:
        assert starter.stdout.readline() == b"started\n"
    processes = family(starter.pid)
    starter.send_signal(number)
    starter.wait(20)
    assert_gone(processes)


def test_a_lifeline_that_is_killed_takes_its_command_with_it(tmp_path: Path) -> None:
    children = Children(tmp_path)
    child = children.start("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"], {})
    until = time.monotonic() + 20
    while not (found := psutil.Process(child.process.pid).children()) and time.monotonic() < until:
        time.sleep(0.05)
    child.process.kill()
    assert_gone(found)
    assert children.dead() is child
    children.stop()


def test_a_process_that_ends_while_starting_is_said_with_its_log(tmp_path: Path) -> None:
    children = Children(tmp_path)
    child = children.start("broken", [sys.executable, "-c", "raise SystemExit('no such thing')"], {})
    with pytest.raises(Unavailable, match="no such thing"):
        children.wait_until(child, lambda: False, 20)
    children.stop()


def test_a_taken_port_gives_the_next_free_one(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        children = Children(tmp_path)
        assert children.port(port) > port
        children.stop()


def test_shops_that_start_at_once_are_given_ports_of_their_own(tmp_path: Path) -> None:
    one, other = Children(tmp_path / "one"), Children(tmp_path / "other")
    port = one.port(20_000)
    assert other.port(port) > port
    one.stop()
    other.stop()
    assert one.port(port) == port
    one.stop()
