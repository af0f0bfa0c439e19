"""The simulated shop: what its events and its catalogue say of items."""

from collections import defaultdict
from typing import Any

from features.events import Event
from pipelines.simulate import Shop, catalogue
from pipelines.simulation.catalogue import make_items, upserts
from pipelines.simulation.shop import DAY_MS
from pipelines.simulation.words import CATEGORIES
from tests.pipelines.told_shop import UNTIL, Told


def test_a_product_event_says_what_the_catalogue_said_at_that_time(told: Told) -> None:
    named = {"Product Viewed", "Product Clicked", "Product Added", "Product Removed", "Product List Viewed"}
    checked = 0
    for event, states in _with_states(told):
        for line in event.lines if event.name in named else ():
            state = states[line.item_id]
            assert (line.name, line.category, line.price) == (state["title"], state["category"], state["price"])
            assert event.currency == state["currency"] == "GBP"
            checked += 1
    assert checked > told.shop.events / 2
    products = [wire["properties"] for wire in told.wires if wire.get("event") == "Product Viewed"]
    assert all(product["brand"] for product in products)


def test_nothing_is_added_or_ordered_while_it_is_sold_out(told: Told) -> None:
    sold_out_looks = 0
    for event, states in _with_states(told):
        for line in event.lines:
            in_stock = states[line.item_id]["in_stock"]
            assert in_stock or event.name not in {"Product Added", "Checkout Started", "Order Completed"}
            sold_out_looks += not in_stock
    assert sold_out_looks > 0


def _with_states(told: Told) -> list[tuple[Event, dict[str, dict[str, Any]]]]:
    """Each event with the catalogue as it stood; one dictionary for each day."""
    changes = defaultdict(list)
    for time, message in upserts(told.shop, make_items(told.shop)):
        changes[(time - told.shop.starts(0)) // DAY_MS].append(message)
    days, state = [], dict[str, dict[str, Any]]()
    for day in range(told.shop.days):
        state = state | {message["item_id"]: message for message in changes[day]}
        days.append(state)
    return [(event, days[(event.event_time - told.shop.starts(0)) // DAY_MS]) for event in told.events]


def test_the_catalogue_has_a_title_of_its_own_for_each_item_and_changes_over_time() -> None:
    shop = Shop(events=1_000, items=9_000, days=60, until=UNTIL)
    messages = catalogue(shop)
    first: dict[str, dict[str, Any]] = {}
    for message in messages:
        first.setdefault(message["item_id"], message)
    later = [message for message in messages if message is not first[message["item_id"]]]
    assert len({message["title"] for message in first.values()}) == shop.n_items
    assert {message["category"] for message in first.values()} == {category.name for category in CATEGORIES}
    assert any(message["price"] < first[message["item_id"]]["price"] for message in later)
    assert {message["in_stock"] for message in later} == {True, False}
    assert all(message["price"] > 0 and message["currency"] == "GBP" for message in messages)


def test_an_item_is_not_seen_before_it_is_launched(told: Told) -> None:
    items = make_items(told.shop)
    launch = dict(zip(items.ids, (told.shop.starts(0) + items.launch * DAY_MS).tolist(), strict=True))
    assert (items.launch > 0).sum() > 10
    assert all(event.event_time >= launch[line.item_id] for event in told.events for line in event.lines)
