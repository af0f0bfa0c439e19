"""The BentoML service, and the one place where errors become HTTP codes.

`Front` stands before BentoML's own handling and answers every route of `ROUTES`: that gives the contract's errors and
saves BentoML's validation. The typed methods of `Kindred` are the documented twins of the slate routes. They know no
keys, so nothing but what `PASSED` lists ever reaches BentoML.
"""

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bentoml
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from threadpoolctl import threadpool_limits

from features.errors import BadInput, BadSetting, KindredError, Overloaded, Unavailable
from features.settings import Settings, from_environment
from serving.auth import Forbidden, ForeignOrigin, Unauthorized
from serving.described import TRACKING as DESCRIBED
from serving.handlers import ROUTES, Handler, Parts
from serving.http import answer, failure, preflight, shared
from serving.memory import settle
from serving.metrics import REQUESTS, requests_of, seconds_of
from serving.openapi import body_of, documented
from serving.schema import (
    Parameters,
    RankRequest,
    RecommendRequest,
    RecommendResponse,
    SimilarRequest,
    parse_rank,
    parse_recommend,
    parse_similar,
)

PAGE_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
DOCUMENT = "/docs.json"
PASSED = frozenset({"/livez", "/healthz", "/schema.json"})
STATUS: dict[type[KindredError], tuple[int, str]] = {
    BadSetting: (500, "internal"),
    BadInput: (400, "bad_request"),
    Unauthorized: (401, "unauthorized"),
    Forbidden: (403, "forbidden"),
    Overloaded: (429, "overloaded"),
    Unavailable: (503, "unavailable"),
}
FREE = contextlib.nullcontext()
SLATES: dict[str, type] = {"/recommend": RecommendRequest, "/rank": RankRequest, "/similar": SimilarRequest}
PARAMETERS: dict[str, type] = {"/recommend": Parameters}
TRACKING = "/v1/"
logger = logging.getLogger("kindred.serving")


class Front:
    """Answers Kindred's routes, and passes on to BentoML only what it is to answer."""

    def __init__(self, inner: ASGIApp) -> None:
        self.inner = inner
        self.pages = Pages()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI call."""
        if scope["type"] == "http":
            await self._app(scope, Request(scope, receive))(scope, receive, send)
        else:
            await self.inner(scope, receive, send)

    def _app(self, scope: Scope, request: Request) -> ASGIApp:
        path, method = scope["path"], "GET" if scope["method"] == "HEAD" else scope["method"]
        routes = _routes()
        if handler := routes.get((method, path)):
            return Answered(handler, request)
        if method == "OPTIONS" and is_for_pages(path) and ("POST", path) in routes:
            return preflight(request.headers.get("origin", "*"), _methods(path, routes))
        if method == "GET" and path == DOCUMENT:
            return answer(documented(service.openapi_spec.asdict(), SLATES, PARAMETERS, RecommendResponse, DESCRIBED))
        if method == "GET" and path in PASSED:
            return self.inner
        if allowed := _methods(path, routes):
            return _counted(failure(405, "method_not_allowed", f"use {allowed} here", allow=allowed))
        return self.pages if _is_demo() and method == "GET" else _counted(failure(404, "not_found", "no such path"))


@dataclass
class Answered:
    """A handler's answer to a request, as an ASGI application."""

    handler: Handler
    request: Request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI call."""
        started = time.perf_counter()
        response = await respond(self.handler, self.request)
        requests_of(scope["path"], response.status_code).inc()
        seconds_of(scope["path"]).observe(time.perf_counter() - started)
        await response(scope, receive, send)


async def respond(handler: Handler, request: Request) -> Response:
    """What a handler answers; whatever it raises becomes the contract's error."""
    origin = request.headers.get("origin") if is_for_pages(request.scope["path"]) else None
    try:
        parts = _parts()
        with parts.in_flight.get(request.scope["path"], FREE):
            response = await handler(parts, request)
    except tuple(STATUS) as error:
        status, code = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
        said = str(error)
        origin = None if isinstance(error, ForeignOrigin) else origin
        if isinstance(error, Unavailable):  # its message names a server of ours
            logger.warning("%s: %s", request.url.path, error)
            said = "a part of the service doesn't answer; try again"
        response = failure(status, code, said, getattr(error, "field", None))
    except ClientDisconnect:
        response = failure(400, "disconnected", "the caller went away before the body was complete")
    except Exception:
        logger.exception("%s failed", request.url.path)
        response = failure(500, "internal", "the service failed on this request; its log says why")
    return response if origin is None else shared(response, origin)


