"""The simulated shop: what it promises to those who train and test on it."""

import gzip
import tracemalloc
from pathlib import Path

import msgspec
import pytest

from features.errors import BadInput
from features.events import EVENTS, decode
from pipelines.simulate import Shop, catalogue, events, simulate
from tests.pipelines.told_shop import UNTIL, Told


def test_the_same_seed_leaves_the_same_bytes_and_another_seed_others() -> None:
    first, second, other = (list(events(Shop(events=2_000, seed=seed, days=60, until=UNTIL))) for seed in (3, 3, 4))
    assert first == second
    assert not set(first) & set(other)


@pytest.mark.parametrize("count", [1, 7, 1_000])
def test_a_shop_has_exactly_as_many_events_as_it_was_asked_for(count: int) -> None:
    assert len(list(events(Shop(events=count, until=UNTIL)))) == count


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
