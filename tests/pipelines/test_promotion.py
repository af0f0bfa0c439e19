"""Gates, the trail and the way back, on a real MLflow server."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from features.errors import BadInput, BrokenArtifact
from models.als import Als
from models.index import Index
from models.registry import Registry, Version
from models.registry.trail import Gate
from pipelines.promotion import listing, promote, rollback
from serving.ending import undo
from serving.following.plans import Key, Watched, plan
from tests.tastes import DAY_MS, two_tastes
from training import runs, trainer

FITTED = trainer.train(trainer.Recipe("als"), two_tastes(days=30), 10 * DAY_MS)
Register = Callable[..., str]


@pytest.fixture
def registry(mlflow_url: str) -> Iterator[Registry]:
    with Registry(mlflow_url) as registry:
        yield registry


@pytest.fixture
def name() -> str:
    """A registered model of this test's own."""
    return f"als-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def register(mlflow_url: str, name: str, tmp_path: Path) -> Register:
    """Registers a version with a given quality and returns its number."""

    def made(ndcg: float = 0.5, **changed: object) -> str:
        metrics = {**FITTED.metrics, "ndcg@10": ndcg}
        fitted = replace(FITTED, **{"name": name, "metrics": metrics, **changed})  # type: ignore[arg-type]
        return runs.register(mlflow_url, runs.recommender(fitted), {}, tmp_path / uuid.uuid4().hex).version

    return made


def failed(gates: tuple[Gate, ...]) -> list[str]:
    return [gate.gate for gate in gates if not gate.passed]


def champion(registry: Registry, name: str) -> str | None:
    found = registry.champion(name)
    return None if found is None else found.version


def test_the_first_good_version_becomes_champion(
    registry: Registry, name: str, register: Register, tmp_path: Path
) -> None:
    version = register()
    done = promote(registry, name, version, False, "ann", 1_000, tmp_path)
    assert (done.promoted, done.previous, failed(done.gates)) == (True, "", [])
    found = registry.champion(name)
    assert found is not None
    assert (found.version, found.aliases) == (version, ("champion",))  # no longer a challenger


def test_a_worse_version_is_refused_and_told_by_how_much(
    registry: Registry, name: str, register: Register, tmp_path: Path
) -> None:
    good, worse = register(0.5), register(0.4)
    promote(registry, name, good, False, "ann", 1_000, tmp_path)
    done = promote(registry, name, worse, False, "ann", 2_000, tmp_path)
    (gate,) = [gate for gate in done.gates if not gate.passed]
    assert (gate.value, gate.bound) == ("0.4", ">= 0.5 of the champion")
    assert not done.promoted
    assert champion(registry, name) == good
    assert registry.get(name, worse).aliases == ("challenger",)


def test_an_equal_version_may_follow(registry: Registry, name: str, register: Register, tmp_path: Path) -> None:
    first, second = register(0.5), register(0.5)
    promote(registry, name, first, False, "ann", 1_000, tmp_path)
    assert promote(registry, name, second, False, "ann", 2_000, tmp_path).previous == first
    assert champion(registry, name) == second


