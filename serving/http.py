"""Bodies in and errors out, for every route alike."""

import asyncio
import zlib
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from features.errors import BadInput

JSON = "application/json"
BODY_S = 10.0


async def read(request: Request, limit: int) -> bytes:
    """The body, unpacked where it is gzip, whatever its Content-Type says.

    Raises:  BadInput: it is larger than `limit` bytes before or after unpacking, or no gzip, or late.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):  # a caller who never ends must not keep a place for ever
            more = True
            while more:
                message = await request.receive()  # stream() does the same in thrice the time
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > limit:
                    raise BadInput(f"the body is larger than {limit} bytes", "body")
    except TimeoutError as error:
        raise BadInput(f"the body must be complete within {BODY_S:g} s", "body") from error
    if request.headers.get("content-encoding", "").lower() == "gzip" or body[:2] == b"\x1f\x8b":
        return _unpack(bytes(body), limit)
    return bytes(body)


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body.

    Raises:  BadInput.
    """
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"the body is no JSON: {error}", "body") from error
    if not isinstance(decoded, dict):
        raise BadInput("the body must be a JSON object", "body")
    return decoded


def preflight(origin: str, methods: str) -> Response:
    """Lets a page of another site send its request by one of the methods; keys are sent by script, never by cookie."""
    headers = {
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Retry-Count, AnonymousId, SentAt",
        "Access-Control-Max-Age": "600",
    }
    return shared(Response(status_code=204, headers=headers), origin)


def shared(response: Response, origin: str) -> Response:
    """The answer, readable by the page that asked."""
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Vary"] = "Origin"
    return response


def answer(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(value), status, headers, JSON)


def failure(status: int, code: str, message: str, field: str | None = None, allow: str = "") -> Response:
    """An error as the contract has it; 429 and 503 say when to try again, `allow` which methods there are."""
    headers = {"Retry-After": "1"} if status in {429, 503} else {}
    headers |= {"Allow": allow} if allow else {}
    return answer({"error": {"code": code, "message": message, "field": field}}, status, headers)


def _unpack(body: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise BadInput(f"the body can't be unpacked as gzip: {error}", "body") from error
    if len(unpacked) > limit:
        raise BadInput(f"the body is larger than {limit} bytes once unpacked", "body")
    if not unpacker.eof:
        raise BadInput("the body ends before its gzip does", "body")
    return unpacked
