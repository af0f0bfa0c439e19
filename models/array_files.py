"""The files of a model that has no catalogue: one JSON, and one npz if it has arrays, sealed like any other model's."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from features.errors import BrokenArtifact
from models.artifacts import FORMAT, Arrays

Shapes = Mapping[str, tuple[int, ...]]
_NUMBERS = (np.float32, np.float64, np.int32, np.int64)


class _Head(msgspec.Struct, frozen=True):
    """What the JSON holds."""

    name: str
    format: int
    params: dict[str, Any]


def write(
    folder: Path, name: str, params: Mapping[str, Any], arrays: Arrays | None = None, stem: str = "model"
) -> None:
    """`<stem>.json`, and `<stem>.npz` where there are arrays, in an existing folder."""
    head = {"name": name, "format": FORMAT, "params": dict(params)}
    (folder / f"{stem}.json").write_text(json.dumps(head, allow_nan=False))
    if arrays:
        np.savez(folder / f"{stem}.npz", allow_pickle=False, **arrays)


def read(folder: Path, name: str, shapes: Shapes | None = None, stem: str = "model") -> tuple[dict[str, Any], Arrays]:
    """What write() wrote.

    Args:    shapes: of each array; 0 stands for any size. None if there are none.
    Raises:  BrokenArtifact: a file is missing, of another model, or doesn't hold finite numbers of these shapes.
    """
    try:
        head = msgspec.json.decode((folder / f"{stem}.json").read_bytes(), type=_Head)
        arrays = _stored(folder / f"{stem}.npz", list(shapes)) if shapes else {}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, msgspec.MsgspecError) as error:
        raise BrokenArtifact(f"the files {stem}.* in {folder} can't be read as a model: {error}") from error
    if (head.name, head.format) != (name, FORMAT):
        raise BrokenArtifact(f"{folder} holds {head.name!r} in format {head.format}, not {name!r} in {FORMAT}")
    for key, wanted in (shapes or {}).items():
        got = arrays[key]
        fits = got.ndim == len(wanted) and all(size in (0, have) for size, have in zip(wanted, got.shape, strict=True))
        if not fits or got.dtype not in _NUMBERS or not np.isfinite(got).all():
            raise BrokenArtifact(f"array {key!r} is {got.dtype} {got.shape}, wanted finite numbers {wanted}")
    return head.params, arrays


def _stored(path: Path, keys: Sequence[str]) -> Arrays:
    with np.load(path, allow_pickle=False) as stored:
        return {key: stored[key] for key in keys}
