"""The options of `kindred benchmark`, from the words to the numbers."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from features.errors import BadInput
from pipelines.cli import app
from tests.tastes import two_tastes


def ran(*words: str) -> Any:
    done = CliRunner().invoke(app, ["benchmark", *words, "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return json.loads(done.stdout)


def orders(folder: Path) -> str:
    two_tastes(days=20).to_csv(folder / "orders.csv", index=False)
    return str(folder / "orders.csv")


def test_sessions_and_prefixes_need_no_more_than_their_files(tmp_path: Path) -> None:
    (tmp_path / "sessions.csv").write_text("session,item_id,position\n1,x,0\n1,y,1\n2,x,0\n", encoding="utf-8")
    (tmp_path / "prefixes.csv").write_text("prefix,next_item_id\ny,x\nx y,x\n", encoding="utf-8")
    files = ("--interactions", str(tmp_path / "sessions.csv"), "--test", str(tmp_path / "prefixes.csv"))
    found = ran(*files, "--protocol", "prefixes", "--map", "user_id=session", "--models", "trending", "--k", "1")
    assert (found["trending"]["hr@1"], found["trending"]["users"]) == (1, 2)


def test_what_was_tuned_stands_beside_what_it_gave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDRED_DATA", str(tmp_path / "data"))
    words = ("--interactions", orders(tmp_path), "--protocol", "time-split", "--holdout", "5d", "--no-mask")
    found = ran(*words, "--models", "trending", "--tune", "2", "--tune-for", "hr@10")
    assert found["trending"]["tuned"].keys() == {"half_life_days", "weights"}
    assert (tmp_path / "data" / "tuning.db").is_file()


def test_a_device_may_be_named(tmp_path: Path) -> None:
    words = ("--interactions", orders(tmp_path), "--protocol", "leave-last-out", "--models", "sasrec,als", "--k", "5")
    assert ran(*words, "--device", "cpu").keys() == {"sasrec", "als"}


def test_no_file_is_wrong_usage() -> None:
    with pytest.raises(BadInput, match="--interactions"):
        ran("--protocol", "split")


def test_other_kinds_of_models_are_commands_below() -> None:
    done = CliRunner().invoke(app, ["benchmark", "churn", "--help"])
    assert (done.exit_code, "churn" in done.stdout) == (0, True)
