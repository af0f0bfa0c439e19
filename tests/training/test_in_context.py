"""What trends in a context, measured on what came after."""

import math

import pandas as pd
import pytest

from features.items import Item
from training import datasets, trainer
from training.trainer import Recipe

DAY_MS = 86_400_000


def world() -> pd.DataFrame:
    """In GB 30 people take tea and then tea again, in DE 20 coffee and coffee; later all take cake, one did before."""
    people = [(f"u{at:02d}", "tea" if at < 30 else "coffee", "GB" if at < 30 else "DE") for at in range(50)]
    rows = [(user, item, day * DAY_MS, where) for day in (0, 10) for user, item, where in people]
    rows += [("u00", "cake", 0, None), *((user, "cake", 10 * DAY_MS, where) for user, _, where in people)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp", "country"])
    return frame.assign(event="Order Completed", country=frame["country"].astype("category"))


def test_the_list_of_a_country_finds_what_the_list_of_all_does_not() -> None:
    metrics = trainer.train(Recipe("trending"), world(), 5 * DAY_MS).metrics
    # of all tea, coffee, cake: at 1 and 3 in GB, at 2 and 3 in DE; in context at 1 and 3 in both
    first, second, third = 1, 1 / math.log2(3), 1 / 2
    best = first + second
    assert metrics["ndcg@10"] == pytest.approx((0.6 * (first + third) + 0.4 * (second + third)) / best)
    assert metrics["ndcg@10_in_context"] == pytest.approx((first + third) / best)
    assert metrics["gain_in_context_low"] > 0


def test_where_nothing_is_known_of_contexts_nothing_is_measured_in_them() -> None:
    metrics = trainer.train(Recipe("trending"), world().drop(columns="country"), 5 * DAY_MS).metrics
    assert "ndcg@10_in_context" not in metrics


def test_a_category_is_a_context_where_the_catalogue_names_it() -> None:
    catalogue = [
        Item(item_id="tea", title="", category="leaves"),
        Item(item_id="coffee", category="beans", title=""),
    ]
    frame = world().drop(columns="country")
    metrics = trainer.train(Recipe("trending"), frame, 5 * DAY_MS, catalogue=catalogue).metrics
    assert metrics["ndcg@10_in_context"] > metrics["ndcg@10"]


def test_the_context_of_an_event_is_no_part_of_what_makes_it_one_event() -> None:
    frame = world()
    twice = pd.concat([frame, frame.assign(country="DE")])
    assert len(datasets.checked(twice)) == len(frame)
