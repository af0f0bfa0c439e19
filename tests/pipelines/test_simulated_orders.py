"""The simulated shop: its orders, refunds and the funnel that leads to them."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from features.events import Event, Line, decode
from pipelines.simulate import Shop, events, truth
from pipelines.simulation import customers, orders
from pipelines.simulation.orders import returned_share
from pipelines.simulation.words import CATEGORIES
from tests.pipelines.told_shop import UNTIL, Told

REPEATED = {category.name for category in CATEGORIES if category.cycle}


def _order_id(event: Event) -> str:
    return str(event.properties.order_id)  # type: ignore[union-attr]


def test_a_refund_never_comes_after_its_customer_has_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    for share in ("REFUNDED", "FASHION_REFUNDED"):
        monkeypatch.setattr(orders, share, 1.0)
    monkeypatch.setattr(customers, "HAZARD", 0.05)
    shop = Shop(events=12_000, days=60, customers=600, until=UNTIL)
    known = truth(shop)
    stopped = dict(zip(known.customers, known.churned_at.tolist(), strict=True))
    refunds = [event for event in (decode(raw, 0) for raw in events(shop)) if event.name == "Order Refunded"]
    leavers = [event for event in refunds if stopped[event.user_id or ""] > 0]
    assert len(leavers) > 10
    assert all(event.event_time < stopped[event.user_id or ""] for event in leavers)


def test_a_refund_takes_back_lines_of_an_earlier_order_of_the_same_customer(told: Told) -> None:
    placed = {_order_id(event): event for event in told.named("Order Completed")}
    assert len(placed) == len(told.named("Order Completed"))
    refunds = told.named("Order Refunded")
    for refund in refunds:
        order = placed[_order_id(refund)]
        assert order.user_id == refund.user_id
        assert order.event_time < refund.event_time
        assert {_bought(line) for line in refund.lines} <= {_bought(line) for line in order.lines}
    assert 0.03 < len(refunds) / len(placed) < 0.2


def _bought(line: Line) -> tuple[str, float | None, float | None]:
    return line.item_id, line.price, line.quantity


def test_clothes_come_back_more_often_than_soap() -> None:
    category = np.array([[kind.name for kind in CATEGORIES].index(name) for name in ("shirts", "soap")])
    assert returned_share(((0, 1, 3_999),), category) > returned_share(((1, 1, 799),), category)


def test_an_order_adds_up_to_its_lines_and_its_shipping(told: Told) -> None:
    placed = [wire["properties"] for wire in told.wires if wire.get("event") == "Order Completed"]
    for order in placed:
        goods = sum(round(line["price"] * 100) * line["quantity"] for line in order["products"])
        assert round(order["revenue"] * 100) == goods
        assert round(order["total"] * 100) == goods + (0 if goods >= 4_000 else 395)


def test_an_order_holds_what_was_added_and_not_removed(told: Told) -> None:
    cart: dict[str, set[str]] = defaultdict(set)
    placed = 0
    for event in told.events:
        who = event.anonymous_id or ""
        if event.name == "Product Added":
            cart[who].add(event.lines[0].item_id)
        elif event.name == "Product Removed":
            cart[who].discard(event.lines[0].item_id)
        elif event.name == "Order Completed":
            placed += 1
            assert {line.item_id for line in event.lines} <= cart[who]
    assert placed > 100


def test_only_what_is_used_up_is_bought_again(told: Told) -> None:
    times: Counter[tuple[str, str, str]] = Counter()
    for order in told.named("Order Completed"):
        times.update((order.customer, line.item_id, line.category or "") for line in order.lines)
    again = {category for (_, _, category), count in times.items() if count > 1}
    assert again
    assert again <= REPEATED


def test_the_funnel_narrows_as_it_does_in_real_shops(told: Told) -> None:
    count = Counter(event.name for event in told.events)
    baskets = [len(order.lines) for order in told.named("Order Completed")]
    assert 0.08 < count["Product Added"] / count["Product Viewed"] < 0.2
    assert 0.05 < count["Product Removed"] / count["Product Added"] < 0.2
    assert 0.6 < count["Order Completed"] / count["Checkout Started"] < 0.9
    assert 0.01 < count["Order Completed"] / count["Product Viewed"] < 0.05
    assert 1.4 < float(np.mean(baskets)) < 3.5
    assert max(baskets) <= 12
