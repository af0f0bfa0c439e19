"""A sealed folder, and every way to break it."""

import pickle
from pathlib import Path

import msgspec
import numpy as np
import pytest

from features.errors import BrokenArtifact
from models import artifacts, load
from models.trending import Trending
from tests.tastes import checkerboard


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    Trending().fit(checkerboard()).save(tmp_path)
    artifacts.seal(tmp_path)
    return tmp_path


def test_a_folder_as_it_was_sealed_is_believed(sealed: Path) -> None:
    assert set(artifacts.verify(sealed).files) == {"model.json", "items.json", "arrays.npz"}


def test_a_changed_byte_is_found(sealed: Path) -> None:
    path = sealed / "arrays.npz"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(BrokenArtifact, match=r"arrays\.npz was changed"):
        artifacts.verify(sealed)


def test_a_missing_file_is_found(sealed: Path) -> None:
    (sealed / "items.json").unlink()
    with pytest.raises(BrokenArtifact, match=r"items\.json is missing"):
        artifacts.verify(sealed)


def test_a_file_that_came_later_is_found(sealed: Path) -> None:
    (sealed / "more.json").write_text("{}")
    with pytest.raises(BrokenArtifact, match=r"more\.json is not listed"):
        artifacts.verify(sealed)


def test_a_link_is_no_file(sealed: Path) -> None:
    copy = (sealed / "items.json").read_bytes()
    (sealed / "items.json").unlink()
    other = sealed.parent / f"{sealed.name}-elsewhere"
    other.write_bytes(copy)
    (sealed / "items.json").symlink_to(other)
    with pytest.raises(BrokenArtifact, match="not a plain file"):
        artifacts.verify(sealed)


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokenArtifact, match="has no"):
        artifacts.verify(tmp_path)


def test_a_pickle_is_never_sealed(sealed: Path) -> None:
    (sealed / "model.pkl").write_bytes(pickle.dumps("x"))
    with pytest.raises(BrokenArtifact, match="never a pickle"):
        artifacts.seal(sealed)


@pytest.mark.parametrize(
    "name",
    ["../a.json", "/etc/a.json", "a/b/c.json", "a/../b.json", "..", "../..", ".a.json", "", "a\\b.json", "a.json\n"],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    raw = msgspec.json.encode({"format": 1, "files": {name: {"sha256": "0" * 64, "size": 1}}})
    with pytest.raises(BrokenArtifact, match="not a plain file name"):
        artifacts.parse(raw)


@pytest.mark.parametrize("name", ["model.pkl", "model.pickle", "model.joblib", "model.pt", "model", "model.npy"])
def test_a_file_that_no_model_has_is_refused(name: str) -> None:
    raw = msgspec.json.encode({"format": 1, "files": {name: {"sha256": "0" * 64, "size": 1}}})
    with pytest.raises(BrokenArtifact, match="never a pickle"):
        artifacts.parse(raw)


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"format": 1, "files": {}}', b'{"format": 2, "files": {}}'])
def test_a_manifest_that_says_nothing_is_refused(raw: bytes) -> None:
    with pytest.raises(BrokenArtifact):
        artifacts.parse(raw)


def test_a_pickle_inside_of_an_archive_is_not_opened(sealed: Path) -> None:
    np.savez(sealed / "arrays.npz", popularity=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BrokenArtifact, match="can't be read"):
        load(sealed)


@pytest.mark.parametrize(
    "popularity",
    [np.ones(3, dtype=np.float32), np.ones((10, 1), dtype=np.float32), np.ones(10), np.full(10, np.nan, np.float32)],
    ids=["short", "wide", "double", "nan"],
)
def test_an_array_that_does_not_fit_is_refused(
    sealed: Path, popularity: "np.ndarray[tuple[int], np.dtype[np.float64]]"
) -> None:
    np.savez(sealed / "arrays.npz", popularity=popularity)
    with pytest.raises(BrokenArtifact, match="popularity"):
        load(sealed)


@pytest.mark.parametrize("items", ["[]", '["b", "a"]', '["a", "a"]', "7", "[1]"])
def test_items_out_of_order_are_refused(sealed: Path, items: str) -> None:
    (sealed / "items.json").write_text(items)
    with pytest.raises(BrokenArtifact):
        load(sealed)


def test_a_model_of_a_later_kindred_is_refused(sealed: Path) -> None:
    (sealed / "model.json").write_text('{"name": "trending", "format": 99, "params": {}}')
    with pytest.raises(BrokenArtifact, match="format 99"):
        load(sealed)
    (sealed / "model.json").write_text('{"name": "oracle", "format": 1, "params": {}}')
    with pytest.raises(BrokenArtifact, match="oracle"):
        load(sealed)
    (sealed / "model.json").write_text('{"name": "trending", "format": 1, "params": {}}')
    with pytest.raises(BrokenArtifact, match="half_life_days"):
        load(sealed)


def test_a_folder_of_members_is_sealed_with_what_lies_in_it(sealed: Path) -> None:
    (sealed / "als").mkdir()
    (sealed / "als" / "model.json").write_text("{}")
    assert "als/model.json" in artifacts.seal(sealed).files
    artifacts.verify(sealed)
    (sealed / "als" / "more.json").write_text("{}")
    with pytest.raises(BrokenArtifact, match=r"als/more\.json is not listed"):
        artifacts.verify(sealed)
