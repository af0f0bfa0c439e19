"""The BentoML service, and the one place where errors become HTTP codes.

`Front` stands before BentoML's own handling and answers every route of `ROUTES`: that gives the contract's errors and
saves BentoML's validation. The typed methods of `Kindred` are the documented twins of the slate routes, over the same engine.
"""

import contextlib
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import bentoml
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.errors import BadInput, KindredError, Overloaded, Unavailable
from features.settings import from_environment
from serving.auth import Forbidden, Unauthorized
from serving.handlers import DEMO, ROUTES, Handler, Parts
from serving.http import failure
from serving.metrics import REQUESTS, SECONDS
from serving.openapi import body_of
from serving.schema import RecommendRequest, RecommendResponse, SimilarRequest, parse_recommend, parse_similar

PAGE_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
STATUS: dict[type[KindredError], tuple[int, str]] = {
    BadInput: (400, "bad_request"),
    Unauthorized: (401, "unauthorized"),
    Forbidden: (403, "forbidden"),
    Overloaded: (429, "overloaded"),
    Unavailable: (503, "unavailable"),
}
logger = logging.getLogger("kindred.serving")


class Front:
    """Answers Kindred's routes before BentoML sees them; everything else is passed on."""

    def __init__(self, inner: ASGIApp) -> None:
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI call."""
        place = (scope.get("method", ""), scope.get("path", "")) if scope["type"] == "http" else ("", "")
        handler = ROUTES.get(place) or (DEMO.get(place) if _is_demo() else None)
        if handler is None:
            await self.inner(scope, receive, send)
        else:
            await (await respond(handler, Request(scope, receive)))(scope, receive, send)


async def respond(handler: Handler, request: Request) -> Response:
    """What a handler answers; whatever it raises becomes the contract's error. Counted and timed by route."""
    started = time.perf_counter()
    try:
        response = await handler(_parts(), request)
    except KindredError as error:
        status, code = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), (500, "internal"))
        response = failure(status, code, str(error), getattr(error, "field", None))
    except Exception:
        logger.exception("%s failed", request.url.path)
        response = failure(500, "internal", "the service failed on this request; its log says why")
    REQUESTS.labels(request.url.path, str(response.status_code)).inc()
    SECONDS.labels(request.url.path).observe(time.perf_counter() - started)
    return response


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

        await self._files(scope, receive, with_headers)


@contextlib.asynccontextmanager
async def running(web: Starlette) -> AsyncIterator[None]:
    """Everything that the handlers need, from the worker's start to its end."""
    parts = Parts(from_environment())
    await parts.engine.start()
    web.state.parts = parts
    if parts.settings.demo:
        web.routes.append(Mount("/", Pages()))
    try:
        yield
    finally:
        await parts.engine.stop()
        parts.producer.close()


def _parts() -> Parts:
    parts: Parts | None = getattr(app.state, "parts", None)
    if parts is None:
        raise Unavailable("the service is starting")
    return parts


def _is_demo() -> bool:
    parts: Parts | None = getattr(app.state, "parts", None)
    return parts is not None and parts.settings.demo


app = Starlette(lifespan=running)
RecommendBody: Any = body_of(RecommendRequest)
SimilarBody: Any = body_of(SimilarRequest)
SlateBody: Any = body_of(RecommendResponse)


@bentoml.service(name="kindred", traffic={"timeout": 10}, logging={"access": {"enabled": False}})
class Kindred:
    """Ranked lists for customers, explained, from live features."""

    @bentoml.api(route="/recommend")  # type: ignore[untyped-decorator]
    async def recommend(self, request: RecommendBody, /) -> SlateBody:
        """A slate for a customer, a visitor or a history."""
        asked = parse_recommend(msgspec.json.encode(request.root))
        return SlateBody(msgspec.to_builtins(await _parts().engine.recommend(asked)))

    @bentoml.api(route="/similar")  # type: ignore[untyped-decorator]
    async def similar(self, request: SimilarBody, /) -> SlateBody:
        """Items like one."""
        asked = parse_similar(msgspec.json.encode(request.root))
        return SlateBody(msgspec.to_builtins(await _parts().engine.similar(asked)))


service: Any = Kindred
service.mount_asgi_app(app, path="/")
service.add_asgi_middleware(Front)
