"""Every notebook runs from top to bottom, in a folder of its own, and draws what it promises."""

from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
# How many charts each draws, and words that its text must hold.
PROMISES = {
    "01_first_model": (2, ("challenger", "graph_filter", "ndcg@10", "gain_ndcg@10_low")),
    "02_live_features": (3, ("favourite_category_90d", "customers compared", "total")),
    "03_churn": (4, ("last outcome", "month asked", "bg_nbd", "churn 1 (challenger)", "days_since_order")),
    "04_lookalike": (3, ("recall_at_size", "spread", "similarity")),
    "05_segments": (5, ("bootstrap_ari", "kept", "confidence")),
    "06_error_analysis": (4, ("coverage@10", "everybody", "then took")),
}
SLOW = {"03_churn", "04_lookalike", "06_error_analysis"}


def test_every_notebook_is_known_here() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(PROMISES)


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in SLOW else []) for path in NOTEBOOKS],
)
def test_a_notebook_runs_and_draws(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDRED_DATA", str(tmp_path / "data"))
    notebook = jupytext.read(path)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    charts = [output for output in outputs if "image/svg+xml" in output.get("data", {})]
    drawn, words = PROMISES[path.stem]
    assert len(charts) == drawn
    text = nbformat.writes(notebook)
    assert [word for word in words if word not in text] == []
    assert "cdn." not in text
