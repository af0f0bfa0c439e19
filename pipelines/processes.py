"""Starting and stopping the processes that a command needs, with nothing left behind."""

import contextlib
import fcntl
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from features.errors import Unavailable
from pipelines.lifeline import GRACE_S

logger = logging.getLogger("kindred.processes")

LOOPBACK = "127.0.0.1"
STEP_S = 0.05
STOP_S = 2 * GRACE_S + 5.0  # what a lifeline may take, and some more


@dataclass
class Child:
    """One started process; closing its stdin ends it and its whole family."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path


class Children:
    """Processes in the order they were started; they end in reverse order."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.running: list[Child] = []
        self._kept: list[socket.socket] = []

    def port(self, wanted: int) -> int:
        """The wanted port of loopback for a server, or the next free one; nobody else is given it until stop().

        A server listens seconds after it was started; until then two shops that start at once would be given the same
        port, and the one whose server came late would talk to the other's. A UDP socket of the same number, which the
        kernel closes with this process, keeps it.

        Raises:  Unavailable: a hundred in a row are taken.
        """
        for port in range(wanted, min(wanted + 100, 65_536)):
            kept = socket.socket(type=socket.SOCK_DGRAM)
            try:
                kept.bind((LOOPBACK, port))
                _need_free(port)
            except OSError:
                kept.close()
                continue
            self._kept.append(kept)
            return port
        raise Unavailable(f"ports {wanted} to {wanted + 99} are all taken")

    def start(self, name: str, command: list[str], environment: Mapping[str, str]) -> Child:
        """Start a command whose output goes to a log file of its name."""
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pipelines.lifeline", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,  # Ctrl-C reaches the starter alone, which then stops the rest in order
            )
        child = Child(name, process, log)
        self.running.append(child)
        return child

    def wait_until(self, child: Child, ready: Callable[[], bool], timeout_s: float) -> None:
        """Return once `ready()`.

        Raises:  Unavailable: the process ended or the time is up; with the last line of its log.
        """
        until = time.monotonic() + timeout_s
        while not ready():
            if child.process.poll() is not None:
                raise Unavailable(f"{child.name} ended while starting; {last_words(child.log)}")
            if time.monotonic() > until:
                raise Unavailable(f"{child.name} didn't start within {timeout_s:g} s; {last_words(child.log)}")
            time.sleep(STEP_S)

    def dead(self) -> Child | None:
        """The first process that has ended by itself."""
        return next((child for child in self.running if child.process.poll() is not None), None)

    def keep(
        self,
        command: list[str],
        environment: Mapping[str, str],
        stopping: threading.Event,
        look_every_s: float,
        most_restarts: int,
        peace_s: float,
    ) -> None:
        """Until `stopping`, start each process that ended again, by the same command.

        Raises:  Unavailable: they ended so many times, never with that much peace between.
        """
        restarts, last = 0, time.monotonic()
        while not stopping.wait(look_every_s):
            child = self.dead()
            if child is None:
                continue
            restarts = 1 if time.monotonic() - last > peace_s else restarts + 1
            last = time.monotonic()
            if restarts > most_restarts:
                raise Unavailable(f"{child.name} ended {restarts} times in a row; {last_words(child.log)}")
            logger.warning("%s ended with status %s and is started again", child.name, child.process.returncode)
            self.running.remove(child)
            self.start(child.name, command, environment)

    def stop(self) -> None:
        """End all of them, the last started first."""
        for child in reversed(self.running):
            if child.process.stdin is not None:
                child.process.stdin.close()
            try:
                child.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        self.running.clear()
        for kept in self._kept:
            kept.close()
        self._kept.clear()


@contextlib.contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Only one process at a time is in a block with this lock file; others wait."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _need_free(port: int) -> None:
    """Raises OSError where somebody listens on it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((LOOPBACK, port))


def last_words(log: Path) -> str:
    """Where a log is and how it ends, in one line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"its log {log} ends: {lines[-1]}" if lines else f"its log {log} is empty"
