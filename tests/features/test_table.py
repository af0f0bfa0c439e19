"""The table of features: what it refuses and why, and what it needs to keep."""

from dataclasses import replace
from math import nan
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
    "others beside a customer": (count("f", VIEW, by="beside", **MAP), "by", "only an item has others beside it"),
    "orders viewed": (about("item", count("f", ORDER, "7d", by="beside", **MAP))[0], "events", "of Product Viewed"),
    "pieces of others": (about("item", total("f", ORDER, "7d", of="pieces", by="with"))[0], "of", "can't be added up"),
    "a condition on others": (
        about("item", count("f", ORDER, "7d", by="with", where=("coupon", "!=", "")))[0],
        "where",
        "without a condition",
    ),
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
    "events in a list": (replace(count("f", VIEW), events=[VIEW]), "events", "a tuple of texts"),  # type: ignore[arg-type]
    "an event twice": (count("f", (VIEW, VIEW)), "events", "something twice"),
    "a unit that is none": (count("f", VIEW, unit=None), "unit", "must be a text"),
    "a condition without a value": (count("f", VIEW, where=("price", ">")), "where", "(column, comparison, value)"),
    "a condition on a number": (count("f", VIEW, where=(1, ">", 2)), "where", "begins with two texts"),
    "a number that no column holds": (count("f", VIEW, where=("price", ">", 10**30)), "where", "as large as"),
    "a half-life of no number": (decayed("f", VIEW, "7d", by="brand", half_life_days=nan), "argument", "got nan"),
    "no touches at all": (recent("f", VIEW, 0), "n", "from 1 to 100"),
    "more touches than are kept": (recent("f", VIEW, 101), "n", "from 1 to 100"),
    "touches of what touches nothing": (recent("f", "page", 5), "events", "only these tie customers"),
    "an hour that is not": (share("f", VIEW, "7d", by="hour", keys=(24,)), "keys", "from 0 to 23"),
    "a share of nothing": (share("f", VIEW, "7d", by="weekday", keys=()), "keys", "from 0 to 6"),
    "keys of a sum": (count("f", VIEW, keys=(1,)), "keys", "needs no keys"),
    "an argument of a sum": (count("f", VIEW, argument=2.0), "argument", "has no argument"),
    "parts of a sum": (count("f", VIEW, parts=("g", "h")), "parts", "a ratio has two parts"),
    "a default of another type": (count("f", VIEW, default="none"), "default", "can't be 'none'"),
    "a type that the kind does not give": (count("f", VIEW, dtype="str"), "dtype", "sum gives int, not 'str'"),
    "a sum of a session": (count("f", VIEW, "24h", entity="session"), "kind", "of a session only"),
    "categories by brand": (count("f", VIEW, by="brand", entity="customer x category"), "by", "is by category"),
    "all time of an item": (about("item", count("f", VIEW))[0], "window", "needs a window"),
    "a price of what has none": (total("f", "Products Searched", of="price"), "of", "Products Searched has no price"),
    "a discount of a view": (total("f", VIEW, of="discount"), "of", "Product Viewed has no discount"),
    "a key of what has none": (count("f", "page", by="brand"), "by", "page has no brand"),
    "a condition on what is not there": (count("f", VIEW, where=("coupon", "!=", "")), "where", "has no coupon"),
    "searches of an item": (about("item", count("f", "Products Searched", "7d"))[0], "events", "has no item"),
}


@pytest.mark.parametrize(("feature", "field", "why"), BAD.values(), ids=BAD)
def test_a_bad_definition_is_refused_with_where_and_why(feature: Feature, field: str, why: str) -> None:
    with pytest.raises(BadFeature, match=r"^feature (f|Views): ") as refused:
        table((feature,))
    assert refused.value.field == field
    assert why in str(refused.value)


def test_what_is_no_definition_is_refused_by_its_place() -> None:
    with pytest.raises(BadFeature, match=r"^feature 1: a definition is made by count, .*, got 'views'"):
        table((count("f", VIEW), "views"))  # type: ignore[arg-type]


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


def test_every_event_that_is_counted_has_its_recency() -> None:
    mine = [feature for feature in FEATURES.features.values() if feature.entity == "customer"]
    counted = {name for feature in mine if feature.kind == "sum" for name in feature.events}
    assert len(counted) >= 12
    assert counted <= {feature.events[0] for feature in mine if feature.kind == "since" and feature.events}
