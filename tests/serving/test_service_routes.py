"""The running service over HTTP: health, metrics, documents, pages, and paths that lead nowhere."""

import json
import os
import subprocess
import sys
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from features.settings import to_environment
from pipelines.services import ROOT
from tests.serving.world import Json, World, error, ok


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
def test_health_is_green_without_a_key(shop: World, path: str) -> None:
    assert shop.client.get(path).status_code == 200
    assert shop.client.head(path).status_code == 200


def test_metrics_are_labelled_by_route_and_never_by_path(shop: World) -> None:
    for path in ("/customers/4711", "/recommend/4711", "/v1/4711", "/4711"):
        assert shop.client.post(path).status_code == 404
        assert shop.client.get(path).status_code == 404
    shop.recommend(history=[])  # what was never counted has no line
    shop.track(userId="somebody", event="Something Happened")
    text = ok_text(shop.client.get("/metrics"))
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert "4711" not in text
    routes = {sample.labels["route"] for sample in families["kindred_requests"].samples}
    assert {"/recommend", "none"} <= routes
    assert "kindred_request_seconds" in families
    assert "kindred_events" in families


def test_an_unknown_path_and_a_wrong_method_are_errors_of_the_contract(shop: World) -> None:
    assert error(shop.client.get("/nothing"), 404)
    assert error(shop.client.post("/nothing"), 404)
    refused = shop.client.get("/similar")
    assert error(refused, 405)
    assert refused.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/recommend%0A", "/recommend/", "//recommend", "/similar%0A", "/recommend%00"])
def test_no_spelling_of_a_path_reaches_a_route_past_its_keys(shop: World, path: str) -> None:
    response = shop.client.post(path, json={"user_id": "u"}, headers={"X-Forwarded-For": "192.0.2.1"})
    assert error(response, 404)


def test_the_openapi_document_shows_our_own_schemas(shop: World) -> None:
    document = ok(shop.client.get("/docs.json"))
    for path, name in (("/recommend", "RecommendRequest"), ("/similar", "SimilarRequest")):
        schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        body = resolve(document, schema)
        assert body["title"] == name
        assert body["properties"]["n"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 10}
        answer = document["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert {"request_id", "items", "model", "as_of", "degraded"} <= set(resolve(document, answer)["properties"])
    for reference in references(document):
        assert resolve(document, {"$ref": reference})


def test_the_typed_methods_answer_the_same_bytes_as_the_fast_path(shop: World) -> None:
    """In a process of its own: importing BentoML writes into its home."""
    environment = to_environment(shop.settings) | {"BENTOML_HOME": str(shop.settings.data / "bentoml")}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.serving.twins"],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()[-3000:]
    pairs = [json.loads(line) for line in run.stdout.splitlines() if line.startswith(b"[")]
    assert len(pairs) >= 4
    for typed, fast in pairs:
        assert typed == fast
        assert json.loads(typed)["items"]


def test_the_page_may_load_nothing_from_elsewhere(shop: World) -> None:
    page = shop.client.get("/")
    assert "<html" in ok_text(page)
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/../service.py", "/..%2fservice.py", "/%2e%2e/service.py", "/....//service.py", "/%00"]
)
def test_no_path_leads_out_of_the_pages(shop: World, path: str) -> None:
    host, port = shop.client.base_url.host, shop.client.base_url.port
    with httpx.Client() as client:
        request = client.build_request("GET", f"http://{host}:{port}/")
        request.url = request.url.copy_with(raw_path=path.encode())
        assert error(client.send(request), 404)


def ok_text(response: httpx.Response) -> str:
    """The text of a 200."""
    assert response.status_code == 200, response.text
    return response.text


def resolve(document: Json, schema: Json) -> Json:
    """The schema that a reference leads to."""
    while "$ref" in schema:
        found: Any = document
        assert schema["$ref"].startswith("#/")
        for step in schema["$ref"][2:].split("/"):
            found = found[step]
        schema = found
    return schema


def references(node: object) -> list[str]:
    """Every $ref below a node."""
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [reference for value in node.values() for reference in references(value)]
    return [reference for value in node for reference in references(value)] if isinstance(node, list) else []
