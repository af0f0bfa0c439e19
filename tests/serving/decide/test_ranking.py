"""The ranker's stage: whose order it is, of what, and what happens when it fails."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from features.errors import BadInput
from features.profiles import Profile
from models.arrays import Float32
from models.ranker_rows import ITEM, NAMES, OF_CUSTOMER
from serving.decide.asked import Asked, Touch
from serving.decide.decision import decide
from serving.decide.question import question
from serving.decide.ranking import RANKED, features_of, ranked
from serving.decide.state import LoadedRanker, State
from tests.profiles import message, profile
from tests.serving.decide.fake import asks, shop, state

SCORES = {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}
SHOP = shop("a", "b", "c", "d", "e", price=2.0)
KNOWN = {"views_24h": 3}
DAY = 86_400_000


class ByColumn:
    """Scores a candidate by one of its columns; remembers the rows."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.table: Float32 = np.zeros((0, 0), dtype=np.float32)

    def score(self, table: Float32, names: Sequence[str]) -> Float32:
        self.table = table
        column: Float32 = np.nan_to_num(table[:, list(names).index(self.column)])
        return column


class Failing:
    """Fails as a ranker of other columns does."""

    def score(self, _table: Float32, _names: Sequence[str]) -> Float32:
        raise BadInput("other columns", "table")


def with_ranker(model: Any, made: State | None = None, **more: Any) -> State:
    """A state with a ranker."""
    return replace(made or state(SCORES, SHOP), ranker=LoadedRanker("2", model), **more)


def order(made: State, asked: Asked) -> str:
    """Item ids of the decision as one word."""
    return "".join(placed.item_id for placed in decide(made, asked).slate)


def test_candidates_come_in_the_rankers_order_with_its_scores() -> None:
    made = with_ranker(ByColumn("base_rank"))
    decision = decide(made, asks("e", n=3, features=KNOWN))
    assert [(placed.item_id, placed.score) for placed in decision.slate] == [("d", 4.0), ("c", 3.0), ("b", 2.0)]
    assert decision.degraded == ()


def test_rows_hold_live_features_of_customer_and_items_and_the_catalogue() -> None:
    model = ByColumn("item_views_7d")
    live = {"c": tuple(float(at) for at in range(len(ITEM)))}
    decide(with_ranker(model, items=live), asks("e", n=3, features=KNOWN))
    row = dict(zip(NAMES, model.table[2].tolist(), strict=True))
    assert (row["views_24h"], row["price"], row["in_stock"]) == (3.0, 2.0, 1.0)
    assert [row[name] for name in ITEM] == list(live["c"])
    assert np.isnan(model.table[0][NAMES.index("item_views_7d")])


def test_of_somebody_of_whom_nothing_is_known_nothing_is_ranked() -> None:
    made = with_ranker(ByColumn("base_rank"))
    assert order(made, asks("e", n=3)) == "abc"
    assert features_of(Profile(), 1) == {}


def test_what_was_met_stays_last_whatever_the_ranker_says() -> None:
    made = with_ranker(ByColumn("base_rank"))
    assert order(made, asks("a", "e", n=5, features=KNOWN)) == "dcbae"


def test_a_failing_ranker_is_left_out_and_the_answer_says_so() -> None:
    decision = decide(with_ranker(Failing()), asks("e", n=2, features=KNOWN))
    assert [placed.item_id for placed in decision.slate] == ["a", "b"]
    assert decision.degraded == ("ranker",)


def test_a_ranker_also_sees_what_trends_and_what_no_model_has_met() -> None:
    made = with_ranker(ByColumn("base_rank"), state(SCORES, SHOP | shop("f"), {"f": 3.0}))
    assert order(made, asks("a", n=2, features=KNOWN)) == "ef"


def test_more_candidates_than_it_learned_from_follow_below() -> None:
    many = {f"i{number:03d}": 1000.0 - number for number in range(150)}
    asked = question(with_ranker(ByColumn("base_rank"), state(many, shop(*many))), asks("i000", n=100, features=KNOWN))
    assert ranked(asked, []) == []
    decision = decide(asked.state, replace(asked.asked, n=100))
    assert decision.slate[0].item_id == f"i{RANKED:03d}"
    assert len(decision.slate) == 100


def test_a_given_list_is_ranked_whole_and_likeness_not_at_all() -> None:
    made = with_ranker(ByColumn("base_rank"))
    assert order(made, asks("a", n=3, item_ids=("a", "b", "z"), features=KNOWN)) == "zba"
    assert order(made, asks(n=2, alike="a", features=KNOWN)) == "bc"


def test_the_customers_features_are_those_that_rows_are_made_of() -> None:
    known = features_of(profile(message(event="Product Viewed", item="a", at=DAY)), DAY + 1_000)
    assert set(known) == set(OF_CUSTOMER)
    assert (known["views_24h"], known["since_event"]) == (1, 1_000)


def test_the_category_of_the_item_met_last_is_part_of_a_row() -> None:
    items = shop("a", category="x") | shop("b", category="x") | shop("c", category="y")
    model = ByColumn("category_as_last")
    touches = (Touch("a", 1.0, "Product Viewed"),)
    decide(with_ranker(model, state(SCORES, items)), asks(n=2, touches=touches, features=KNOWN))
    assert model.table[:, NAMES.index("category_as_last")].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("n", [1, 10])
def test_without_a_ranker_nothing_is_asked(n: int) -> None:
    assert order(state(SCORES, SHOP), asks("e", n=n, features=KNOWN)) == "abcde"[:n]
