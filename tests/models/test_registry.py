"""The registry over REST: a real MLflow server, and a false one for what a real one would not do."""

import hashlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest

from features.errors import BadInput, BrokenArtifact, Unavailable
from models import load
from models.artifacts import MANIFEST
from models.histories import History
from models.registry import MANIFEST_TAG, Registry, Version
from tests.mlflow_server import free_port
from tests.tastes import DAY_MS, two_tastes
from training import runs, trainer

FITTED = trainer.train(trainer.Recipe("als"), two_tastes(days=30), 10 * DAY_MS)


@pytest.fixture
def registry(mlflow_url: str) -> Iterator[Registry]:
    with Registry(mlflow_url) as registry:
        yield registry


@pytest.fixture
def version(mlflow_url: str, registry: Registry, tmp_path: Path) -> Version:
    """A registered version under a name of its own."""
    fitted = replace(FITTED, name=f"als-{uuid.uuid4().hex[:8]}")
    made = runs.register(mlflow_url, runs.recommender(fitted), {}, tmp_path / "made")
    return registry.get(made.name, made.version)


def test_a_model_that_nobody_trained_has_no_champion_and_no_versions(registry: Registry) -> None:
    assert registry.champion("nobody") is None
    assert registry.versions("nobody") == []


def test_an_alias_is_followed(registry: Registry, version: Version) -> None:
    assert registry.champion(version.name) is None
    registry.set_alias(version.name, "champion", version.version)
    champion = registry.champion(version.name)
    assert champion is not None
    assert (champion.version, champion.aliases, champion.tags) == ("1", ("challenger", "champion"), version.tags)
    registry.remove_alias(version.name, "champion")
    assert registry.champion(version.name) is None
    registry.remove_alias(version.name, "champion")


def test_a_version_lists_metrics_and_tags(registry: Registry, version: Version) -> None:
    registry.set_tag(version.name, version.version, "note", "a b")
    (found,) = registry.versions(version.name)
    assert found.metrics == version.metrics
    assert found.metrics["ndcg_at_10"] > 0
    assert found.tags["note"] == "a b"
    assert found.created > 1_700_000_000_000


def test_a_wrong_version_names_the_right_ones(registry: Registry, version: Version) -> None:
    with pytest.raises(BadInput, match="no version '77'; known ones: 1"):
        registry.get(version.name, "77")
    with pytest.raises(BadInput, match="no version 'latest'"):
        registry.get(version.name, "latest")
    with pytest.raises(BadInput, match="kindred train"):
        registry.get("nobody", "1")


