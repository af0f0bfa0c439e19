"""A canary and a shadow: tried if their files are well, whatever their quality, and ended with a trail."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from features.errors import BadInput
from models.registry import CANARY, SHADOW, Registry
from models.registry.trail import trail
from pipelines.promotion import listing, promote, rollback
from pipelines.training import model_rows
from pipelines.trials import canary, end_trial, shadow
from tests.tastes import DAY_MS, two_tastes
from training import runs, trainer

FITTED = trainer.train(trainer.Recipe("trending"), two_tastes(days=30), 10 * DAY_MS)


@pytest.fixture
def registry(mlflow_url: str) -> Iterator[Registry]:
    with Registry(mlflow_url) as registry:
        yield registry


@pytest.fixture
def name(mlflow_url: str, registry: Registry, tmp_path: Path) -> str:
    """A model with a champion 1, a version 2 that is worse by its figures, and a version 3 that is far too slow."""
    found = f"trending-{uuid.uuid4().hex[:8]}"
    for metrics in ({}, {"ndcg@10": 0.001}, {"ask_ms_p99": 900.0}):
        fitted = replace(FITTED, name=found, metrics={**FITTED.metrics, **metrics})
        runs.register(mlflow_url, runs.recommender(fitted), {}, tmp_path / uuid.uuid4().hex)
    assert promote(registry, found, "1", False, "ann", 1_000, tmp_path / "cache").promoted
    return found


def test_a_worse_version_may_be_a_canary_and_its_quality_is_told(registry: Registry, name: str, tmp_path: Path) -> None:
    done = canary(registry, name, "2", 0.1, "bob", 2_000, tmp_path / "cache", why="new weights")
    assert (done.begun, done.champion) == (True, "1")
    (told,) = [gate for gate in done.gates if not gate.passed]
    assert (told.gate, told.binding) == ("ndcg_at_10 not below the champion's", False)
    worse = next(each for each in listing(registry, [name]) if each.version == "2")
    assert (worse.share, worse.aliases) == (0.1, (CANARY,))
    last = worse.trail[-1]
    assert (last.action, last.who, last.why, last.share, last.previous) == ("canary", "bob", "new weights", 0.1, "1")
    row = next(row for row in model_rows([worse]))
    assert row[-2:] == ("canary by bob, 1970-01-01T00:00:02.000Z: new weights", "serves 0.1")
    assert end_trial(registry, name, CANARY, "ann", 3_000).version == "2"
    assert registry.alias(name, CANARY) is None
    assert [entry.action for entry in trail(registry.get(name, "2"))] == ["canary", "end canary"]


def test_a_version_that_is_too_slow_is_tried_on_nobody(registry: Registry, name: str, tmp_path: Path) -> None:
    done = canary(registry, name, "3", 0.1, "bob", 2_000, tmp_path / "cache")
    assert not done.begun
    assert [gate.gate for gate in done.gates if not gate.passed and gate.binding] == ["p99 of a slate in ms"]
    assert registry.alias(name, CANARY) is None


def test_a_shadow_begins_and_ends(registry: Registry, name: str, tmp_path: Path) -> None:
    assert shadow(registry, name, "2", "bob", 2_000, tmp_path / "cache").begun
    found = registry.alias(name, SHADOW)
    assert found is not None
    assert found.version == "2"
    end_trial(registry, name, SHADOW, "bob", 3_000)
    with pytest.raises(BadInput, match="has no shadow"):
        end_trial(registry, name, SHADOW, "bob", 4_000)


def test_a_champion_that_was_set_by_hand_is_ungated_and_rolls_back_to_the_one_before(
    registry: Registry, name: str
) -> None:
    registry.set_alias(name, "champion", "2")
    assert [(each.version, each.ungated) for each in listing(registry, [name])] == [
        ("3", False),
        ("2", True),
        ("1", False),
    ]
    assert rollback(registry, name, "bob", 5_000, why="nobody measured it").version == "1"
    assert registry.get(name, "1").aliases == ("champion",)