class Pages:
    """The demo's page; it may load nothing from elsewhere."""

    def __init__(self) -> None:
        self._files = StaticFiles(directory=Path(__file__).parent / "web", html=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI call."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.encode(), value.encode()) for name, value in PAGE_HEADERS.items()]
            await send(message)

        try:
            await self._files(scope, receive, with_headers)
        except (HTTPException, ValueError):  # ValueError: a path with a zero byte
            await _counted(failure(404, "not_found", "no such page"))(scope, receive, send)


@contextlib.asynccontextmanager
async def running(web: Starlette) -> AsyncIterator[None]:
    """Everything that the handlers need, from the worker's start to its end."""
    logging.getLogger("kindred").setLevel(logging.INFO)
    threadpool_limits(1)  # one request has too little to divide; threads that wait for each other cost it milliseconds
    async with loaded(web, from_environment()):
        yield


@contextlib.asynccontextmanager
async def loaded(web: Starlette, settings: Settings) -> AsyncIterator[None]:
    """The handlers' parts as the state of an application has them, started, and stopped in the end."""
    parts = Parts(settings)
    await parts.start()
    settle()
    web.state.parts = parts
    try:
        yield
    finally:
        await parts.stop()


def is_for_pages(path: str) -> bool:
    """Whether pages of other sites may call a route: those of slates and of tracking."""
    return path in SLATES or path.startswith(TRACKING)


def _methods(path: str, routes: Mapping[tuple[str, str], Handler]) -> str:
    return ", ".join(method for method, route in routes if route == path)


def _parts() -> Parts:
    parts: Parts | None = getattr(app.state, "parts", None)
    if parts is None:
        raise Unavailable("the service is starting")
    return parts


def _counted(response: Response) -> Response:
    """Paths that no route has are counted together: a label for each would let any caller fill the memory."""
    REQUESTS.labels("none", str(response.status_code)).inc()
    return response


def _routes() -> Mapping[tuple[str, str], Handler]:
    parts: Parts | None = getattr(app.state, "parts", None)
    return ROUTES if parts is None else parts.routes


def _is_demo() -> bool:
    parts: Parts | None = getattr(app.state, "parts", None)
    return parts is not None and parts.settings.demo


app = Starlette(lifespan=running)
RecommendBody: Any = body_of(RecommendRequest)
RankBody: Any = body_of(RankRequest)
SimilarBody: Any = body_of(SimilarRequest)
SlateBody: Any = body_of(RecommendResponse)


@bentoml.service(
    name="kindred",
    traffic={"timeout": 10},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},  # BentoML labels its own by raw path
    tracing={"excluded_urls": "."},
)
class Kindred:
    """Ranked lists for customers, explained, from live features."""

    @bentoml.api(route="/recommend")  # type: ignore[untyped-decorator]
    async def recommend(self, request: RecommendBody, /) -> SlateBody:
        """A slate for a customer, a visitor or a history."""
        asked = parse_recommend(msgspec.json.encode(request.root))
        return SlateBody(msgspec.to_builtins(await _parts().engine.recommend(asked)))

    @bentoml.api(route="/rank")  # type: ignore[untyped-decorator]
    async def rank(self, request: RankBody, /) -> SlateBody:
        """The given items in their best order."""
        asked = parse_rank(msgspec.json.encode(request.root))
        return SlateBody(msgspec.to_builtins(await _parts().engine.rank(asked)))

    @bentoml.api(route="/similar")  # type: ignore[untyped-decorator]
    async def similar(self, request: SimilarBody, /) -> SlateBody:
        """Items like one."""
        asked = parse_similar(msgspec.json.encode(request.root))
        return SlateBody(msgspec.to_builtins(await _parts().engine.similar(asked)))


service: Any = Kindred
service.mount_asgi_app(app, path="/")
service.add_asgi_middleware(Front)