def test_force_moves_the_alias_and_the_trail_says_so(
    registry: Registry, name: str, register: Register, tmp_path: Path
) -> None:
    good, worse = register(0.5), register(0.4)
    promote(registry, name, good, False, "ann", 1_000, tmp_path)
    promote(registry, name, worse, True, "bob", 2_000, tmp_path)
    assert champion(registry, name) == worse
    (entry,) = listing(registry, [name])[0].trail
    assert (entry.action, entry.who, entry.at, entry.previous, entry.forced) == ("promote", "bob", 2_000, good, True)
    assert failed(entry.gates) == ["ndcg_at_10 not below the champion's"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_a_version_without_a_finite_metric_is_refused(
    registry: Registry, name: str, register: Register, tmp_path: Path, value: float | None
) -> None:
    metrics = {key: each for key, each in FITTED.metrics.items() if key != "ndcg@10"}
    if value is not None:
        metrics["ndcg@10"] = value
    done = promote(registry, name, register(metrics=metrics), False, "ann", 1_000, tmp_path)
    assert "ndcg_at_10 is there" in failed(done.gates)
    assert champion(registry, name) is None


def test_an_index_that_finds_too_little_is_refused(
    registry: Registry, name: str, register: Register, tmp_path: Path
) -> None:
    FITTED.model.save(tmp_path)
    blind = Als.load(tmp_path)
    blind._index = Index(blind._factors, blind._index._searcher, 0, 0.94)
    done = promote(registry, name, register(model=blind), False, "ann", 1_000, tmp_path / "cache")
    (gate,) = [gate for gate in done.gates if not gate.passed]
    assert (gate.gate, gate.value, gate.bound) == ("recall of the index", "0.94", ">= 0.95")


def damage(version: Version, server: Path) -> None:
    """Change one byte of the version's arrays where the server keeps them."""
    (path,) = server.glob(f"artifacts/**/{version.source.removeprefix('models:/')}/artifacts/data/kindred/arrays.npz")
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def test_damaged_files_are_refused_and_no_force_helps(
    registry: Registry, name: str, register: Register, mlflow_folder: Path, tmp_path: Path
) -> None:
    version = register()
    damage(registry.get(name, version), mlflow_folder)
    done = promote(registry, name, version, False, "ann", 1_000, tmp_path)
    (gate,) = [gate for gate in done.gates if not gate.passed]
    assert gate.gate == "integrity of the files"
    assert "arrays.npz was changed" in gate.value
    with pytest.raises(BrokenArtifact, match=r"arrays\.npz was changed"):
        promote(registry, name, version, True, "ann", 2_000, tmp_path)
    assert champion(registry, name) is None


def test_a_wrong_version_is_said(registry: Registry, name: str, register: Register, tmp_path: Path) -> None:
    register()
    with pytest.raises(BadInput, match="no version '9'; known ones: 1"):
        promote(registry, name, "9", False, "ann", 1_000, tmp_path)


def test_promoting_the_champion_again_changes_nothing(
    registry: Registry, name: str, register: Register, tmp_path: Path
) -> None:
    version = register()
    for now in (1_000, 2_000):
        assert promote(registry, name, version, False, "ann", now, tmp_path).promoted
    assert len(listing(registry, [name])[0].trail) == 1


def test_rollback_goes_back_one_champion_at_a_time(
    registry: Registry, name: str, register: Register, tmp_path: Path
) -> None:
    versions = [register(), register(), register()]
    for now, version in enumerate(versions):
        promote(registry, name, version, False, "ann", now, tmp_path)
    assert rollback(registry, name, "bob", 10).version == versions[1]
    assert champion(registry, name) == versions[1]
    assert rollback(registry, name, "bob", 11).version == versions[0]
    with pytest.raises(BadInput, match="no champion before"):
        rollback(registry, name, "bob", 12)
    trails = {
        each.version: [(entry.action, entry.previous) for entry in each.trail] for each in listing(registry, [name])
    }
    assert trails[versions[1]] == [("promote", versions[0]), ("rollback", versions[2])]


def test_a_promotion_that_services_undo_leaves_the_evidence_and_is_not_watched_in_turn(
    registry: Registry, name: str, register: Register, tmp_path: Path
) -> None:
    first, second = register(), register()
    promote(registry, name, first, False, "ann", 1_000, tmp_path, watch_ms=60_000)
    assert _watched(registry, name) == ()  # nobody was there before
    promote(registry, name, second, False, "ann", 2_000, tmp_path, watch_ms=60_000)
    (watched,) = _watched(registry, name)
    assert watched == Watched(Key(name, second), first, 2_000, 62_000)
    undo(registry, watched, (Gate("errors", "50 of 100, before 0 of 900", "worse by 0.01 at most", False),), 3_000)
    assert champion(registry, name) == first
    assert _watched(registry, name) == ()
    entry = next(each for each in listing(registry, [name]) if each.version == first).trail[-1]
    assert (entry.action, entry.previous, entry.why) == (
        "automatic rollback",
        second,
        "errors: 50 of 100, before 0 of 900",
    )
    assert [gate.gate for gate in entry.gates] == ["errors"]


def _watched(registry: Registry, name: str) -> tuple[Watched, ...]:
    return plan(registry.standings([name]), [name], require_gates=False).watched


def test_rollback_without_a_champion_is_said(registry: Registry, name: str, register: Register) -> None:
    register()
    with pytest.raises(BadInput, match="no champion to roll back"):
        rollback(registry, name, "bob", 1)


def test_a_listing_of_models_that_nobody_trained_is_empty(registry: Registry) -> None:
    assert listing(registry, ["nobody"]) == []
