"""The simulated shop: what it promises to those who train and test on it."""

import gzip
import tracemalloc
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from features.errors import BadInput
from features.events import EVENTS, Event, Line, decode
from pipelines.simulate import Shop, Truth, catalogue, events, simulate, truth
from pipelines.simulation import customers, orders
from pipelines.simulation.catalogue import make_items, upserts
from pipelines.simulation.customers import make_people
from pipelines.simulation.orders import returned_share
from pipelines.simulation.shop import DAY_MS
from pipelines.simulation.words import CATEGORIES

UNTIL = 1_767_225_600_000  # 2026-01-01T00:00Z
REPEATED = {category.name for category in CATEGORIES if category.cycle}


@dataclass(frozen=True)
class Told:
    """A shop with its events read back."""

    shop: Shop
    raw: list[bytes]

    @cached_property
    def events(self) -> list[Event]:
        return [decode(raw, 0) for raw in self.raw]

    @cached_property
    def wires(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(raw) for raw in self.raw]

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    @cached_property
    def truth(self) -> Truth:
        return truth(self.shop)


@pytest.fixture(scope="module")
def told() -> Told:
    shop = Shop(events=40_000, customers=500, items=300, days=120, seed=7, until=UNTIL)
    return Told(shop, list(events(shop)))


def _order_id(event: Event) -> str:
    return str(event.properties.order_id)  # type: ignore[union-attr]


def _ranks(values: np.ndarray) -> np.ndarray:
    return values.argsort().argsort().astype(float)


def _rank_correlation(scores: np.ndarray, wishes: np.ndarray) -> float:
    """Mean over customers of Spearman's correlation."""
    pairs = zip(scores, wishes, strict=True)
    return float(np.mean([np.corrcoef(_ranks(score), _ranks(wish))[0, 1] for score, wish in pairs]))


def _first_last(times: list[tuple[str, int]]) -> dict[str, list[int]]:
    spans: dict[str, list[int]] = {}
    for who, time in times:
        spans.setdefault(who, [time, time])[1] = time
    return spans


def test_the_same_seed_leaves_the_same_bytes_and_another_seed_others() -> None:
    first, second, other = (list(events(Shop(events=2_000, seed=seed, days=60, until=UNTIL))) for seed in (3, 3, 4))
    assert first == second
    assert not set(first) & set(other)


@pytest.mark.parametrize("count", [1, 7, 1_000])
def test_a_shop_has_exactly_as_many_events_as_it_was_asked_for(count: int) -> None:
    assert len(list(events(Shop(events=count, until=UNTIL)))) == count


def test_a_shop_whose_last_customer_has_stopped_still_has_visitors() -> None:
    shop = Shop(events=3_000, customers=1, items=20, days=1_500, until=UNTIL)
    stopped = int(truth(shop).churned_at[0])
    late = [event for event in (decode(raw, 0) for raw in events(shop)) if event.event_time >= stopped]
    assert stopped > 0
    assert late
    assert all(event.user_id is None for event in late)


def test_every_event_is_accepted_and_has_a_name_that_means_something(told: Told) -> None:
    names = {event.name for event in told.events}
    assert names - {"page", "identify"} <= EVENTS.keys()
    assert {"Product Viewed", "Product Added", "Product Removed", "Order Completed", "Order Refunded"} <= names


def test_events_come_in_the_order_in_which_they_happened_and_none_twice(told: Told) -> None:
    times = [event.event_time for event in told.events]
    assert times == sorted(times)
    assert told.shop.starts(0) <= times[0]
    assert times[-1] < UNTIL
    assert all(0 < event.received_at - event.event_time < 1_000 for event in told.events)
    assert len({event.message_id for event in told.events}) == told.shop.events


def test_no_visit_reaches_into_the_next_day_even_where_a_day_ends_in_the_busiest_hour() -> None:
    shop = Shop(events=6_000, days=60, until=UNTIL + 20 * 3_600_000 + 1_800_000)
    times = [decode(raw, 0).event_time for raw in events(shop)]
    assert times == sorted(times)
    assert times[-1] < shop.until
    assert times[-1] > shop.until - 3_600_000


def test_two_shops_share_no_message_id() -> None:
    shops = [Shop(events=500, until=UNTIL), Shop(events=500, until=UNTIL, items=250)]
    first, second = ({decode(raw, 0).message_id for raw in events(shop)} for shop in shops)
    assert not first & second


