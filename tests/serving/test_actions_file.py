"""The file of actions as it changes."""

import logging
from pathlib import Path

import pytest

from serving.actions_file import ActionsFile
from serving.metrics import ACTIONS

PIN = '[{"action": "pin", "name": "hero", "item_id": "a", "position": 1}]'


def written(path: Path, text: str) -> None:
    """A whole new file, as an editor writes it."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)


def test_without_a_file_there_are_no_actions_and_a_change_is_seen(tmp_path: Path) -> None:
    file = ActionsFile(tmp_path)
    assert file.read() == ()
    written(file.path, PIN)
    assert [action.name for action in file.read()] == ["hero"]
    assert file.read() is file.read()
    written(file.path, PIN.replace("hero", "other"))
    assert [action.name for action in file.read()] == ["other"]
    file.path.unlink()
    assert file.read() == ()


def test_a_file_that_cannot_be_used_is_refused_with_where_and_why_and_what_was_there_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = ActionsFile(tmp_path)
    written(file.path, PIN)
    file.read()
    before = ACTIONS.labels("refused")._value.get()
    written(file.path, PIN.replace(": 1}", ": 0}"))
    with caplog.at_level(logging.ERROR):
        assert [action.name for action in file.read()] == ["hero"]
        file.read()  # it is refused once, not at each look
    assert "[0].position" in caplog.text
    assert ACTIONS.labels("refused")._value.get() == before + 1
