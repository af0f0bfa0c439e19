"""The load: HTTP/1.1 over raw sockets from a process of its own, which costs little beside what it measures.

    python -m benchmarks.serving.load PORT REQUESTS --connections 16 --seconds 10 [--rate 500]

REQUESTS is a file of whole requests, each after its length as 4 bytes. Closed loop: each connection asks again once it
is answered. Open loop (`--rate`): requests are due at random moments, whatever came of those before, and wait where no
connection is free; their time counts from when they were due. Prints one JSON line.
"""

import argparse
import gc
import json
import random
import select
import socket
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

WARM_S = 1.5
DRAIN_S = 30.0  # what was due and isn't answered then is not counted
LENGTH = b"content-length:"


class Connection:
    """One socket with at most one request under way, which was due at `began`."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.began = 0.0
        self._got = b""

    def fileno(self) -> int:
        """For select."""
        return self.socket.fileno()

    def ask(self, request: bytes, began: float) -> None:
        """Send a request; the kernel's buffer holds it whole."""
        self.began = began
        self.socket.sendall(request)

    def status(self) -> bytes:
        """Take in what came; the status of the answer once that is whole, else nothing.

        Raises:  ConnectionError: the server hung up.
        """
        data = self.socket.recv(262_144)
        if not data:
            raise ConnectionError("the server hung up")
        got = self._got + data
        self._got = b"" if _is_whole(got) else got
        return b"" if self._got else got[9:12]


@dataclass
class Load:
    """What to ask, for how long, and how often a second (0: as often as it is answered)."""

    requests: list[bytes]
    connections: list[Connection]
    seconds: float
    rate: float

    def run(self) -> dict[str, float]:
        """The figures; p50 to p99.9 in ms."""
        begin = time.perf_counter() + WARM_S
        end = begin + self.seconds
        answers = list(self._answers(end))
        counted = [(due, took, ok) for due, took, ok in answers if begin <= due < end]
        took = np.array([took for _, took, _ in counted] or [float("nan")]) * 1e3
        return {
            "answered": len(answers),  # those of the warm-up too
            "requests": len(counted),
            "failed": sum(not ok for _, _, ok in counted),
            "requests_per_s": len(counted) / self.seconds,
            **{f"p{q:g}_ms": float(np.percentile(took, q)) for q in (50, 90, 99, 99.9)},
        }

    def _answers(self, end: float) -> Iterator[tuple[float, float, bool]]:
        """When each request was due, how long it took, and whether it was answered with 200."""
        asked, free, waiting = _endless(self.requests), deque(self.connections), deque[float]()
        busy: set[Connection] = set()
        chance = random.Random(0)
        due = now = time.perf_counter()
        while now < end or ((busy or waiting) and now < end + DRAIN_S):
            while self.rate and due <= min(now, end):
                waiting.append(due)
                due += chance.expovariate(self.rate)
            while free and (waiting or (not self.rate and now < end)):
                connection = free.popleft()
                connection.ask(next(asked), waiting.popleft() if self.rate else time.perf_counter())
                busy.add(connection)
            wait = max(0.0, min(due, end) - now) if self.rate and now < end else 0.1
            for connection in select.select(busy, (), (), wait)[0]:
                if status := connection.status():
                    yield connection.began, time.perf_counter() - connection.began, status == b"200"
                    busy.remove(connection)
                    free.append(connection)
            now = time.perf_counter()


def _endless(requests: list[bytes]) -> Iterator[bytes]:
    while True:
        yield from requests


def _is_whole(got: bytes) -> bool:
    """Whether these bytes are one whole answer."""
    head = got.find(b"\r\n\r\n")
    if head < 0:
        return False
    lower = got[: head + 2].lower()
    at = lower.find(LENGTH)
    if at < 0:
        return got.endswith(b"0\r\n\r\n")  # in chunks
    return len(got) >= head + 4 + int(lower[at + len(LENGTH) : lower.index(b"\r", at)])


def read_requests(path: Path) -> list[bytes]:
    """What write_requests() wrote."""
    raw, at, found = path.read_bytes(), 0, []
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 4], "big")
        found.append(raw[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def write_requests(path: Path, requests: list[bytes]) -> None:
    """Whole requests into a file."""
    path.write_bytes(b"".join(len(each).to_bytes(4, "big") + each for each in requests))


def main() -> None:
    """One load, one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("requests", type=Path)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=0.0)
    asked = parser.parse_args()
    gc.disable()
    connections = [Connection(asked.port) for _ in range(asked.connections)]
    began = time.process_time()
    found = Load(read_requests(asked.requests), connections, asked.seconds, asked.rate).run()
    found["client_cpu_us"] = 1e6 * (time.process_time() - began) / max(found["answered"], 1)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
