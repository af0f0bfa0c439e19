"""A version's files: fetched once, checked every time, kept by content, and only so many of them."""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

import httpx

from features.errors import BadInput, BrokenArtifact, Unavailable
from models import artifacts
from models.registry.records import MANIFEST_TAG, Version
from models.registry.server import MLFLOW, Server

FOLDER = "data/kindred"  # where training/runs.py puts the files inside of a logged model
MAX_MANIFEST = 1 << 20


def download(server: Server, version: Version, cache: Path) -> Path:
    """The folder with the version's files, fetched once and checked every time.

    Args:    cache: where the folders of all versions lie, each named by its content.
    Raises:  BrokenArtifact: a file is missing, changed, a pickle, or named as no file of a model is.
    """
    wanted = version.tags.get(MANIFEST_TAG, "")
    if not re.fullmatch("[0-9a-f]{64}", wanted):
        raise BrokenArtifact(f"{version.name} {version.version} was not registered by `kindred train`: no checksum")
    kept = cache / folder_of(version)
    if _is_whole(kept, wanted):
        kept.touch()  # the least lately used go first
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".fetch-", dir=cache))
    try:
        _fetch_all(server, version, wanted, fresh)
        shutil.rmtree(kept, ignore_errors=True)
        _move(fresh, kept, wanted)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return kept


def folder_of(version: Version) -> str:
    """The name of a version's folder in a cache."""
    return f"{safe(version.name)}-{safe(version.version)}-{version.tags.get(MANIFEST_TAG, '')[:16]}"


def tidy(cache: Path, keep: Collection[str], most_bytes: int) -> list[str]:
    """Take the least lately used folders away until the cache holds at most so many bytes; returns their names.

    Args:    keep: names of folders that stay, whatever they weigh.
    """
    folders = [path for path in cache.iterdir() if path.is_dir() and not path.name.startswith(".")]
    weights = {path: sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) for path in folders}
    total, gone = sum(weights.values()), []
    for path in sorted(folders, key=lambda each: (each.stat().st_mtime, each.name)):
        if total > most_bytes and path.name not in keep:
            shutil.rmtree(path, ignore_errors=True)
            total -= weights[path]
            gone.append(path.name)
    return gone


def safe(name: str) -> str:
    """The name or version of a model, if it is one.

    Raises:  BadInput: it could be a path, or break a filter.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise BadInput(f"{name!r} can't be the name or version of a model", "model")
    return name


def _fetch_all(server: Server, version: Version, wanted: str, folder: Path) -> None:
    root = _artifact_root(server, version)
    _fetch(server, f"{root}/{artifacts.MANIFEST}", folder / artifacts.MANIFEST, MAX_MANIFEST)
    raw = (folder / artifacts.MANIFEST).read_bytes()
    if hashlib.sha256(raw).hexdigest() != wanted:
        raise BrokenArtifact(f"{artifacts.MANIFEST} of {version.name} {version.version} was changed after training")
    manifest = artifacts.parse(raw)
    for name, entry in manifest.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        _fetch(server, f"{root}/{name}", folder / name, entry.size)
    artifacts.verify(folder, manifest)


def _artifact_root(server: Server, version: Version) -> str:
    model_id = version.source.removeprefix("models:/")
    if not re.fullmatch(r"m-[0-9a-f]+", model_id):
        raise BrokenArtifact(f"{version.name} {version.version} has no logged model behind it: {version.source!r}")
    answer = server.taken(server.ask(MLFLOW + f"logged-models/{model_id}"))
    scheme, _, path = answer["model"]["info"]["artifact_uri"].partition(":")
    if scheme != "mlflow-artifacts":
        raise BrokenArtifact(f"files under {scheme}: can't be fetched; run `mlflow server` with --serve-artifacts")
    path = httpx.URL(path).path.strip("/")
    return f"/api/2.0/mlflow-artifacts/artifacts/{path}/{FOLDER}"


def _fetch(server: Server, path: str, target: Path, most: int) -> None:
    """Into a file, and never more than was promised."""
    try:
        with server.client.stream("GET", path) as response, target.open("wb") as file:
            if response.status_code == 404:
                raise BrokenArtifact(f"{target.name} is missing on the registry")
            if response.status_code != 200:
                raise Unavailable(f"MLflow at {server.url} answers {response.status_code} for {target.name}")
            for chunk in response.iter_bytes():
                file.write(chunk)
                if file.tell() > most:
                    raise BrokenArtifact(f"{target.name} is larger than {most} bytes, which it should not exceed")
    except httpx.HTTPError as error:
        raise server.silent(error) from error


def _is_whole(folder: Path, wanted: str) -> bool:
    if not folder.is_dir():
        return False
    try:
        raw = (folder / artifacts.MANIFEST).read_bytes()
        artifacts.verify(folder)
    except (OSError, BrokenArtifact):
        return False  # the copy is damaged: it is fetched again, and what is fetched is checked
    return hashlib.sha256(raw).hexdigest() == wanted


def _move(fresh: Path, kept: Path, wanted: str) -> None:
    """Another worker may have put the same content there in the meantime."""
    try:
        fresh.rename(kept)
    except OSError:
        if not _is_whole(kept, wanted):
            raise