def test_what_is_fetched_answers_as_what_was_trained(registry: Registry, version: Version, tmp_path: Path) -> None:
    folder = registry.download(version, tmp_path / "cache")
    found, trained = load(folder), FITTED.model
    history = History(np.array([1, 2], dtype=np.int32), np.ones(2, dtype=np.float32))
    for got, wanted in zip(found.recommend_one(history, 5), trained.recommend_one(history, 5), strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [folder.name]


def test_a_version_that_cannot_be_fetched_leaves_nothing_behind(version: Version, tmp_path: Path) -> None:
    with Registry("http://127.0.0.1:1") as silent, pytest.raises(Unavailable):
        silent.download(version, tmp_path)
    assert [path for path in tmp_path.iterdir() if path.name != "made"] == []


def test_a_kept_copy_needs_no_server(registry: Registry, version: Version, tmp_path: Path) -> None:
    folder = registry.download(version, tmp_path / "cache")
    with Registry("http://127.0.0.1:1") as silent:
        assert silent.download(version, tmp_path / "cache") == folder


def test_a_damaged_copy_is_fetched_again(registry: Registry, version: Version, tmp_path: Path) -> None:
    folder = registry.download(version, tmp_path / "cache")
    (folder / "arrays.npz").write_bytes(b"rotten")
    assert registry.download(version, tmp_path / "cache") == folder
    load(folder)


def test_a_version_that_another_program_made_is_refused(registry: Registry, version: Version, tmp_path: Path) -> None:
    with pytest.raises(BrokenArtifact, match="no checksum"):
        registry.download(replace(version, tags={}), tmp_path)
    with pytest.raises(BrokenArtifact, match="no logged model"):
        registry.download(replace(version, source="/somewhere"), tmp_path)


def test_a_server_that_is_down_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Registry(url) as registry:
        asks: list[Callable[[], object]] = [
            registry.ping,
            lambda: registry.champion("als"),
            lambda: registry.versions("als"),
            lambda: registry.set_alias("als", "champion", "1"),
        ]
        for ask in asks:
            with pytest.raises(Unavailable, match=f"MLflow at {url} does not answer"):
                ask()


Files = dict[str, bytes]
GOOD: Files = {"model.json": b"{}", "items.json": b"[]", "arrays.npz": b"abc"}


def manifest_of(files: Files) -> bytes:
    listed = {name: {"sha256": hashlib.sha256(raw).hexdigest(), "size": len(raw)} for name, raw in files.items()}
    return msgspec.json.encode({"format": 1, "files": listed})


def served(
    monkeypatch: pytest.MonkeyPatch, stored: Files, manifest: bytes, uri: str = "mlflow-artifacts:/1/m"
) -> Registry:
    """A registry whose server holds these files."""

    def answer(request: httpx.Request) -> httpx.Response:
        if "logged-models" in request.url.path:
            return httpx.Response(200, json={"model": {"info": {"artifact_uri": uri}}})
        name = request.url.path.rpartition("/")[2]
        files = {**stored, MANIFEST: manifest}
        return httpx.Response(200, content=files[name]) if name in files else httpx.Response(404, json={})

    registry = Registry("http://mlflow.test")
    monkeypatch.setattr(
        registry, "client", httpx.Client(base_url="http://mlflow.test", transport=httpx.MockTransport(answer))
    )
    return registry


def version_of(manifest: bytes) -> Version:
    tags = {MANIFEST_TAG: hashlib.sha256(manifest).hexdigest()}
    return Version("als", "1", "run", "models:/m-0", 0, tags)


def refused(monkeypatch: pytest.MonkeyPatch, folder: Path, stored: Files, manifest: bytes, message: str) -> None:
    with served(monkeypatch, stored, manifest) as registry, pytest.raises(BrokenArtifact, match=message):
        registry.download(version_of(manifest), folder)
    assert list(folder.iterdir()) == []  # nothing half is left


def test_files_as_promised_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    manifest = manifest_of(GOOD)
    with served(monkeypatch, GOOD, manifest) as registry:
        folder = registry.download(version_of(manifest), tmp_path)
    assert (folder / "arrays.npz").read_bytes() == b"abc"


def test_a_changed_byte_on_the_server_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refused(monkeypatch, tmp_path, {**GOOD, "arrays.npz": b"abd"}, manifest_of(GOOD), r"arrays\.npz was changed")


def test_a_file_missing_on_the_server_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refused(monkeypatch, tmp_path, {"model.json": b"{}"}, manifest_of(GOOD), r"items\.json is missing on the registry")


def test_a_file_longer_than_promised_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refused(monkeypatch, tmp_path, {**GOOD, "arrays.npz": b"a" * 10_000}, manifest_of(GOOD), "larger than 3 bytes")


def test_a_pickle_on_the_server_is_not_even_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = {**GOOD, "model.pkl": b"x"}
    refused(monkeypatch, tmp_path, files, manifest_of(files), "never a pickle")


@pytest.mark.parametrize("name", ["../model.json", "/etc/model.json", "a/../../b.json"])
def test_a_path_out_of_the_folder_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    files = {**GOOD, name: b"x"}
    refused(monkeypatch, tmp_path, files, manifest_of(files), "not a plain file name")


def test_a_manifest_exchanged_with_its_files_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    exchanged = {**GOOD, "arrays.npz": b"other"}
    registry = served(monkeypatch, exchanged, manifest_of(exchanged))
    with registry, pytest.raises(BrokenArtifact, match="changed after training"):
        registry.download(version_of(manifest_of(GOOD)), tmp_path)


def test_files_that_the_server_does_not_pass_on_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    manifest = manifest_of(GOOD)
    registry = served(monkeypatch, GOOD, manifest, "s3://bucket/m")
    with registry, pytest.raises(BrokenArtifact, match="serve-artifacts"):
        registry.download(version_of(manifest), tmp_path)


def test_an_answer_that_is_no_mlflow_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry("http://mlflow.test")
    page = httpx.MockTransport(lambda _: httpx.Response(502, text="<html>bad gateway</html>"))
    monkeypatch.setattr(registry, "client", httpx.Client(base_url="http://mlflow.test", transport=page))
    with registry, pytest.raises(Unavailable, match="502"):
        registry.champion("als")


@pytest.mark.parametrize("name", ["../als", "a/b", "", "x'y", "a b"])
def test_a_name_that_no_model_has_is_refused(registry: Registry, name: str) -> None:
    with pytest.raises(BadInput, match="can't be the name"):
        registry.get(name, "1")
