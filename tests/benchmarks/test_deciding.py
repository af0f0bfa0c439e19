"""The benchmark of decisions runs, every case of it."""

import sys

import pytest

from benchmarks import deciding


def test_every_case_has_its_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["deciding", "--items", "300", "--requests", "3"])
    deciding.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["case", "p50", "us", "p99", "us", "CPU", "us"]
    assert len(lines) == 9
    assert lines[-1].startswith("with a ranker")
