"""MLflow's webhooks are believed when they are signed and of now; one real delivery, and what is wrong in others."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue

import httpx
import pytest

from features.errors import BadInput
from serving.auth import Unauthorized
from serving.following.webhook import model_of

SECRET, NOW = "not a real secret", 1_795_695_097_000
BODY = json.dumps({"entity": "model_version_alias", "action": "created", "data": {"name": "als"}}).encode()
Headers = dict[str, str]


def signed(body: bytes = BODY, secret: str = SECRET, stamp: str = str(NOW // 1000)) -> Headers:
    digest = hmac.new(secret.encode(), b"d1." + stamp.encode() + b"." + body, hashlib.sha256).digest()
    return {
        "x-mlflow-delivery-id": "d1",
        "x-mlflow-timestamp": stamp,
        "x-mlflow-signature": "v1," + base64.b64encode(digest).decode(),
    }


def test_a_signed_webhook_names_its_model() -> None:
    assert model_of(SECRET, signed(), BODY, NOW) == "als"


@pytest.mark.parametrize("headers", [
    signed(secret="another"),
    signed(body=BODY + b" "),
    {**signed(), "x-mlflow-delivery-id": "d2"},
    {**signed(), "x-mlflow-signature": "v1,"},
    {**signed(), "x-mlflow-signature": "\u00e9"},
    {},
])  # fmt: skip
def test_a_webhook_that_is_signed_otherwise_is_not_believed(headers: Headers) -> None:
    with pytest.raises(Unauthorized, match="signature"):
        model_of(SECRET, headers, BODY, NOW)


@pytest.mark.parametrize("stamp", [str(NOW // 1000 - 301), str(NOW // 1000 + 301), "now", ""])
def test_a_webhook_of_another_time_is_not_believed(stamp: str) -> None:
    with pytest.raises(Unauthorized, match="within 300 s"):
        model_of(SECRET, signed(stamp=stamp), BODY, NOW)


def test_without_a_secret_none_is_taken() -> None:
    with pytest.raises(Unauthorized, match="KINDRED_MLFLOW_SECRET"):
        model_of("", signed(secret=""), BODY, NOW)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data": {}}', b'{"data": {"name": 7}}', b"\xff"])
def test_a_signed_body_that_names_no_model_is_said(body: bytes) -> None:
    with pytest.raises(BadInput, match="no webhook about a model"):
        model_of(SECRET, signed(body), body, NOW)


@pytest.fixture
def delivered() -> Iterator[tuple[str, "Queue[tuple[Headers, bytes]]"]]:
    """The address of a listener, and what is posted to it."""
    got: Queue[tuple[Headers, bytes]] = Queue()

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.put(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    server = HTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/webhooks/mlflow", got
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_a_real_mlflow_sends_is_believed(
    mlflow_url: str, delivered: tuple[str, "Queue[tuple[Headers, bytes]]"]
) -> None:
    url, got = delivered
    api = f"{mlflow_url}/api/2.0/mlflow/webhooks"
    events = [{"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"}]
    made = httpx.post(api, json={"name": "kindred", "url": url, "secret": SECRET, "events": events}, timeout=30)
    assert made.status_code == 200, made.text
    hook = made.json()["webhook"]["webhook_id"]
    tested = httpx.post(f"{api}/{hook}/test", json={}, timeout=60)
    assert tested.status_code == 200, tested.text
    headers, body = got.get(timeout=60)
    httpx.delete(f"{api}/{hook}", timeout=30)
    stamp = int(headers["x-mlflow-timestamp"]) * 1000
    assert model_of(SECRET, headers, body, stamp) == json.loads(body)["data"]["name"]
