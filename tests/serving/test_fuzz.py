"""Whatever is sent: no server error, the contract's error shape, and an OpenAPI document that tells the truth."""

import json
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

from serving.handlers import ROUTES
from serving.schema import Parameters
from tests.serving.world import Json, World, bearer

PATHS = sorted(path for method, path in ROUTES if method == "POST")
TRACKED = [(path, "POST") for path in PATHS if path.startswith("/v1/")]
DOCUMENTED = [("/rank", "POST"), ("/recommend", "GET"), ("/recommend", "POST"), ("/similar", "POST"), *TRACKED]
ASKED = [each for each in DOCUMENTED if each != ("/v1/items", "POST")]  # other tests say what their shop sells
CALM = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
NAMES = (
    "user_id", "anonymous_id", "n", "placement", "item_id", "item_ids", "history", "context", "filter", "exclude",
    "after", "event", "type", "userId", "anonymousId", "properties", "products", "product_id", "timestamp", "batch",
    "items", "price", "category", "traits", "context", "messageId", "sentAt", "writeKey", "max_price", "in_stock",
)  # fmt: skip

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner),
    max_leaves=12,
)
bodies = (
    st.binary(max_size=200)
    | values.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.sampled_from(NAMES), values, max_size=6).map(lambda value: json.dumps(value).encode())
)


def check(response: httpx.Response) -> None:
    """An answer, or a refusal in the contract's shape."""
    assert response.status_code < 500, response.text
    if response.status_code != 200:
        assert response.status_code >= 400
        assert set(response.json()["error"]) == {"code", "message", "field"}
        assert "Traceback" not in response.text


def send(shop: World, path: str, body: bytes, **headers: str) -> httpx.Response:
    """The bytes as they are."""
    return shop.client.post(path, content=body, headers=bearer(shop.secret) | headers)


@settings(max_examples=60, deadline=None, suppress_health_check=CALM)
@given(path=st.sampled_from(PATHS), body=bodies)
def test_no_body_makes_the_service_fail(shop: World, path: str, body: bytes) -> None:
    check(send(shop, path, body))


@settings(max_examples=60, deadline=None, suppress_health_check=CALM)
@given(asked=st.lists(st.tuples(st.sampled_from(NAMES) | st.text(max_size=5), st.text(max_size=20)), max_size=8))
def test_no_parameters_make_the_service_fail(shop: World, asked: list[tuple[str, str]]) -> None:
    check(shop.client.get("/recommend", params=asked, headers=bearer(shop.secret)))


@pytest.mark.slow
@settings(max_examples=1_500, deadline=None, suppress_health_check=CALM)
@given(path=st.sampled_from(PATHS), body=bodies, encoding=st.sampled_from(["", "gzip", "br"]))
def test_no_body_of_very_many_makes_the_service_fail(shop: World, path: str, body: bytes, encoding: str) -> None:
    check(send(shop, path, body, **({"Content-Encoding": encoding} if encoding else {})))


@pytest.fixture(scope="module")
def document(shop: World) -> Any:
    """The OpenAPI document as the service gives it, read by schemathesis."""
    told: Json = shop.client.get("/docs.json").raise_for_status().json()
    return schemathesis.openapi.from_dict(told)


def conforms(shop: World, document: Any, data: st.DataObject) -> None:
    """A request that the document allows gets an answer that it describes.

    It can't say all that a request must be (who it is for, which years a time may lie in), so a 400 is well too.
    """
    path, method = data.draw(st.sampled_from(ASKED))
    case = data.draw(document[path][method].as_strategy())
    case.call_and_validate(
        base_url=str(shop.client.base_url),
        headers=bearer(shop.secret),
        excluded_checks=[positive_data_acceptance],
    )


def test_the_document_describes_every_call_for_slates_and_for_tracking(document: Any) -> None:
    described = {(each.ok().path, each.ok().method.upper()) for each in document.get_all_operations()}
    assert set(DOCUMENTED) <= described
    named = {parameter["name"] for parameter in document.raw_schema["paths"]["/recommend"]["get"]["parameters"]}
    assert named == set(Parameters.__struct_fields__)


def test_what_is_taken_gets_the_answers_that_the_document_describes(shop: World, document: Any) -> None:
    event = {"userId": "described", "event": "Seen"}
    bodies = {
        "/v1/batch": {"batch": [{"type": "track", **event}, {"type": "track", "event": "of nobody"}]},
        "/v1/items": {"items": [{"item_id": "described", "in_stock": False}]},
    }
    for path, method in TRACKED:
        case = document[path][method].Case(body=bodies.get(path, event), media_type="application/json")
        answer = case.call_and_validate(
            base_url=str(shop.client.base_url), headers=bearer(shop.secret), excluded_checks=[positive_data_acceptance]
        )
        assert answer.status_code == 200


@settings(max_examples=20, deadline=None, suppress_health_check=CALM)
@given(data=st.data())
def test_requests_that_the_document_allows_get_answers_that_it_describes(
    shop: World, document: Any, data: st.DataObject
) -> None:
    conforms(shop, document, data)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=CALM)
@given(data=st.data())
def test_very_many_requests_that_the_document_allows_get_answers_that_it_describes(
    shop: World, document: Any, data: st.DataObject
) -> None:
    conforms(shop, document, data)
