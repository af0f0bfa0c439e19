"""The model registry over MLflow's REST, without its client: versions, aliases, tags, and files fetched with checks."""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from features.errors import BadInput, BrokenArtifact, Unavailable
from models import artifacts

CHAMPION = "champion"
CHALLENGER = "challenger"
MANIFEST_TAG = "kindred.manifest_sha256"
FOLDER = "data/kindred"  # where training/runs.py puts the files inside of a logged model
TIMEOUT_S = 10.0
PAGE = 200
MAX_MANIFEST = 1 << 20


@dataclass(frozen=True)
class Version:
    """One registered version; `created` is ms UTC, `metrics` is filled by versions() and get() alone."""

    name: str
    version: str
    run_id: str
    source: str
    created: int
    tags: dict[str, str]
    aliases: tuple[str, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)


class Registry:
    """An MLflow server; every method raises Unavailable where it doesn't answer."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url.rstrip("/")
        try:
            self._client = httpx.Client(base_url=self._url, timeout=timeout_s)
        except httpx.InvalidURL as error:
            raise BadInput(f"{url!r} is not the URL of an MLflow server: {error}", "KINDRED_MLFLOW") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    def ping(self) -> None:
        """Return if the server answers."""
        self._get("/health")

    def champion(self, name: str) -> Version | None:
        """The version that is to be served; None where there is no such model or alias."""
        return self.alias(name, CHAMPION)

    def alias(self, name: str, alias: str) -> Version | None:
        """The version under an alias, without metrics: one request, cheap enough to poll."""
        response = self._get(_MLFLOW + "registered-models/alias", name=name, alias=alias)
        if response.status_code in {400, 404} and "not found" in _said(response):
            return None
        return _version(self._taken(response)["model_version"])

    def get(self, name: str, version: str) -> Version:
        """One version with its metrics.

        Raises:  BadInput: there is none; the message names those that there are.
        """
        response = self._get(_MLFLOW + "model-versions/get", name=name, version=version)
        if response.status_code in {400, 404}:
            known = ", ".join(each.version for each in self._search(name)) or "none: run `kindred train` first"
            raise BadInput(f"{name} has no version {version!r}; known ones: {known}", "version")
        return self._measured(_version(self._taken(response)["model_version"]))

    def versions(self, name: str) -> list[Version]:
        """All versions with aliases and metrics, newest first; empty where there is no such model."""
        response = self._get(_MLFLOW + "registered-models/get", name=name)
        if response.status_code == 404:
            return []
        aliases: dict[str, list[str]] = {}
        for entry in self._taken(response)["registered_model"].get("aliases", []):
            aliases.setdefault(str(entry["version"]), []).append(entry["alias"])
        return [self._measured(each, aliases.get(each.version, [])) for each in self._search(name)]

    def find(self, name: str, tag: str, value: str) -> Version | None:
        """The newest version with a tag of this value, without metrics."""
        return next((each for each in self._search(name) if each.tags.get(tag) == value), None)

    def params(self, version: Version) -> dict[str, str]:
        """The parameters that the version's run was logged with; empty where the run was deleted."""
        response = self._get(_MLFLOW + "runs/get", run_id=version.run_id)
        if response.status_code == 404:
            return {}
        logged = self._taken(response)["run"].get("data", {}).get("params", [])
        return {entry["key"]: str(entry["value"]) for entry in logged}

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Move or make an alias."""
        body = {"name": name, "alias": alias, "version": version}
        self._taken(self._send("POST", _MLFLOW + "registered-models/alias", json=body))

    def remove_alias(self, name: str, alias: str) -> None:
        """Take an alias away; nothing happens where there is none."""
        self._taken(self._send("DELETE", _MLFLOW + "registered-models/alias", json={"name": name, "alias": alias}))

    def set_tag(self, name: str, version: str, key: str, value: str) -> None:
        """Write a tag of a version."""
        body = {"name": name, "version": version, "key": key, "value": value}
        self._taken(self._send("POST", _MLFLOW + "model-versions/set-tag", json=body))

    def download(self, version: Version, cache: Path) -> Path:
        """The folder with the version's files, fetched once and checked every time.

        Args:    cache: where the folders of all versions lie, each named by its content.
        Raises:  BrokenArtifact: a file is missing, changed, a pickle, or named as no file of a model is.
        """
        wanted = version.tags.get(MANIFEST_TAG, "")
        if not re.fullmatch("[0-9a-f]{64}", wanted):
            raise BrokenArtifact(f"{version.name} {version.version} was not registered by `kindred train`: no checksum")
        kept = cache / f"{_safe(version.name)}-{_safe(version.version)}-{wanted[:16]}"
        if _is_whole(kept, wanted):
            return kept
        cache.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=".fetch-", dir=cache))
        try:
            self._fetch_all(version, wanted, fresh)
            shutil.rmtree(kept, ignore_errors=True)
            _move(fresh, kept, wanted)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return kept

    def _fetch_all(self, version: Version, wanted: str, folder: Path) -> None:
        root = self._artifact_root(version)
        self._fetch(f"{root}/{artifacts.MANIFEST}", folder / artifacts.MANIFEST, MAX_MANIFEST)
        raw = (folder / artifacts.MANIFEST).read_bytes()
        if hashlib.sha256(raw).hexdigest() != wanted:
            raise BrokenArtifact(f"{artifacts.MANIFEST} of {version.name} {version.version} was changed after training")
        manifest = artifacts.parse(raw)
        for name, entry in manifest.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            self._fetch(f"{root}/{name}", folder / name, entry.size)
        artifacts.verify(folder, manifest)

    def _artifact_root(self, version: Version) -> str:
        model_id = version.source.removeprefix("models:/")
        if not re.fullmatch(r"m-[0-9a-f]+", model_id):
            raise BrokenArtifact(f"{version.name} {version.version} has no logged model behind it: {version.source!r}")
        answer = self._taken(self._get(_MLFLOW + f"logged-models/{model_id}"))
        scheme, _, path = answer["model"]["info"]["artifact_uri"].partition(":")
        if scheme != "mlflow-artifacts":
            raise BrokenArtifact(f"files under {scheme}: can't be fetched; run `mlflow server` with --serve-artifacts")
        path = httpx.URL(path).path.strip("/")
        return f"/api/2.0/mlflow-artifacts/artifacts/{path}/{FOLDER}"

    def _fetch(self, path: str, target: Path, most: int) -> None:
        """Into a file, and never more than was promised."""
        try:
            with self._client.stream("GET", path) as response, target.open("wb") as file:
                if response.status_code == 404:
                    raise BrokenArtifact(f"{target.name} is missing on the registry")
                if response.status_code != 200:
                    raise Unavailable(f"MLflow at {self._url} answers {response.status_code} for {target.name}")
                for chunk in response.iter_bytes():
                    file.write(chunk)
                    if file.tell() > most:
                        raise BrokenArtifact(f"{target.name} is larger than {most} bytes, which it should not exceed")
        except httpx.HTTPError as error:
            raise self._silent(error) from error

    def _search(self, name: str) -> list[Version]:
        found: list[Version] = []
        token = ""
        while True:
            query = {"filter": f"name='{_safe(name)}'", "max_results": str(PAGE), "page_token": token}
            page = self._taken(self._get(_MLFLOW + "model-versions/search", **query))
            found += [_version(each) for each in page.get("model_versions", [])]
            token = page.get("next_page_token", "")
            if not token:
                return sorted(found, key=lambda each: -int(each.version))

    def _measured(self, version: Version, aliases: list[str] | None = None) -> Version:
        """The same version with the metrics of its run; a deleted run has none."""
        response = self._get(_MLFLOW + "runs/get", run_id=version.run_id)
        metrics: list[dict[str, Any]] = []
        if response.status_code != 404:
            metrics = self._taken(response)["run"].get("data", {}).get("metrics", [])
        return replace(
            version,
            aliases=version.aliases if aliases is None else tuple(sorted(aliases)),
            metrics={entry["key"]: float(entry["value"]) for entry in metrics},
        )

    def _get(self, path: str, **params: str) -> httpx.Response:
        return self._send("GET", path, params=params)

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **more)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._silent(error) from error

    def _taken(self, response: httpx.Response) -> dict[str, Any]:
        try:
            body: object = response.json()
        except ValueError:
            body = None
        if response.status_code != 200 or not isinstance(body, dict):
            raise Unavailable(f"MLflow at {self._url} answers {response.status_code}: {_said(response)}")
        return body

    def _silent(self, error: Exception) -> Unavailable:
        return Unavailable(f"MLflow at {self._url} does not answer: {error or type(error).__name__}")


_MLFLOW = "/api/2.0/mlflow/"


def _version(answer: Mapping[str, Any]) -> Version:
    return Version(
        name=answer["name"],
        version=str(answer["version"]),
        run_id=answer.get("run_id", ""),
        source=answer.get("source", ""),
        created=int(answer["creation_timestamp"]),
        tags={tag["key"]: tag["value"] for tag in answer.get("tags", [])},
        aliases=tuple(sorted(answer.get("aliases", []))),
    )


def _said(response: httpx.Response) -> str:
    try:
        return str(response.json().get("message", ""))[:300]
    except (ValueError, AttributeError):
        return response.text[:300]


def _safe(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise BadInput(f"{name!r} can't be the name or version of a model", "model")
    return name


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
