"""Bodies in, errors out."""

import asyncio
import gzip
import json
import tracemalloc

import pytest
from starlette.requests import Request
from starlette.types import Message

from features.errors import BadInput
from serving import http
from serving.http import answer, decode_object, failure, preflight, read

LIMIT = 1_000


def body_of(*chunks: bytes, **headers: str) -> bytes:
    """What `read` makes of a request that comes in these chunks."""
    waiting = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    waiting.append({"type": "http.request", "body": b"", "more_body": False})
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]

    async def receive() -> Message:
        return waiting.pop(0)

    return asyncio.run(read(Request({"type": "http", "headers": raw}, receive), LIMIT))


def test_a_body_comes_together_from_its_chunks() -> None:
    assert body_of(b"one ", b"two") == b"one two"
    assert body_of() == b""


def test_a_body_that_never_ends_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_S", 0.01)

    async def never() -> Message:
        await asyncio.sleep(3_600)
        return {"type": "http.disconnect"}

    with pytest.raises(BadInput, match="complete within"):
        asyncio.run(read(Request({"type": "http", "headers": []}, never), LIMIT))


def test_a_body_of_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    assert len(body_of(b"x" * LIMIT)) == LIMIT
    with pytest.raises(BadInput, match="1000 bytes"):
        body_of(b"x" * LIMIT, b"x")


@pytest.mark.parametrize("headers", [{"content_encoding": "gzip"}, {"content_encoding": "GZIP"}, {}])
def test_gzip_is_unpacked_with_or_without_its_header(headers: dict[str, str]) -> None:
    assert body_of(gzip.compress(b"hello"), **headers) == b"hello"


@pytest.mark.parametrize("torn", [gzip.compress(b"hello")[:-1], b"", b"\x1f\x8b", b"plain"])
def test_what_is_no_whole_gzip_is_refused(torn: bytes) -> None:
    with pytest.raises(BadInput):
        body_of(torn, content_encoding="gzip")


def test_a_gzip_bomb_never_unfolds() -> None:
    bomb = gzip.compress(b" " * 900_000, 9)
    assert len(bomb) <= LIMIT
    tracemalloc.start()
    with pytest.raises(BadInput, match="unpacked"):
        body_of(bomb)
    assert tracemalloc.get_traced_memory()[1] < 200_000
    tracemalloc.stop()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b'"x"', b"\xff", b"[" * 100_000])
def test_only_a_json_object_is_decoded(body: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        decode_object(body)
    assert caught.value.field == "body"


def test_a_failure_has_the_shape_of_the_contract() -> None:
    response = failure(400, "bad_request", "n must be higher", "n")
    assert response.status_code == 400
    assert json.loads(bytes(response.body)) == {
        "error": {"code": "bad_request", "message": "n must be higher", "field": "n"}
    }
    assert "retry-after" not in response.headers


@pytest.mark.parametrize("status", [429, 503])
def test_an_overload_says_in_whole_seconds_when_to_come_again(status: int) -> None:
    assert int(failure(status, "busy", "later").headers["retry-after"]) > 0


def test_a_wrong_method_names_the_right_one() -> None:
    assert failure(405, "method", "use POST", allow="POST").headers["allow"] == "POST"


def test_an_answer_is_json() -> None:
    response = answer({"a": "ü"})
    assert response.headers["content-type"] == "application/json"
    assert response.body == '{"a":"ü"}'.encode()


def test_a_preflight_allows_the_page_that_asks_and_no_cookies() -> None:
    headers = preflight("https://shop.example", "GET, POST").headers
    assert headers["access-control-allow-methods"] == "GET, POST"
    assert headers["access-control-allow-origin"] == "https://shop.example"
    assert headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in headers
