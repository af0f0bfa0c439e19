"""Of whom the weights of a mixture are learned: what members know of each kind of people."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import select_holdout
from benchmarks.select_holdout import kept_aside
from training import datasets


def test_of_each_kind_members_know_all_but_the_end_or_less_or_nothing() -> None:
    rows = pd.DataFrame(
        {"user_id": np.repeat([f"u{who:02d}" for who in range(30)], 5), "position": list(range(5)) * 30}
    )
    rows["item_id"] = [f"i{who}{at}" for who in range(30) for at in range(5)]
    world = datasets.interactions(datasets.checked(rows))
    kinds = kept_aside(world, people=100, seed=1)
    left = kinds.learned.histories.counts
    assert sorted(left.tolist()) == [0] * 5 + [3] * 5 + [4] * 5 + [5] * 15
    known = kinds.learned.histories
    for kind, count in (("known", 4), ("moved on", 3), ("new", 0)):
        held = kinds.held[kind]
        assert held.asked.counts.tolist() == [4] * 5
        assert (held.wanted.sum(axis=1) == 1).all()
        for row in range(5):
            asked, wanted = held.asked[row].items, held.wanted[row].indices[0]
            names = [world.items.ids[item] for item in (*asked, wanted)]
            assert [name[-1] for name in names] == list("01234")
            mine = [item for item in known.items.tolist() if world.items.ids[item][:-1] == names[0][:-1]]
            assert mine == asked[:count].tolist()


@pytest.mark.parametrize("case", ["beauty", "diginetica"])
def test_a_line_is_printed_of_each_member_and_of_each_kind(
    case: str, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["select_holdout", "--case", case, "--data", str(data), "--members", "item_knn,trending"]
    monkeypatch.setattr("sys.argv", words)
    select_holdout.main()
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["by"] for row in said] == ["item_knn", "trending", "known", "moved on", "new"]
    assert all(0 < row["ndcg@10"] <= 1 for row in said)
    assert {"weight_item_knn", "weight_trending"} & set(said[2])
