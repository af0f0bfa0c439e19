"""Imports run one way, and each technology has one door: read from the code itself."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("features", "models", "training", "pipelines", "serving")
MAY_IMPORT = {
    "features": set(),
    "models": {"features"},
    "training": {"features", "models"},
    "serving": {"features", "models"},
    "pipelines": {"features", "models", "training", "serving.decide"},
}
# One module or folder imports each of these, and nothing else does. Tests and benchmarks are outside the house.
DOORS = {
    "redis": "features/online/",
    "confluent_kafka": "features/kafka/",
    "duckdb": "features/offline/",
    "mlflow": "training/runs.py",
    "faiss": "models/index.py",
    "onnxruntime": "models/onnx.py",
    "optuna": "training/",
    "torch": "models/",
    "bentoml": "serving/service.py",
    "strawberry": "serving/customer_api.py",
}
FILES = sorted(path for folder in OURS for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Dotted names of everything that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_folder_of_the_house_is_there() -> None:
    assert all((ROOT / folder / "__init__.py").is_file() for folder in OURS)
    assert len(FILES) > 40


@pytest.mark.parametrize("folder", OURS)
def test_imports_run_one_way(folder: str) -> None:
    allowed = MAY_IMPORT[folder] | {folder}
    wrong = [
        f"{named(path)} imports {name}"
        for path in FILES
        if named(path).startswith(f"{folder}/")
        for name in imports(path)
        if name.split(".")[0] in OURS and not any(f"{name}.".startswith(f"{prefix}.") for prefix in allowed)
    ]
    assert wrong == []


@pytest.mark.parametrize("technology", sorted(DOORS))
def test_each_technology_has_one_door(technology: str) -> None:
    wrong = [
        named(path)
        for path in FILES
        if any(name.split(".")[0] == technology for name in imports(path))
        and not named(path).startswith(DOORS[technology])
    ]
    assert wrong == []


def test_who_serves_a_trained_model_never_loads_torch() -> None:
    """Torch is imported inside of fit(), by modules that are for fitting: loading and asking needs none of it."""
    program = "import sys, models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_deciding_knows_nothing_of_http() -> None:
    for path in (ROOT / "serving" / "decide").glob("*.py"):
        wanted = ("starlette", "bentoml", "serving.service", "serving.http", "serving.handlers", "serving.engine")
        assert [name for name in imports(path) if name.startswith(wanted)] == [], named(path)


def test_no_file_is_longer_than_300_lines() -> None:
    long = {named(path): len(path.read_text().splitlines()) for path in FILES}
    assert {name: lines for name, lines in long.items() if lines > 300} == {}


def test_nothing_pickles_and_nothing_is_swallowed() -> None:
    for path in FILES:
        tree = ast.parse(path.read_text())
        assert not any(name.split(".")[0] in {"pickle", "cloudpickle", "dill", "joblib"} for name in imports(path))
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler):
                assert not (len(node.body) == 1 and isinstance(node.body[0], ast.Pass)), f"{named(path)}:{node.lineno}"
