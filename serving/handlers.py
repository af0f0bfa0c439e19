"""The handlers: each turns one request into one answer by calling one plain function."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from features.errors import BadInput, Unavailable
from features.kafka.producer import Producer
from features.keys import KeyStore
from features.settings import Settings
from serving import demo
from serving.auth import Caller, caller
from serving.engine import Engine
from serving.exposures import ExposureQueue, exposure_producer
from serving.following.webhook import model_of
from serving.http import answer, decode_object, read
from serving.limits import in_flight
from serving.metrics import exposition
from serving.schema import RecommendRequest, parse_parameters, parse_rank, parse_recommend, parse_similar
from serving.tracking import KINDS, Tracker

SLATE_BYTES = 256 * 1024
TRACK_BYTES = 500 * 1024
ITEMS_BYTES = 4 * 1024 * 1024
WEBHOOK_BYTES = 64 * 1024


class Parts:
    """What the handlers share: made when the worker starts, gone when it stops."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = Engine(settings)
        self.producer = Producer(settings.kafka, linger_ms=1)
        self.exposures = self.engine.exposures = ExposureQueue(exposure_producer(settings))
        self.tracker = Tracker(self.producer, self.engine.guard.note)
        self.keys = KeyStore(settings.data)
        self.routes = routes_of(settings)
        self.in_flight = in_flight([path for _, path in self.routes], settings.most_in_flight)

    @property
    def recommends(self) -> bool:
        """Whether slates are answered here."""
        return "recommend" in self.settings.parts

    async def start(self) -> None:
        """Load what answers need; without slates there is nothing to load."""
        if self.recommends:
            await self.engine.start()
        else:
            await self.engine.guard.start(judges=False)

    async def stop(self) -> None:
        """Let everything go."""
        if self.recommends:
            await self.engine.stop()
        else:
            await self.engine.guard.stop()
        self.exposures.close()
        self.producer.close()

    def caller(self, request: Request, body_key: str | None = None) -> Caller:
        """Who is calling; raises Unauthorized."""
        client = request.client.host if request.client else None
        return caller(self.keys, request.headers, client, self.settings.demo, body_key)


async def recommend(parts: Parts, request: Request) -> Response:
    """POST /recommend."""
    who = parts.caller(request)
    who.need("recommend")
    return await _slate(parts, who, parse_recommend(await read(request, SLATE_BYTES)))


async def recommend_by_parameters(parts: Parts, request: Request) -> Response:
    """GET /recommend."""
    who = parts.caller(request)
    who.need("recommend")
    return await _slate(parts, who, parse_parameters(request.query_params.multi_items()))


async def rank(parts: Parts, request: Request) -> Response:
    """POST /rank."""
    who = parts.caller(request)
    who.need("recommend")
    asked = parse_rank(await read(request, SLATE_BYTES))
    _check(who, asked.user_id, asked.debug)
    return answer(await parts.engine.rank(asked, merge=who.kind != "write"))


async def similar(parts: Parts, request: Request) -> Response:
    """POST /similar."""
    who = parts.caller(request)
    who.need("recommend")
    asked = parse_similar(await read(request, SLATE_BYTES))
    _check(who, None, asked.debug)
    return answer(await parts.engine.similar(asked))


async def track(parts: Parts, request: Request) -> Response:
    """POST /v1/track and its sisters: one event."""
    message = decode_object(await read(request, TRACK_BYTES))
    who = parts.caller(request, _write_key(message, request))
    who.need("track")
    await parts.tracker.one(request.url.path.rpartition("/")[2], message, who)
    return answer({"success": True})


async def batch(parts: Parts, request: Request) -> Response:
    """POST /v1/batch: many events."""
    body = decode_object(await read(request, TRACK_BYTES))
    who = parts.caller(request, _write_key(body, request))
    who.need("track")
    refused = await parts.tracker.batch(body, who)
    return answer({"success": True, **({"refused": refused} if refused else {})})


