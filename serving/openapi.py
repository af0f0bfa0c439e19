"""Our own structs in BentoML's OpenAPI document, so that every field is written once."""

from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import RootModel


def body_of(kind: type) -> type[RootModel[dict[str, Any]]]:
    """A pydantic type with the JSON schema of a msgspec struct; the struct does the checking."""

    class Body(RootModel[dict[str, Any]]):
        @classmethod
        def model_json_schema(cls, *_args: Any, **options: Any) -> dict[str, Any]:
            template = options.get("ref_template", "#/$defs/{model}").replace("{model}", "{name}")
            (schema,), definitions = msgspec.json.schema_components([kind], ref_template=template)
            own = definitions.pop(kind.__name__, schema)
            return {**own, "$defs": definitions}

    Body.__name__ = kind.__name__
    return Body


class Said(msgspec.Struct, frozen=True):
    """What was wrong; `field` names it in the caller's own words."""

    code: str
    message: str
    field: str | None


class Failure(msgspec.Struct, frozen=True):
    """Every answer that is no 200."""

    error: Said


FAILURES = {
    "400": "What was sent can't be used",
    "401": "A key is needed",
    "403": "The key doesn't allow it",
    "429": "Too much at once: come again after Retry-After seconds",
    "500": "The service failed on this request",
    "503": "A part of the service doesn't answer: come again after Retry-After seconds",
}


def parameters_of(kind: type) -> list[dict[str, Any]]:
    """The fields of a struct as parameters of a query; a list is one that may come several times, null is to be absent.

    A text is held to bounds that a query can say.
    """
    (_,), definitions = msgspec.json.schema_components([kind])
    return [
        {"name": name, "in": "query", "required": False, "schema": _without_null(schema)}
        for name, schema in definitions[kind.__name__]["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    kinds = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    plain: dict[str, Any] = kinds[0] if len(kinds) == 1 else {k: v for k, v in schema.items() if v is not None}
    return {name: value for name, value in plain.items() if name != "default" or value is not None}


def documented(
    document: dict[str, Any],
    slates: Mapping[str, type],
    parameters: Mapping[str, type],
    answer: type,
    tracking: Mapping[str, tuple[type, type]],
) -> dict[str, Any]:
    """BentoML's document with the contract's own bodies and errors: BentoML drops null, and describes its own errors.

    Args:    slates: by path the struct of the body of POST; parameters: by path, a struct of those of GET; answer: the
             struct of every answer of those; tracking: by path the structs of body and answer of the other routes,
             which BentoML doesn't know.
    """
    bodies = {body: None for body, _ in tracking.values()} | {told: None for _, told in tracking.values()}
    kinds = [*slates.values(), answer, Failure, *bodies]
    found, ours = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    of_kind = {kind: {"application/json": {"schema": schema}} for kind, schema in zip(kinds, found, strict=True)}
    failures = {status: {"description": told, "content": of_kind[Failure]} for status, told in FAILURES.items()}

    def call(body: type, told: type, what: str) -> dict[str, Any]:
        answers = {"200": {"description": what, "content": of_kind[told]}, **failures}
        return {"requestBody": {"required": True, "content": of_kind[body]}, "responses": answers}

    paths = dict(document["paths"])
    for path, body in slates.items():
        told = {**paths[path]["post"], **call(body, answer, "A slate")}
        paths[path] = {"post": told}
        if path in parameters:
            told = {name: value for name, value in told.items() if name not in {"requestBody", "x-bentoml-name"}}
            named = {"operationId": f"{told.get('operationId', path.strip('/'))}_by_parameters"}
            paths[path]["get"] = {**told, **named, "parameters": parameters_of(parameters[path])}
    for path, (body, taken) in tracking.items():
        paths[path] = {"post": {"operationId": path.strip("/").replace("/", "_"), **call(body, taken, "It was taken")}}
    schemas = {**document["components"]["schemas"], **ours}
    return {**document, "openapi": "3.1.0", "paths": paths, "components": {"schemas": schemas}}
