"""A model's files: JSON, npz, FAISS, ONNX and LightGBM's text only, sealed by a manifest of sizes and SHA-256 sums."""

import hashlib
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from scipy.sparse import csr_matrix

from features.errors import BrokenArtifact
from models.arrays import Csr
from models.interactions import IdMap

FORMAT = 1
MANIFEST = "kindred.json"
SUFFIXES = frozenset({".json", ".npz", ".faiss", ".onnx", ".txt"})
_PLAIN = re.compile(r"(?:[A-Za-z0-9_-]+/)?[A-Za-z0-9_-][A-Za-z0-9_.-]*")  # of a member of a blend in its folder

Arrays = dict[str, "np.ndarray[Any, Any]"]
Shapes = Mapping[str, tuple[int, ...]]


class Entry(msgspec.Struct, frozen=True):
    """One file of a model: SHA-256 in hex and size in bytes."""

    sha256: str
    size: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a sealed folder holds."""

    format: int
    files: dict[str, Entry]


class _Head(msgspec.Struct, frozen=True):
    """model.json"""

    name: str
    format: int
    params: dict[str, Any]


def write(folder: Path, name: str, params: Mapping[str, Any], items: IdMap, arrays: Arrays) -> None:
    """The files that every model has: model.json, items.json, arrays.npz."""
    (folder / "model.json").write_text(json.dumps({"name": name, "format": FORMAT, "params": dict(params)}))
    (folder / "items.json").write_text(json.dumps(items.ids))
    np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)


def read(
    folder: Path, name: str, shapes: Shapes, integers: Shapes | None = None
) -> tuple[dict[str, Any], IdMap, Arrays]:
    """What write() wrote.

    Args:    shapes: of each float32 array, integers: of each int32 or int64 one; -1 stands for the number of items, 0
             for any size.
    Raises:  BrokenArtifact: a file is missing, of another model, or doesn't hold what it should.
    """
    try:
        head = msgspec.json.decode((folder / "model.json").read_bytes(), type=_Head)
        ids = msgspec.json.decode((folder / "items.json").read_bytes(), type=tuple[str, ...])
        with np.load(folder / "arrays.npz", allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in (*shapes, *(integers or ()))}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, msgspec.MsgspecError) as error:
        raise BrokenArtifact(f"the files in {folder} can't be read as a model: {error}") from error
    if (head.name, head.format) != (name, FORMAT):
        raise BrokenArtifact(f"{folder} holds {head.name!r} in format {head.format}, not {name!r} in {FORMAT}")
    if not ids or list(ids) != sorted(set(ids)):
        raise BrokenArtifact(f"items.json in {folder} is empty, not sorted, or names an item twice")
    _check(arrays, shapes, len(ids), "f")
    _check(arrays, integers or {}, len(ids), "i")
    return head.params, IdMap(ids), arrays


def sparse_arrays(key: str, matrix: Csr) -> Arrays:
    """A csr matrix as the arrays to write."""
    return {
        key: matrix.data.astype(np.float32),
        f"{key}_indices": matrix.indices.astype(np.int32),
        f"{key}_indptr": matrix.indptr.astype(np.int64),
    }


def sparse_shapes(key: str) -> tuple[Shapes, Shapes]:
    """What read() needs for sparse_arrays(): the float32 and the integer shapes."""
    return {key: (0,)}, {f"{key}_indices": (0,), f"{key}_indptr": (0,)}


def sparse_matrix(arrays: Arrays, key: str, shape: tuple[int, int]) -> Csr:
    """The csr matrix from its arrays.

    Raises:  BrokenArtifact: they don't make one of this shape.
    """
    data, indices, indptr = arrays[key], arrays[f"{key}_indices"], arrays[f"{key}_indptr"]
    whole = len(indptr) == shape[0] + 1 and indptr[0] == 0 and indptr[-1] == len(data) == len(indices)
    if not whole or (np.diff(indptr) < 0).any() or (indices < 0).any() or (indices >= shape[1]).any():
        raise BrokenArtifact(f"the arrays of {key!r} don't make a matrix of {shape}")
    return csr_matrix((data, indices, indptr), shape=shape)


def stored_name(folder: Path) -> str:
    """Which model the folder holds.

    Raises:  BrokenArtifact: it holds none.
    """
    try:
        return msgspec.json.decode((folder / "model.json").read_bytes(), type=_Head).name
    except (OSError, msgspec.MsgspecError) as error:
        raise BrokenArtifact(f"{folder} holds no model: {error}") from error


def seal(folder: Path) -> Manifest:
    """Write the manifest over all files of the folder; nothing may be added afterwards."""
    manifest = Manifest(format=FORMAT, files={name: _entry(folder / name) for name in sorted(_names(folder))})
    _check_names(manifest)
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return manifest


def digest(folder: Path) -> str:
    """SHA-256 of the manifest in hex: it vouches for every file of a sealed folder."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def parse(raw: bytes) -> Manifest:
    """A manifest from its bytes, every name in it safe to join to a folder.

    Raises:  BrokenArtifact: it can't be read, or names a pickle or a path out of the folder.
    """
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.MsgspecError as error:
        raise BrokenArtifact(f"{MANIFEST} can't be read: {error}") from error
    if manifest.format != FORMAT:
        raise BrokenArtifact(f"{MANIFEST} has format {manifest.format}; this Kindred reads {FORMAT}")
    _check_names(manifest)
    return manifest


