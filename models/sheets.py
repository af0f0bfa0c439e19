"""The one sheet of a model that knows no items: model.json with its name and parameters."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from features.errors import BrokenArtifact
from models.artifacts import FORMAT

FILE = "model.json"


class _Head(msgspec.Struct, frozen=True):
    name: str
    format: int
    params: dict[str, Any]


def write(folder: Path, name: str, params: Mapping[str, Any]) -> None:
    """Write model.json; as that of a recommender, so that artifacts.stored_name() tells what lies there."""
    (folder / FILE).write_text(json.dumps({"name": name, "format": FORMAT, "params": dict(params)}, allow_nan=False))


def read(folder: Path, name: str) -> dict[str, Any]:
    """The parameters that write() wrote.

    Raises:  BrokenArtifact: the file is missing, of another model, or can't be read.
    """
    try:
        head = msgspec.json.decode((folder / FILE).read_bytes(), type=_Head)
    except (OSError, msgspec.MsgspecError) as error:
        raise BrokenArtifact(f"the files in {folder} can't be read as a model: {error}") from error
    if (head.name, head.format) != (name, FORMAT):
        raise BrokenArtifact(f"{folder} holds {head.name!r} in format {head.format}, not {name!r} in {FORMAT}")
    return head.params
