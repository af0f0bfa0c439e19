"""Rows for a ranker: candidates as they would have been, numbers as they could have been known."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.errors import BadInput
from features.items import Item
from models.ranker_rows import AFFINITY, RECENT
from models.trending import Trending
from training import datasets
from training.ranking_frame import NAMES, RankingConfig, RankingFrame, ranking_frame

HOUR = 3_600_000
T0 = 1_700_000_000_000
ORDERS = RankingConfig(target="Order Completed")
WINDOW = (T0 + 100 * HOUR, T0 + 200 * HOUR)
CATALOGUE = [Item(item_id="a", category="x", price=3.0), Item(item_id="b", category="y", price=6.0, in_stock=False)]
EVENTS = [
    ("u:1", "a", 0, "Product Viewed"), ("u:2", "a", 1, "Order Completed"), ("u:1", "c", 2, "Order Completed"),
    ("u:2", "d", 3, "Order Completed"), ("u:3", "a", 4, "Order Completed"), ("u:2", "b", 50, "Product Viewed"),
    ("u:1", "b", 110, "Product Viewed"), ("u:1", "b", 118, "Product Viewed"), ("u:1", "b", 119, "Product Added"),
    ("u:1", "b", 120, "Order Completed"), ("u:1", "d", 120, "Order Completed"), ("u:2", "c", 150, "Order Completed"),
]  # fmt: skip


def rows(*more: tuple[str, str, int, str]) -> pd.DataFrame:
    frame = pd.DataFrame([*EVENTS, *more], columns=["user_id", "item_id", "hour", "event"])
    return datasets.checked(frame.assign(timestamp=T0 + frame["hour"] * HOUR).drop(columns="hour"))


def live(labels: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Hours since the start, under every name: what is asked for, and at which moment."""
    hours = (labels["as_of"] - T0) / HOUR
    found = labels.assign(**dict.fromkeys(names, hours))
    if AFFINITY in names:
        found[AFFINITY] = [{"x": 1.0, "y": 3.0}] * len(labels)
        found[RECENT] = [met(user, as_of) for user, as_of in zip(labels["user_id"], labels["as_of"], strict=True)]
    return found


def met(user: str, as_of: int) -> list[tuple[int, str, str]]:
    """What the customer had met by then, newest first."""
    known = [(T0 + hour * HOUR, item, event) for who, item, hour, event in EVENTS if who == user]
    return sorted((each for each in known if each[0] <= as_of), reverse=True)


def framed(frame: pd.DataFrame, candidates: int = 4, **more: Any) -> RankingFrame:
    known = frame[frame["timestamp"] < WINDOW[0]]
    base = Trending().fit(datasets.interactions(known))
    config = RankingConfig(**({"candidates": candidates, "target": "Order Completed", "again": True} | more))
    return ranking_frame(base, frame, WINDOW, live, CATALOGUE, config)


FOUND = framed(rows())


def column(found: RankingFrame, name: str, request: int = 0) -> "list[float]":
    start = int(found.groups[:request].sum())
    return [round(float(v), 3) for v in found.table[start : start + found.groups[request], NAMES.index(name)]]


def test_what_was_ordered_at_one_moment_is_one_request_and_requests_go_from_old_to_new() -> None:
    assert FOUND.asked["user_id"].tolist() == ["u:1", "u:2"]
    assert FOUND.asked["as_of"].tolist() == [T0 + 120 * HOUR - 1, T0 + 150 * HOUR - 1]
    assert FOUND.wanted.tolist() == [2, 1]
    assert FOUND.groups.sum() == len(FOUND.table) == len(FOUND.items) == len(FOUND.relevance)


def test_candidates_are_the_best_of_the_base_at_their_ranks() -> None:
    assert FOUND.items[: FOUND.groups[0]].tolist() == [0, 1, 3, 2]  # the base says a, b, d, c
    assert column(FOUND, "base_rank") == [1, 2, 3, 4]
    assert framed(rows(), candidates=1).items.tolist() == [0, 0]


def test_what_was_chosen_without_being_a_candidate_has_no_row_and_is_counted() -> None:
    found = framed(rows(), candidates=2)
    assert found.relevance[: found.groups[0]].tolist() == [0, 1]  # d was ordered too
    assert found.wanted[0] == 2


