"""What is popular live: the days' lists, of all and by context, whoever merged and whatever was let go."""

import pytest

from features.definitions import FEATURES
from features.online import popular, popular_by_context, popularity
from features.online.batch import primaries
from features.windows import DAY, TILE_MS
from tests.features.online.item_world import BUCKETS, DAY_MS, ORDER, VIEW, T, World, view
from tests.features.shared_events import Fact


def test_popular_sums_all_buckets_over_the_last_days_of_any_of_them(redis_url: str) -> None:
    world = World(redis_url, FEATURES)
    assert popular(world.client, BUCKETS, FEATURES) == {}
    days = [view("i0", T), view("i0", T - DAY_MS, 1), view("i1", T - 6 * DAY_MS, 2), view("i2", T - 7 * DAY_MS)]
    world.commit([*days, Fact(ORDER, T, 3, (("i1", 1, 0),))])
    world.merger().merge()
    assert popular(world.client, BUCKETS, FEATURES) == {"i0": 2, "i1": 6}
    assert popular(world.client, BUCKETS, FEATURES, days=1) == {"i0": 1, "i1": 5}


def test_of_a_day_only_its_most_popular_items_are_kept_and_one_let_go_comes_back(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(popularity, "TOP", 2)
    monkeypatch.setattr(popularity, "AT_ONCE", 1)
    monkeypatch.setattr(popularity, "PART", 1)
    world = World(redis_url, FEATURES)
    merger = world.merger()
    counts = {"i0": 3, "i1": 2, "i2": 1}
    world.commit([view(item, T + n, n % BUCKETS) for item, times in counts.items() for n in range(times)])
    merger.merge()
    assert popular(world.client, BUCKETS, FEATURES) == {"i0": 3, "i1": 2}
    world.commit([view("i2", T + 9, 1), view("i2", T + 9, 2), view("i2", T + DAY_MS, 2)])
    merger.merge()
    kept = {"i0": 3, "i2": 4}
    assert popular(world.client, BUCKETS, FEATURES) == kept
    world.merger().merge()
    assert popular(world.client, BUCKETS, FEATURES) == kept
    world.commit([view("i1", T + 9 * DAY_MS)])
    merger.merge()
    assert popular(world.client, BUCKETS, FEATURES) == {"i1": 1}
    assert [key for node in primaries(world.client) for key in node.scan_iter(match="{top}:*")] == [
        popularity.top_key(FEATURES.generation, (T // TILE_MS + 9 * DAY) // DAY * DAY).encode()
    ]


def seen(item: str, where: str = "", what: str = "", time: int = T, bucket: int = 0) -> Fact:
    return Fact(VIEW, time, bucket, ((item, 1, 0),), where, what)


def test_each_country_and_device_has_a_list_of_its_own(redis_url: str) -> None:
    world = World(redis_url, FEATURES)
    assert popular_by_context(world.client, BUCKETS, FEATURES) == {}
    merger = world.merger()
    world.commit([seen("i0", "GB", "mobile"), seen("i0", "GB", time=T - DAY_MS, bucket=1), seen("i1", "DE")])
    merger.merge()
    expected = {"country:DE": {"i1": 1}, "country:GB": {"i0": 2}, "device:mobile": {"i0": 1}}
    assert popular_by_context(world.client, BUCKETS, FEATURES) == expected
    world.commit([seen("i1", "GB", bucket=2), seen("i1", "GB", bucket=3)])
    merger.merge()
    expected["country:GB"] = {"i0": 2, "i1": 2}
    assert popular_by_context(world.client, BUCKETS, FEATURES) == expected
    world.merger().merge()  # a new one rebuilds them all
    assert popular_by_context(world.client, BUCKETS, FEATURES) == expected


def test_what_calls_itself_a_country_and_is_no_code_has_no_list(redis_url: str) -> None:
    world = World(redis_url, FEATURES)
    world.commit([seen("i0", f"nowhere {at}") for at in range(50)] + [seen("i1", "gb")])
    world.merger().merge()
    assert popular_by_context(world.client, BUCKETS, FEATURES) == {}
    assert popular(world.client, BUCKETS, FEATURES) == {"i0": 50, "i1": 1}


def test_only_the_contexts_in_which_most_happens_are_read(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(popularity, "CONTEXTS", 1)
    monkeypatch.setattr(popularity, "TOP_IN_CONTEXT", 1)
    world = World(redis_url, FEATURES)
    world.commit([seen("i0", "GB"), seen("i1", "GB"), seen("i1", "GB"), seen("i0", "DE")])
    world.merger().merge()
    assert popular_by_context(world.client, BUCKETS, FEATURES) == {"country:GB": {"i1": 2}}


def test_a_day_that_is_over_takes_the_lists_of_its_contexts_with_it(redis_url: str) -> None:
    world = World(redis_url, FEATURES)
    merger = world.merger()
    world.commit([seen("i0", "GB", "mobile")])
    merger.merge()
    world.commit([seen("i1", "DE", time=T + 8 * DAY_MS)])
    merger.merge()
    assert popular_by_context(world.client, BUCKETS, FEATURES) == {"country:DE": {"i1": 1}}
    keys = {key.decode() for node in primaries(world.client) for key in node.scan_iter(match="{top}:*")}
    day = popularity.top_key(FEATURES.generation, (T // TILE_MS + 8 * DAY) // DAY * DAY)
    assert keys == {day, f"{day}:country:DE", f"{day}:contexts"}
