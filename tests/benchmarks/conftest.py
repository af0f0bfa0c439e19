"""Little files in the form of the public ones."""

from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Forty people who take the ten items of their half in turn, as Beauty's and as Diginetica's files have it."""
    rows = [(f"u{who}", f"i{(who + at) % 10 + 10 * (who % 2)}", at) for who in range(40) for at in range(8)]
    taken = pd.DataFrame(rows, columns=["user_id", "item_id", "position"])
    taken.to_csv(tmp_path / "beauty.csv.gz", index=False)
    (tmp_path / "diginetica").mkdir()
    sessions = taken.rename(columns={"user_id": "session_id"})
    sessions.to_csv(tmp_path / "diginetica" / "train_sessions.csv.gz", index=False)
    asked = pd.DataFrame({"prefix": ["i1 i2 i3", "i11"], "next_item_id": ["i4", "i12"]})
    asked.to_csv(tmp_path / "diginetica" / "test_prefixes.csv.gz", index=False)
    return tmp_path
