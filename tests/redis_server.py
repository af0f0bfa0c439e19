"""A Redis of a test's own: killed, frozen, restarted and rolled back at will, always at the same address."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from features.online import AWAY
from features.online.server import start_command

START_S = 20.0


class NoRedisError(Exception):
    """Redis doesn't start; the message is what it said."""


class RedisServer:
    """One process over one folder; what it saved outlives `stop` and `start`.

    `kill` loses whatever came since the last save; with `appendonly` nothing that was answered.

    Args:    appendonly: keep an append-only file; options: more lines of redis.conf; port: a free one unless given.
    """

    def __init__(
        self, folder: Path, appendonly: bool = False, options: Mapping[str, str] | None = None, port: int | None = None
    ) -> None:
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.folder = folder / "data"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "redis.log"
        self._snapshots = folder / "snapshots"
        more = {"appendonly": "yes" if appendonly else "no", **(options or {})}
        flags = [part for name, value in more.items() for part in (f"--{name}", value)]
        self._command = [*start_command(self.folder, self.port), *flags]
        self._process: subprocess.Popen[bytes] | None = None
        self._client = redis.Redis(port=self.port, socket_timeout=START_S, retry=Retry(NoBackoff(), 0))

    def start(self) -> None:
        """Starts it and waits until it has loaded its data and answers.

        Raises:  NoRedisError: it ended, or took too long.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise NoRedisError(self._log.read_text()[-800:])
            time.sleep(0.01)

    def stop(self) -> None:
        """Ends it in order, with a snapshot of all it holds; ended already is well."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it as `kill -9` does; ended already is well."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Connections stay open and new ones are taken, but nothing is answered until `thaw`."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Goes on, with what was sent to it meanwhile."""
        self._running().send_signal(signal.SIGCONT)

    def snapshot(self) -> Path:
        """A copy of its data as it is now, for `roll_back`."""
        self._client.save()
        copy = self._snapshots / str(len(list(self._snapshots.glob("*"))))
        shutil.copytree(self.folder, copy)
        return copy

    def roll_back(self, snapshot: Path) -> None:
        """Killed and started again with older data, as a failover to a replica that lags comes out."""
        self.kill()
        shutil.rmtree(self.folder)
        shutil.copytree(snapshot, self.folder)
        self.start()

    def close(self) -> None:
        """Ends it for good."""
        self.kill()
        self._client.close()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise NoRedisError("it isn't running: start it first")
        return self._process

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)  # a frozen one would not hear SIGTERM
        self._process.send_signal(number)
        self._process.wait(START_S)
        self._process = None

    def _answers(self) -> bool:
        try:
            return bool(self._client.ping())
        except AWAY:  # also while it loads
            return False


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
