"""The table of features: what it refuses and why, and what it needs to keep."""

from dataclasses import replace
from typing import Any

import pytest

from features.definitions import FEATURES
from features.errors import BadFeature
from features.feature import (
    Feature,
    about,
    count,
    decayed,
    distinct,
    last,
    most,
    quantile,
    ratio,
    recent,
    session,
    share,
    since,
    top,
    total,
)
from features.table import table

VIEW, ORDER = "Product Viewed", "Order Completed"
MAP: dict[str, Any] = {"dtype": "map<str,int>"}
BAD: dict[str, tuple[Feature, str, str]] = {
    "an unknown event": (count("f", "Product Seen"), "events", "there is no event 'Product Seen'"),
    "an unknown property": (total("f", ORDER, of="colour"), "of", "'colour' is no number"),
    "an unknown key": (count("f", VIEW, by="colour"), "by", "'colour' is no text"),
    "a number as a key": (count("f", VIEW, by="price"), "by", "'price' is no text"),
    "a window of nothing": (count("f", VIEW, "0m"), "window", "from 5 minutes to 366 days"),
    "a window that is too long": (count("f", VIEW, "400d"), "window", "from 5 minutes to 366 days"),
    "a window of no shape": (count("f", VIEW, "a week"), "window", "must be like 5m"),
    "a window that is a number": (replace(count("f", VIEW), window=7), "window", "must be a text"),  # type: ignore[arg-type]
    "a time since with a window": (since("f", VIEW, window="7d"), "window", "since has no window"),
    "fading without a window": (decayed("f", VIEW, "", by="brand", half_life_days=7), "window", "needs a window"),
    "hours of all time": (top("f", VIEW, by="hour"), "window", "needs a window"),
    "different ones of some time ago": (distinct("f", VIEW, "7d before 7d", by="item"), "window", "that ends now"),
    "sessions without a window": (session("f", "sessions"), "window", "needs a window in days"),
    "a running session over a window": (session("f", "events", (), "30d"), "window", "needs no window"),
    "what sessions don't have": (session("f", "colour"), "of", "'colour' can't be read"),
    "a quantile beyond all": (quantile("f", VIEW, "7d", of="price", q=1.5), "q", "between 0 and 1"),
    "a quantile of a text": (quantile("f", VIEW, "7d", of="price", q="half"), "argument", "a number is needed"),  # type: ignore[arg-type]
    "no half-life": (decayed("f", VIEW, "7d", by="brand", half_life_days=0), "half_life_days", "longer than 0"),
    "a number compared with a text": (count("f", VIEW, where=("price", ">", "9")), "where", "a whole number"),
    "a text compared with a number": (count("f", VIEW, where=("brand", "==", 9)), "where", "with a text"),
    "texts in an order": (count("f", VIEW, where=("brand", ">", "a")), "where", "compares numbers"),
    "a comparison that is none": (count("f", VIEW, where=("price", "~", 9)), "where", "'~' compares nothing"),
    "a condition on nothing": (count("f", VIEW, where=("colour", "==", "red")), "where", "no column"),
    "an upper-case name": (count("Views", VIEW), "name", "lower-case"),
    "an unknown entity": (count("f", VIEW, entity="shop"), "entity", "there is no entity 'shop'"),
    "an unknown kind": (replace(count("f", VIEW), kind="median"), "kind", "there is no kind 'median'"),
    "what is left with a customer": (count("f", ORDER, by="with", **MAP), "by", "only an item"),
    "a maximum of all customers": (about("global", most("f", ORDER, "7d", of="price"))[0], "kind", "only sums"),
    "a part that is missing": (ratio("f", "views", "orders"), "parts", "'views' must be a number"),
    "a share of brands": (share("f", VIEW, "7d", by="brand", keys=(1,)), "by", "of hours or weekdays"),
    "a key where there is none": (recent("f", VIEW, 5, by="brand"), "by", "recent has no key"),
    "a condition where it is not looked at": (
        recent("f", VIEW, 5, where=("brand", "==", "a")),
        "where",
        "no condition",
    ),
    "the last event": (last("f", VIEW, by="event"), "by", "last is of a text"),
}


@pytest.mark.parametrize(("feature", "field", "why"), BAD.values(), ids=BAD)
def test_a_bad_definition_is_refused_with_where_and_why(feature: Feature, field: str, why: str) -> None:
    with pytest.raises(BadFeature, match=r"^feature (f|Views): ") as refused:
        table((feature,))
    assert refused.value.field == field
    assert why in str(refused.value)


def test_a_name_is_given_once() -> None:
    with pytest.raises(BadFeature, match="feature views: the name is given twice") as refused:
        table((count("views", VIEW), count("views", ORDER)))
    assert refused.value.field == "name"


def test_a_part_comes_before_what_is_computed_from_it() -> None:
    whole, part = count("views", VIEW), count("orders", ORDER)
    table((whole, part, ratio("rate", "orders", "views")))
    with pytest.raises(BadFeature, match="its part 'views'"):
        table((part, ratio("rate", "orders", "views"), whole))
    with pytest.raises(BadFeature, match="its part 'brands'"):
        table((part, count("brands", VIEW, by="brand"), ratio("rate", "orders", "brands")))


def test_features_over_the_same_events_share_one_series() -> None:
    windows = ("1h", "7d", "30d", "7d before 7d", "month", "")
    shared = table(count(f"views_{number}", VIEW, window) for number, window in enumerate(windows))
    assert len(shared.series) == 2  # and that of the newest event
    assert [rung.step for rung in shared.series[1].rungs] == [1, 12, 288]


def test_another_definition_is_another_generation_and_another_description_is_not() -> None:
    views, orders = count("views", VIEW, "7d"), count("orders", ORDER)
    first = table((views, orders))
    assert table((orders, replace(views, description="Views", owner="me"))).generation == first.generation
    assert table((views, replace(orders, window="7d"))).generation != first.generation
    assert table((views, replace(orders, where=("coupon", "!=", "")))).generation != first.generation


def test_a_fingerprint_changes_with_the_meaning_and_with_that_of_the_parts() -> None:
    def fingerprint(**change: Any) -> str:
        views = replace(count("views", VIEW, "7d"), **change)
        return table((views, count("orders", ORDER), ratio("rate", "orders", "views"))).fingerprint("rate")

    assert fingerprint(description="Views") == fingerprint()
    assert fingerprint(window="30d") != fingerprint()


def test_the_shipped_table_has_features_of_every_entity_and_kind() -> None:
    features = FEATURES.features.values()
    assert len(features) >= 60
    assert {feature.entity for feature in features} == {"customer", "session", "customer x category", "item", "global"}
    kinds = {feature.kind for feature in features}
    assert kinds >= {"sum", "mean", "min", "max", "quantile", "distinct", "decayed", "top", "share", "last", "since"}
    assert all(feature.description and feature.owner and feature.unit for feature in features)