def test_what_the_customer_did_with_the_candidate_is_counted_up_to_the_order() -> None:
    assert column(FOUND, "times_viewed") == [1, 2, 0, 0]
    assert column(FOUND, "times_added") == [0, 1, 0, 0]
    assert column(FOUND, "times_ordered") == [0, 0, 0, 1]
    assert column(FOUND, "since_added")[1] == pytest.approx(HOUR - 1)
    assert np.isnan(column(FOUND, "since_added")[0])


def test_where_any_event_chooses_an_item_is_as_relevant_as_the_event_weighs() -> None:
    found = framed(rows(), target="")
    moments = [110, 118, 119, 120, 150]
    assert found.asked["as_of"].tolist() == [T0 + hour * HOUR - 1 for hour in moments]
    chosen = [part.max() for part in np.split(found.relevance, np.cumsum(found.groups)[:-1])]
    assert chosen == [1, 1, 3, 5, 5]  # viewed, viewed, put into the cart, ordered, ordered


def test_live_features_are_asked_for_at_the_moment_of_the_request() -> None:
    assert column(FOUND, "since_order") == [120.0] * 4
    assert set(column(FOUND, "item_views_7d", 1)) == {150.0}


def test_the_catalogue_meets_what_the_customer_likes() -> None:
    assert column(FOUND, "price")[:2] == [3, 6]
    assert column(FOUND, "in_stock")[:2] == [1, 0]
    assert column(FOUND, "price_to_usual")[:2] == [2.5, 5.0]
    assert column(FOUND, "category_affinity")[:2] == [0.25, 0.75]
    assert column(FOUND, "category_as_last")[:2] == [0, 1]
    assert np.isnan(column(FOUND, "price")[2])


def test_nothing_that_came_later_reaches_a_row() -> None:
    later = [
        ("u:1", "a", 121, "Product Added"),
        ("u:1", "c", 120, "Product Viewed"),
        ("u:2", "b", 151, "Product Viewed"),
    ]
    again = framed(rows(*later))
    np.testing.assert_array_equal(again.table, FOUND.table)


def test_before_the_visit_the_cart_is_not_known() -> None:
    found = framed(rows(), visit_ms=3 * HOUR)
    assert found.asked["as_of"].tolist() == [T0 + 118 * HOUR - 1, T0 + 150 * HOUR - 1]
    assert column(found, "times_viewed") == [1, 1, 0, 0]
    assert column(found, "times_added") == [0, 0, 0, 0]


def test_what_was_met_before_is_no_candidate_and_not_wanted_where_only_new_things_count() -> None:
    found = framed(rows(), candidates=4, again=False)
    assert found.asked["user_id"].tolist() == ["u:1", "u:2"]
    assert found.items[: found.groups[0]].tolist() == [3]  # u:1 has met a, b and c
    assert found.relevance[: found.groups[0]].tolist() == [1]
    assert found.wanted[0] == 1


def test_a_request_that_wants_nothing_new_is_none_where_only_new_things_count() -> None:
    repeat = ("u:3", "a", 160, "Order Completed")
    assert framed(rows(repeat), again=False).asked["user_id"].tolist() == ["u:1", "u:2"]
    only = datasets.checked(rows(repeat).query("user_id == 'u:3'"))
    with pytest.raises(BadInput, match="new to them"):
        framed(only, again=False)


def test_only_the_newest_requests_are_kept() -> None:
    assert framed(rows(), requests=1).asked["user_id"].tolist() == ["u:2"]


def test_more_candidates_than_items_are_all_of_them() -> None:
    found = framed(rows(), candidates=50)
    assert found.groups.tolist() == [4, 4]


def test_a_window_without_orders_is_said() -> None:
    base = Trending().fit(datasets.interactions(rows()))
    with pytest.raises(BadInput, match="nobody has a 'Order Completed'"):
        ranking_frame(
            base, rows(), (T0 + 500 * HOUR, T0 + 600 * HOUR), live, (), RankingConfig(target="Order Completed")
        )


@pytest.mark.parametrize("name", ["timestamp", "event"])
def test_rows_without_times_or_events_are_refused(name: str) -> None:
    base = Trending().fit(datasets.interactions(rows()))
    with pytest.raises(BadInput, match=name):
        ranking_frame(base, rows().drop(columns=name), WINDOW, live)
