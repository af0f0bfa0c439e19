"""A small shop that answers as the service does, for the page to talk to, and that is easy to break."""

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

import serving

WEB = Path(serving.__file__).parent / "web"
POLICY = "default-src 'self'; img-src 'self' data:"
NOW = "2026-03-01T12:00:00.250Z"
TITLES = {
    "kitchen": ("Stoneware bowl", "Cast iron pan, 26 cm", "Olive wood board", "Pour-over kettle", "Linen tea towels"),
    "garden": ("Copper watering can", "Cedar planter", "Bulb mix for shade", "Hand trowel", "Bee hotel"),
    "reading": ("Brass reading lamp", "Oak book stand", "Field notebook, dotted", "Wool throw", "Alpaca blanket"),
    "outdoor": ("Two-person tent", "Enamel mug", "Down quilt", "Trail lantern", "Folding stool"),
}


class Shop:
    """Events move a customer's slate: items of the categories they touched rise, what they bought goes."""

    def __init__(self) -> None:
        self.url = ""
        self.broken = False
        self.away: set[str] = set()  # paths that alone fail
        self.degraded: list[str] = []
        self.events: list[dict[str, Any]] = []
        self.told: list[dict[str, Any]] = []  # what became of slates, which moves nothing here
        self.bodies: list[dict[str, Any]] = []
        self.customers = [f"c{number:06d}" for number in range(1, 13)]
        self.items = {
            f"i{number}{name[0]}": self.item(f"i{number}{name[0]}", name, title, 7.5 + 11 * number)
            for name, titles in TITLES.items()
            for number, title in enumerate(titles, 1)
        }

    def item(self, item_id: str, category: str, title: str, price: float) -> dict[str, Any]:
        return {"item_id": item_id, "title": title, "category": category, "price": price, "currency": "GBP",
                "in_stock": True, "url": None, "incomplete": False}  # fmt: skip

    def of(self, customer: str | None) -> list[dict[str, Any]]:
        return [event for event in self.events if customer in {event.get("userId"), event.get("anonymousId")}]

    def lines(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        return event["properties"].get("products") or [event["properties"]]

    def touched(self, customer: str | None) -> list[tuple[dict[str, Any], str]]:
        return [
            (event, line["product_id"])
            for event in reversed(self.of(customer))
            for line in self.lines(event)
            if line.get("product_id") in self.items
        ]

    def profile(self, request: Request) -> dict[str, Any]:
        customer = request.query_params.get("user_id") or request.query_params.get("anonymous_id")
        events, touched = self.of(customer), self.touched(customer)
        orders = [event for event in events if event["event"] == "Order Completed"]
        spent = sum(line["price"] for event in orders for line in self.lines(event))
        liked = Counter(self.items[item]["category"] for _, item in touched)
        recent = [
            {**self.items[item], "event": event["event"], "timestamp": event["timestamp"]} for event, item in touched
        ]
        return {
            "customer": customer, "events": len(events), "recent": recent,
            "counts": Counter(event["event"] for event in events),
            "affinity": [{"category": name, "share": count / len(touched)} for name, count in liked.most_common()],
            "spend": [{"currency": "GBP", "amount": f"{spent:.2f}"}] if spent else [], "orders": len(orders),
            "first_seen": events[0]["timestamp"] if events else None,
            "last_seen": events[-1]["timestamp"] if events else None,
        }  # fmt: skip

    def recommend(self, body: dict[str, Any]) -> dict[str, Any]:
        customer = body.get("user_id") or body.get("anonymous_id")
        events, touched = self.of(customer), self.touched(customer)
        bought = {item for event, item in touched if event["event"] == "Order Completed"}
        liked = {self.items[item]["category"]: item for _, item in reversed(touched)}
        weight = Counter(self.items[item]["category"] for _, item in touched)
        scores = {
            item: 1 - index / 20 + 0.3 * weight[self.items[item]["category"]]
            for index, item in enumerate(sorted(self.items))
            if item not in bought
        }
        ranked = sorted(scores, key=lambda item: (-scores[item], item))[: body["n"]]
        return {
            "request_id": f"r{len(self.bodies)}",
            "items": [
                {"item_id": item, "score": scores[item], "rank": rank, "source": "als",
                 "reasons": [self.reason(liked.get(self.items[item]["category"]), item)]}
                for rank, item in enumerate(ranked, 1)
            ],
            "model": {"name": "als", "version": "12"}, "experiment": None,
            "as_of": events[-1]["timestamp"] if events else None, "degraded": self.degraded,
        }  # fmt: skip

    def reason(self, liked: str | None, item: str) -> dict[str, str]:
        return {"kind": "because_you_viewed", "item_id": liked} if liked and liked != item else {"kind": "trending"}

    async def answer(self, request: Request) -> Response:
        if self.broken or request.url.path in self.away:
            return JSONResponse({"error": {"code": "unavailable", "message": "Redis is away.", "field": None}}, 503)
        body = await request.json() if request.method == "POST" else {}
        self.bodies.append(body)
        wanted = request.query_params.get("ids", "").split(",")
        matching = [name for name in self.customers if request.query_params.get("q", "") in name]
        answers: dict[str, Any] = {
            "/demo/customers": {"customers": [{"user_id": name, "events": 41, "last_seen": NOW} for name in matching]},
            "/demo/items": {"items": [self.items[item] for item in wanted if item in self.items]},
        }
        if request.url.path == "/v1/track":
            self.events.append(body)
            return JSONResponse({"success": True})
        if request.url.path == "/v1/batch":
            self.told += body["batch"]
            return JSONResponse({"success": True})
        if request.url.path == "/recommend":
            return JSONResponse(self.recommend(body))
        return JSONResponse(answers.get(request.url.path) or self.profile(request))


@contextmanager
def served(shop: Shop) -> Iterator[Shop]:
    """The page and its shop on a free port, under the strictest policy that the page must live with."""
    gets = [Route(f"/demo/{name}", shop.answer) for name in ("customers", "profile", "items")]
    posts = [Route(path, shop.answer, methods=["POST"]) for path in ("/recommend", "/v1/track", "/v1/batch")]
    app = Starlette(routes=[*gets, *posts, Mount("/", StaticFiles(directory=WEB, html=True))])
    app.add_middleware(BaseHTTPMiddleware, dispatch=strict)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listener:  # it queues calls from here on: nothing waits for uvicorn
        shop.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield shop
        server.should_exit = True
        thread.join()


async def strict(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers["content-security-policy"] = POLICY
    return response