def test_memory_does_not_grow_with_the_number_of_events() -> None:
    peaks = []
    for times in (1, 6):
        shop = Shop(events=5_000 * times, days=20 * times, customers=300, items=200, until=UNTIL)
        tracemalloc.start()
        assert sum(1 for _ in events(shop)) == shop.events
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


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


def test_preference_is_a_share_that_follows_the_tastes(told: Told) -> None:
    share = told.truth.preference(np.arange(5))
    assert share.shape == (5, told.shop.n_items)
    assert share.dtype == np.float32
    np.testing.assert_allclose(share.sum(axis=1), 1.0, rtol=1e-4)
    # Within one category the logarithm of the share differs between two customers by taste and thrift alone.
    rows = [row for row, name in enumerate(told.truth.categories) if name == "kitchen"]
    people, items = make_people(told.shop), make_items(told.shop)
    tasted = (told.truth.tastes[0] - told.truth.tastes[1]) @ told.truth.item_tastes[rows].T
    spared = (people.thrift[0] - people.thrift[1]) * items.expensive[rows]
    left = np.log(share[0, rows] / share[1, rows]) - (tasted - spared)
    np.testing.assert_allclose(left, left[0], atol=1e-3)


def test_a_simple_model_recovers_the_tastes_far_better_than_popularity_does(told: Told) -> None:
    customer = {user: row for row, user in enumerate(told.truth.customers)}
    item = {name: row for row, name in enumerate(told.truth.items)}
    looks = np.zeros((len(customer), len(item)))
    for event in told.named("Product Viewed"):
        if event.user_id:
            looks[customer[event.user_id], item[event.lines[0].item_id]] += 1
    known = np.flatnonzero(looks.sum(axis=1) >= 20)
    wishes = np.log(told.truth.preference(known))
    seen = np.log1p(looks)
    popular = seen.sum(axis=0)
    left, size, right = np.linalg.svd(seen / np.sqrt(1 + popular), full_matrices=False)
    scores = (left[known, :8] * size[:8]) @ right[:8] * np.sqrt(1 + popular)
    model = _rank_correlation(scores, wishes)
    popularity = _rank_correlation(np.tile(popular, (len(known), 1)), wishes)
    assert len(known) > 100
    assert model > 0.5
    assert model > popularity + 0.15


def test_frequent_customers_look_at_categories_as_their_tastes_say(told: Told) -> None:
    looks: dict[str, Counter[str]] = defaultdict(Counter)
    for event in told.named("Product Viewed"):
        looks[event.user_id or ""][event.lines[0].category or ""] += 1
    row = {user: place for place, user in enumerate(told.truth.customers)}
    known = [user for user in sorted(looks) if user and looks[user].total() >= 80]
    share = told.truth.preference(np.array([row[user] for user in known]))
    of_item = np.array(told.truth.categories)
    names = [category.name for category in CATEGORIES]
    expected = np.stack([share[:, of_item == name].sum(axis=1) for name in names], axis=1)
    found = np.array([[looks[user][name] / looks[user].total() for name in names] for user in known])
    assert len(known) > 20
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.75


def test_a_customer_who_has_stopped_leaves_no_more_events(told: Told) -> None:
    stopped = told.truth.churned_at
    until = dict(zip(told.truth.customers, np.where(stopped < 0, UNTIL, stopped).tolist(), strict=True))
    browser = {user.replace("c", "v"): time for user, time in until.items()}
    for event in told.events:
        assert event.event_time < until.get(event.user_id or "", UNTIL)
        assert event.event_time < browser.get(event.anonymous_id or "", UNTIL)
    assert 0.1 < (stopped >= 0).mean() < 0.5


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


def test_as_many_customers_stop_as_the_hazard_says() -> None:
    shop = Shop(events=1_000, customers=20_000, days=180, until=UNTIL)
    people, known = make_people(shop), truth(shop)
    days = shop.days - 1 - np.maximum(people.joins, 0)
    expected = 1 - (1 - known.hazard.astype(float)) ** np.maximum(days, 0)
    assert (known.churned_at >= 0).mean() == pytest.approx(expected.mean(), abs=0.01)


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


def test_most_customers_return_and_nearly_every_item_is_seen(told: Told) -> None:
    spans = _first_last([(event.user_id, event.event_time) for event in told.events if event.user_id])
    seen = {line.item_id for event in told.events for line in event.lines}
    assert np.mean([last - first > DAY_MS for first, last in spans.values()]) > 0.6
    assert len(spans) > 0.6 * told.shop.n_customers
    assert len(seen) > 0.95 * told.shop.n_items