def verify(folder: Path, manifest: Manifest | None = None) -> Manifest:
    """The manifest of a folder whose files are all there, all as sealed, and no others.

    Raises:  BrokenArtifact: naming the first file that is missing, changed or not listed.
    """
    try:
        manifest = manifest or parse((folder / MANIFEST).read_bytes())
        present = _names(folder)
    except OSError as error:
        raise BrokenArtifact(f"{folder} has no {MANIFEST}") from error
    if extra := sorted(present - manifest.files.keys()):
        raise BrokenArtifact(f"{extra[0]} is not listed in {MANIFEST}")
    for name, entry in manifest.files.items():
        if name not in present:
            raise BrokenArtifact(f"{name} is missing")
        if _entry(folder / name) != entry:
            raise BrokenArtifact(f"{name} was changed after training: its SHA-256 or size differs from {MANIFEST}")
    return manifest


def _names(folder: Path) -> set[str]:
    """What lies in the folder and in the folders in it, but for the manifest."""
    deep = {path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()}
    paths = {*folder.iterdir(), *(inner for path in deep for inner in path.iterdir())} - deep
    return {path.relative_to(folder).as_posix() for path in paths} - {MANIFEST}


def _check_names(manifest: Manifest) -> None:
    if not manifest.files:
        raise BrokenArtifact(f"{MANIFEST} lists no files")
    for name in manifest.files:
        if not _PLAIN.fullmatch(name):
            raise BrokenArtifact(f"{name!r} is not a plain file name")
        if Path(name).suffix not in SUFFIXES:
            raise BrokenArtifact(f"{name!r} is refused: only {', '.join(sorted(SUFFIXES))} are read, never a pickle")


def _check(arrays: Arrays, shapes: Shapes, n_items: int, kind: str) -> None:
    for key, shape in shapes.items():
        wanted = tuple(n_items if size == -1 else size for size in shape)
        got = arrays[key]
        fits = got.ndim == len(wanted) and all(size in (0, have) for size, have in zip(wanted, got.shape, strict=True))
        typed = got.dtype == np.float32 if kind == "f" else got.dtype in (np.int32, np.int64)
        if not typed or not fits or not np.isfinite(got).all():
            what = "finite float32" if kind == "f" else "integers"
            raise BrokenArtifact(f"array {key!r} is {got.dtype} {got.shape}, wanted {what} {wanted}")


def _entry(path: Path) -> Entry:
    if path.is_symlink() or not path.is_file():
        raise BrokenArtifact(f"{path.name} is not a plain file")
    with path.open("rb") as file:
        return Entry(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)