async def items(parts: Parts, request: Request) -> Response:
    """POST /v1/items: catalogue upserts."""
    parts.caller(request).need("items")
    return answer(
        {"success": True, "items": await parts.tracker.items(decode_object(await read(request, ITEMS_BYTES)))}
    )


async def mlflow_webhook(parts: Parts, request: Request) -> Response:
    """POST /webhooks/mlflow: an alias moved in the registry, so every worker looks at it now."""
    body = await read(request, WEBHOOK_BYTES)
    models = parts.engine.follower.models
    await models.told(model_of(parts.settings.mlflow_secret, request.headers, body, parts.engine.now()))
    return answer({"success": True})


async def ready(parts: Parts, _request: Request) -> Response:
    """GET /readyz: red only while the registry names a champion that isn't loaded yet."""
    if parts.engine.follower.pending:
        raise Unavailable("the champion isn't loaded yet")
    return answer({"ready": True})


async def metrics(_parts: Parts, _request: Request) -> Response:
    """GET /metrics."""
    body, kind = exposition()
    return Response(body, media_type=kind)


async def demo_customers(parts: Parts, request: Request) -> Response:
    """GET /demo/customers."""
    who = parts.caller(request)
    who.need("recommend")
    who.need_access_to("everybody")
    limit = request.query_params.get("limit", "50")
    if not re.fullmatch("[0-9]{1,6}", limit):
        raise BadInput("limit must be a whole number", "limit")
    return answer(await demo.customers(parts.engine, request.query_params.get("q", "")[:255], int(limit)))


async def demo_profile(parts: Parts, request: Request) -> Response:
    """GET /demo/profile."""
    who = parts.caller(request)
    who.need("recommend")
    asked = request.query_params
    who.need_access_to(asked.get("user_id"))
    return answer(await demo.profile(parts.engine, asked.get("user_id"), asked.get("anonymous_id")))


async def demo_items(parts: Parts, request: Request) -> Response:
    """GET /demo/items."""
    parts.caller(request).need("recommend")
    ids = request.query_params.get("ids", "").split(",")
    return answer(demo.items(parts.engine.follower.state, ids[:200]))


async def _slate(parts: Parts, who: Caller, asked: RecommendRequest) -> Response:
    _check(who, asked.user_id, asked.debug)
    return answer(await parts.engine.recommend(asked, merge=who.kind != "write"))


def _check(who: Caller, user_id: str | None, debug: bool) -> None:
    """Raises Forbidden: the caller may not ask for this customer, or not for the trace."""
    who.need_access_to(user_id)
    if debug:
        who.need("debug")


def _write_key(message: dict[str, Any], request: Request) -> str | None:
    """The key in the body, or in the query, where a browser's beacon puts it."""
    key = message.get("writeKey")
    return key if isinstance(key, str) else request.query_params.get("writeKey")


Handler = Callable[[Parts, Request], Awaitable[Response]]
ROUTES: dict[tuple[str, str], Handler] = {
    ("POST", "/recommend"): recommend,
    ("GET", "/recommend"): recommend_by_parameters,
    ("POST", "/rank"): rank,
    ("POST", "/similar"): similar,
    ("POST", "/v1/batch"): batch,
    ("POST", "/v1/items"): items,
    ("POST", "/webhooks/mlflow"): mlflow_webhook,
    ("GET", "/readyz"): ready,
    ("GET", "/metrics"): metrics,
    **{("POST", f"/v1/{kind}"): track for kind in KINDS},
}
DEMO: dict[tuple[str, str], Handler] = {
    ("GET", "/demo/customers"): demo_customers,
    ("GET", "/demo/profile"): demo_profile,
    ("GET", "/demo/items"): demo_items,
}


def routes_of(settings: Settings) -> dict[tuple[str, str], Handler]:
    """The routes of the parts that are served, and those of the demo's page."""
    tracks, recommends = ("track" in settings.parts, "recommend" in settings.parts)
    found = ROUTES | (DEMO if settings.demo and recommends else {})
    of_both = {"/readyz", "/metrics"}
    return {
        (method, path): handler
        for (method, path), handler in found.items()
        if path in of_both or (tracks if path.startswith("/v1/") else recommends)
    }
