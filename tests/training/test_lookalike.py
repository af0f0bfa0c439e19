"""Metrics of audience expansion by hand, and a lookalike from rows to files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import BadInput
from models.customers.customer_space import CustomerSpace
from models.customers.lookalike import Lookalike
from models.interactions import IdMap
from tests.tastes import DAY_MS, two_tastes
from training import audiences, datasets, lookalike

ROWS = datasets.checked(two_tastes(days=30))


def test_metrics_are_those_counted_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0], dtype=np.float32)
    hidden = np.isin(np.arange(10), [0, 3])
    found = audiences.measure(scores, hidden)
    assert found["recall_at_size"] == 1 / 2  # of the first two, one is hidden
    assert found["auc"] == pytest.approx((8 + 6) / 16)  # the first is above all 8 others, the fourth above 6
    assert found["lift@10"] == 5.0  # the first of ten is hidden; by chance 0.2 of one would be


def test_a_hidden_member_comes_last_among_equals_and_counts_half_in_auc() -> None:
    found = audiences.measure(np.ones(4, dtype=np.float32), np.array([True, False, False, False]))
    assert (found["recall_at_size"], found["auc"]) == (0.0, 0.5)


def test_halves_are_apart_and_whole_whatever_the_order_of_the_members() -> None:
    members = np.array([9, 3, 5, 7, 1])
    known, hidden = audiences.halves(members, 0)
    assert sorted([*known, *hidden]) == [1, 3, 5, 7, 9]
    assert (len(known), len(hidden)) == (2, 3)
    assert known.tolist() == audiences.halves(members[::-1], 0)[0].tolist()
    with pytest.raises(BadInput, match="can't be halved"):
        audiences.halves(members[:1], 0)


@pytest.mark.parametrize("hidden", [[False, False], [True, True]])
def test_nobody_or_everybody_hidden_cannot_be_measured(hidden: list[bool]) -> None:
    with pytest.raises(BadInput, match="somebody must be"):
        audiences.measure(np.zeros(2, dtype=np.float32), np.array(hidden))


def test_an_audience_of_one_taste_is_found() -> None:
    met = datasets.interactions(ROWS)
    told = lookalike.customers(CustomerSpace().fit(met), met, int(ROWS["timestamp"].max()) + 1)
    found = lookalike.evaluate(told, met, np.arange(0, 40, 2))
    assert found["auc"] > 0.8 > found["activity_auc"]
    assert 0 < found["auc_spread"] < 0.1


def test_only_candidates_are_learned_from_and_found() -> None:
    met = datasets.interactions(ROWS)
    told = lookalike.customers(CustomerSpace().fit(met), met, int(ROWS["timestamp"].max()) + 1)
    some = np.arange(40) < 20
    found = lookalike.evaluate(told, met, np.arange(0, 20, 2), some, seeds=(0,))
    told.vectors[20:] = np.nan  # whoever looked at these would be refused
    assert lookalike.evaluate(told, met, np.arange(0, 20, 2), some, seeds=(0,)) == found


def test_the_best_order_most_often_then_most_then_by_id() -> None:
    rows = pd.DataFrame(
        [("c", 1), ("c", 1), ("b", 1), ("b", 2), ("a", 1), ("d", 1), ("d", 1)], columns=["user_id", "timestamp"]
    ).assign(event="Order Completed")
    views = pd.DataFrame({"user_id": "z", "timestamp": range(9), "event": "Product Viewed"})
    assert lookalike.best(pd.concat([rows, views]), 0.75) == ["b", "c", "d"]
    assert lookalike.best(views) == ["z"]


def test_from_rows_to_files_a_given_audience_is_seed_and_measure(tmp_path: Path) -> None:
    audience = [f"u:{number:03d}" for number in range(0, 40, 2)]
    fitted = lookalike.train(two_tastes(days=30), 5 * DAY_MS, audience=[*audience, "u:unknown"])
    assert fitted.audience == tuple(audience)
    assert fitted.metrics["auc"] > 0.8
    assert fitted.measured == (fitted.window[1] - 5 * DAY_MS, fitted.window[1])
    fitted.save(tmp_path)
    space = CustomerSpace.load(tmp_path)
    assert Lookalike.load(tmp_path).params.items() <= fitted.params.items()
    assert space.items == fitted.space.items


def test_without_an_audience_it_is_the_best_and_nothing_of_the_holdout_is_known() -> None:
    rows = two_tastes(days=30)
    asked: list[int] = []

    def more(users: IdMap, now: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
        asked.append(now)
        return np.ones((len(users), 1), dtype=np.float32)

    fitted = lookalike.train(rows, 5 * DAY_MS, more=more)
    assert len(fitted.audience) == 4  # a tenth of forty
    assert asked == [fitted.measured[0], fitted.window[1]]
