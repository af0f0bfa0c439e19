"""Asks the typed BentoML methods and the fast path the same; prints one JSON pair of bodies a question."""

import json
import sys

from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from serving.service import Front, app, service

NOW = 1_767_268_800_000  # a trace says how old what it knows is
ASKED = (
    ("/recommend", {"user_id": "nobody", "n": 5}),
    (
        "/recommend",
        {"history": [{"item_id": "sku-00003"}, {"item_id": "sku-00004", "event": "Product Added"}], "n": 20},
    ),
    ("/recommend", {"history": [], "filter": {"max_price": 40.5}, "exclude": ["sku-00000"]}),
    ("/rank", {"user_id": "nobody", "item_ids": ["sku-00003", "unknown", "sku-00001"]}),
    ("/recommend", {"user_id": "nobody", "n": 2, "debug": True}),
    ("/similar", {"item_id": "sku-00003", "n": 5}),
)


def main() -> None:
    """One ASGI application for both, so that they share the engine and its loop."""
    service.middlewares[:] = [entry for entry in service.middlewares if entry[0] is not Front]
    typed = service.to_asgi()
    fast = Front(typed)

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        is_fast = (b"x-path", b"fast") in scope.get("headers", [])
        await (fast if is_fast else typed)(scope, receive, send)

    with TestClient(both, base_url="http://localhost", client=("127.0.0.1", 1)) as client:
        app.state.parts.engine.new_id = lambda: "the same"
        app.state.parts.engine.now = lambda: NOW
        for path, body in ASKED:
            answers = [client.post(path, json=body, headers={"x-path": name}) for name in ("typed", "fast")]
            sys.stdout.write(json.dumps([answer.raise_for_status().text for answer in answers]) + "\n")


if __name__ == "__main__":
    main()
