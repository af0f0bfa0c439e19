"""Our own structs in BentoML's OpenAPI document, so that every field is written once."""

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
