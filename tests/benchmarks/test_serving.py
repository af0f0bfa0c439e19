"""The load says what a server did, and the shop has what it promises."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.serving.load import Connection, Load, read_requests, write_requests
from benchmarks.serving.shop import NAMES, Shop, _events, histories
from features import events

REQUEST = b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def answering(status: int, seen: list[str]) -> Iterator[int]:
    """The port of a server that answers everything alike."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            seen.append(self.path)
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("content-length", "5000")
            self.end_headers()
            self.wfile.write(b"x" * 5_000)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def connected(port: int, number: int) -> Iterator[list[Connection]]:
    made = [Connection(port) for _ in range(number)]
    yield made
    for each in made:
        each.socket.close()


@pytest.mark.parametrize(("status", "rate"), [(200, 0.0), (503, 0.0), (200, 50.0)])
def test_every_answer_is_counted_once_with_its_status(
    monkeypatch: pytest.MonkeyPatch, status: int, rate: float
) -> None:
    monkeypatch.setattr("benchmarks.serving.load.WARM_S", 0.0)
    seen: list[str] = []
    with answering(status, seen) as port, connected(port, 3) as connections:
        found = Load([REQUEST], connections, 0.5, rate).run()
    assert found["answered"] == len(seen) >= found["requests"] > 0
    assert found["failed"] == (found["requests"] if status != 200 else 0)
    assert 0 < found["p50_ms"] <= found["p99_ms"]
    if rate:
        assert found["requests"] == 20  # that are due in half a second, by the seed


def test_requests_survive_their_file(tmp_path: Path) -> None:
    made = [REQUEST, b"", REQUEST * 3]
    write_requests(tmp_path / "r", made)
    assert read_requests(tmp_path / "r") == made


def test_every_item_is_met_and_every_event_is_one_that_kindred_takes() -> None:
    shop = Shop(items=1_000, customers=100, events=20)
    met = histories(shop)
    assert met.shape == (100, 20)
    assert len({*met.ravel().tolist()}) == 1_000
    made = [events.decode(raw, 2_000_000_000_000) for raw in _events(shop)]
    assert len(made) == 2_000
    assert {event.name for event in made} == {*NAMES}
    assert [event.event_time for event in made] == sorted(event.event_time for event in made)
