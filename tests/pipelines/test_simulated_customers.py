"""The simulated shop: what its customers like, when they come, and when they stop."""

from collections import Counter, defaultdict
from datetime import UTC, datetime

import numpy as np
import pytest

from features.events import decode
from pipelines.simulate import Shop, events, truth
from pipelines.simulation.catalogue import make_items
from pipelines.simulation.customers import make_people
from pipelines.simulation.shop import DAY_MS
from pipelines.simulation.words import CATEGORIES
from tests.pipelines.told_shop import UNTIL, Told


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


def test_a_shop_whose_last_customer_has_stopped_still_has_visitors() -> None:
    shop = Shop(events=3_000, customers=1, items=20, days=1_500, until=UNTIL)
    stopped = int(truth(shop).churned_at[0])
    late = [event for event in (decode(raw, 0) for raw in events(shop)) if event.event_time >= stopped]
    assert stopped > 0
    assert late
    assert all(event.user_id is None for event in late)


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


def test_as_many_customers_stop_as_the_hazard_says() -> None:
    shop = Shop(events=1_000, customers=20_000, days=180, until=UNTIL)
    people, known = make_people(shop), truth(shop)
    days = shop.days - 1 - np.maximum(people.joins, 0)
    expected = 1 - (1 - known.hazard.astype(float)) ** np.maximum(days, 0)
    assert (known.churned_at >= 0).mean() == pytest.approx(expected.mean(), abs=0.01)


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
