"""The limit: Starlette on uvicorn, uvloop and httptools, which reads the body and answers the same 1 KB every time."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ANSWER = b'{"items":[' + b",".join(b'{"item_id":"sku-%06d","score":0.5,"rank":%d}' % (n, n) for n in range(20)) + b"]}"


async def fixed(request: Request) -> Response:
    """The answer."""
    await request.body()
    return Response(ANSWER, media_type="application/json")


if __name__ == "__main__":
    app = Starlette(routes=[Route("/recommend", fixed, methods=["POST"])])
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", loop="uvloop", http="httptools")