def test_about_a_quarter_of_visits_never_say_who_they_are(told: Told) -> None:
    signed = list(_visits(told))
    assert 0.18 < 1 - np.mean(signed) < 0.33


def _visits(told: Told) -> list[bool]:
    """Whether somebody signed in, for each run of a browser's events without half an hour's pause."""
    visits: list[bool] = []
    current: dict[str, tuple[int, int]] = {}
    for event in told.events:
        if event.anonymous_id:
            before, place = current.get(event.anonymous_id, (0, -1))
            if event.event_time - before > 1_800_000:
                place = len(visits)
                visits.append(False)
            visits[place] |= event.user_id is not None
            current[event.anonymous_id] = (event.event_time, place)
    return visits


def test_an_anonymous_browser_that_signs_in_is_one_customers(told: Told) -> None:
    owner: dict[str, set[str]] = defaultdict(set)
    before: set[str] = set()
    edges = 0
    for event in told.events:
        who = event.anonymous_id or ""
        if event.user_id and who:
            owner[who].add(event.user_id)
        elif who:
            before.add(who)
        if event.name == "identify":
            assert event.user_id
            edges += who in before
    assert all(len(users) == 1 for users in owner.values())
    assert edges > 50
    assert all(event.user_id for name in ("Checkout Started", "Order Completed") for event in told.named(name))


def test_weekends_are_busier_than_the_middle_of_the_week(told: Told) -> None:
    count = Counter(datetime.fromtimestamp(event.event_time / 1000, UTC).weekday() for event in told.events)
    assert min(count[5], count[6]) > 1.1 * max(count[1], count[2], count[3])


def test_evenings_are_busier_than_nights(told: Told) -> None:
    count = Counter(datetime.fromtimestamp(event.event_time / 1000, UTC).hour for event in told.events)
    assert sum(count[hour] for hour in (19, 20, 21)) > 10 * sum(count[hour] for hour in (2, 3, 4))


def test_each_category_has_its_season() -> None:
    shop = Shop(events=20_000, days=365, customers=400, items=200, until=UNTIL)
    count: Counter[tuple[str, int]] = Counter()
    for raw in events(shop):
        event = decode(raw, 0)
        month = datetime.fromtimestamp(event.event_time / 1000, UTC).month
        count.update((line.category or "", month) for line in event.lines)
    spring, autumn = (3, 4, 5), (9, 10, 11)
    assert sum(count["garden-tools", m] for m in spring) > 2 * sum(count["garden-tools", m] for m in autumn)
    assert sum(count["knitwear", m] for m in autumn) > 2 * sum(count["knitwear", m] for m in spring)


def test_dirt_comes_on_top_and_only_when_asked_for() -> None:
    clean = Shop(events=3_000, until=UNTIL)
    dirty = Shop(events=3_000, until=UNTIL, duplicates=0.1, late=0.1)
    raw = list(events(dirty))
    read = [decode(message, 0) for message in raw]
    late = [event for event in read if event.received_at - event.event_time > 60_000]
    assert len(set(raw)) == dirty.events == len({event.message_id for event in read})
    assert len(raw) == pytest.approx(1.1 * dirty.events, rel=0.03)
    assert 0.05 < len(late) / len(read) < 0.12
    assert [event.event_time for event in read] != sorted(event.event_time for event in read)
    assert len(list(events(clean))) == clean.events


@pytest.mark.parametrize(
    ("field", "value"),
    [("events", 0), ("customers", 0), ("items", 19), ("days", 0), ("seed", -1), ("until", 5), ("late", 1.5)],
)
def test_a_shop_that_can_not_be_is_refused_with_the_field(field: str, value: float) -> None:
    with pytest.raises(BadInput, match=field) as refused:
        Shop(**{"events": 100, "until": UNTIL, field: value})  # type: ignore[arg-type]
    assert refused.value.field == field


def test_simulate_writes_the_catalogue_and_the_events_the_same_each_time(tmp_path: Path) -> None:
    shop = Shop(events=1_000, until=UNTIL, seed=5)
    for name in ("one", "two"):
        simulate(shop, tmp_path / "deep" / name)
    one, two = tmp_path / "deep" / "one", tmp_path / "deep" / "two"
    with gzip.open(one / "events.jsonl.gz") as file:
        assert [line.rstrip(b"\n") for line in file] == list(events(shop))
    items = [msgspec.json.decode(line) for line in (one / "items.jsonl").read_bytes().splitlines()]
    assert items == catalogue(shop)
    for name in ("items.jsonl", "events.jsonl.gz"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
