"""What events add to items and to all customers together, and states set from sums of it."""

from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.compiled import packed_additions
from features.definitions import FEATURES
from features.feature import about, count, total
from features.packing import pack
from features.states import no_states
from features.table import Table, table
from features.tiles import Tiles, kept_tiles, place_of, sent, tile_additions
from features.totals import Asked, Ladder, set_cells
from features.windows import DAY, HOUR, TILE_MS
from tests.features.shared_events import Fact, facts, part_of

T = 1_760_000_400_000 // 3_600_000 * 3_600_000  # a full hour
VIEW, ORDER = "Product Viewed", "Order Completed"
SOME = table(
    (
        *about("item", count("views_1h", VIEW, "1h"), count("views_30d", VIEW, "30d"), count("views_90d", VIEW, "90d")),
        *about("item", total("pieces_24h", ORDER, "24h", of="pieces"), count("together", ORDER, "90d", by="with")),
        *about("global", count("orders_1h", ORDER, "1h"), count("names", (ORDER, VIEW), "7d", by="event")),
    )
)


def number(name: str, features: Table = SOME) -> int:
    return next(
        at
        for at, series in enumerate(features.series)
        if (series.need.entity, series.need.events, series.need.of, series.need.by) == _SERIES[name]
    )


_SERIES = {
    "views": ("item", (VIEW,), "one", ""),
    "pieces": ("item", (ORDER,), "pieces", ""),
    "together": ("item", (ORDER,), "one", "with"),
    "orders": ("global", (ORDER,), "one", ""),
    "names": ("global", (ORDER, VIEW), "one", "event"),
}


def additions(*found: Fact) -> dict[int, Tiles]:
    return tile_additions(SOME, part_of(found))


def test_a_view_is_added_once_to_a_tile_of_each_size_that_a_window_needs() -> None:
    tile = T // TILE_MS
    field = f"{number('views')}:a"
    found = additions(Fact(VIEW, T, 3, (("a", 1, 0),)))
    assert list(found) == [3]
    assert found[3][1] == {tile: {field: 1}}
    assert found[3][HOUR][tile // HOUR * HOUR].pop(field) == 1
    assert found[3][DAY] == {tile // DAY * DAY: {field: 1}}


def test_events_of_one_tile_are_summed_and_those_of_others_kept_apart() -> None:
    views = [Fact(VIEW, T + late, 1, (("a", 1, 0),)) for late in (0, 1, TILE_MS, 2 * HOUR * TILE_MS)]
    found = additions(*views, Fact(VIEW, T, 1, (("b", 1, 0),)), Fact(VIEW, T, 0, (("a", 1, 0),)))
    field, other = f"{number('views')}:a", f"{number('views')}:b"
    tile = T // TILE_MS
    assert found[1][1] == {tile: {field: 2, other: 1}, tile + 1: {field: 1}, tile + 2 * HOUR: {field: 1}}
    assert found[0][1] == {tile: {field: 1}}
    assert sum(fields[field] for fields in found[1][DAY].values()) == 4


def test_items_of_one_order_name_each_other_and_an_order_counts_once_for_all() -> None:
    found = additions(Fact(ORDER, T, 0, (("a", 2, 100), ("b", 1, 50), ("a", 3, 100))))[0]
    day = found[DAY][T // TILE_MS // DAY * DAY]
    assert day == {f"{number('together')}:a\0b": 1, f"{number('together')}:b\0a": 1}
    assert found[1][T // TILE_MS] == {
        f"{number('pieces')}:a": 5,
        f"{number('pieces')}:b": 1,
        f"{number('orders')}:": 1,
    }
    ((field, amount),) = found[HOUR][T // TILE_MS // HOUR * HOUR].items()
    place = place_of(SOME, field)
    assert (place.series, place.item, place.key.isdecimal(), amount) == (number("names"), "", True, 1)


def test_what_no_shared_feature_counts_adds_nothing() -> None:
    assert additions(Fact("page", T, 0, ())) == {}
    assert additions() == {}


def test_batches_add_up_to_what_all_their_events_add_together() -> None:
    found = facts(Random(1), 300, T, 40 * DAY * TILE_MS, 3)
    whole, parts = flat(additions(*found)), [flat(additions(*found[at : at + 77])) for at in range(0, 300, 77)]
    assert len(whole) > 200
    assert whole == {key: sum(part.get(key, 0) for part in parts) for key in set().union(*parts)}


def flat(found: dict[int, Tiles]) -> dict[tuple[int, int, int, str], int]:
    return {
        (bucket, step, start, field): amount
        for bucket, tiles in found.items()
        for step, starts in tiles.items()
        for start, fields in starts.items()
        for field, amount in fields.items()
    }


@settings(deadline=None)
@given(
    st.integers(0, 2**32), st.sampled_from([0, 1, 20, 700]), st.sampled_from([1, 300]), st.sampled_from(["", "x" * 300])
)
def test_what_is_sent_is_what_they_add(seed: int, n: int, items: int, suffix: str) -> None:
    found = facts(Random(seed), n, T, 40 * DAY * TILE_MS, 3, items)
    found = [each._replace(lines=tuple((item + suffix, *more) for item, *more in each.lines)) for each in found]
    packed = packed_additions(SOME, part_of(found))
    read = {bucket: msgspec.msgpack.decode(additions) for bucket, additions in packed.items()}
    assert {key: int(text) for key, text in flat(read).items()} == flat(additions(*found))
    assert {bucket: msgspec.msgpack.encode(each) for bucket, each in read.items()} == packed


@pytest.mark.parametrize("cents", [0, 9, 10, -10, -9, 2**44, -(2**44), 10**12 - 1, 10**12])
def test_any_sum_is_sent_to_its_last_digit(cents: int) -> None:
    spent = table(about("item", total("cents", ORDER, "3d", of="cents")))
    found = [Fact(ORDER, T, 0, (("a", 1, cents),))] * 3
    packed = packed_additions(spent, part_of(found))[0]
    assert packed == sent(tile_additions(spent, part_of(found))[0])
    assert str(3 * cents).encode() in packed


def test_as_many_tiles_are_kept_as_the_longest_window_reaches_back_from_any_minute() -> None:
    assert kept_tiles(SOME) == {1: DAY + HOUR + 1, HOUR: 30 * 24 + 2, DAY: 92}
    for features in (SOME, FEATURES):
        kept = kept_tiles(features)
        for newest in range(T // TILE_MS, T // TILE_MS + DAY):
            hour = np.array([newest // HOUR * HOUR * TILE_MS])
            for series in (each for each in features.series if each.need.entity in {"item", "global"}):
                for rung in series.rungs:
                    oldest = int(rung.horizon(hour)[0]) // rung.step
                    assert newest // rung.step - kept[rung.step] <= oldest


def test_a_calendar_month_keeps_its_days() -> None:
    months = table(about("item", count("now", VIEW, "month"), count("before", VIEW, "last month")))
    assert kept_tiles(months)[DAY] >= 62


def test_a_tile_is_a_cell_at_one_size_only_and_a_boundary_leaves_out_what_finer_ones_hold() -> None:
    newest = T // TILE_MS + 7
    ladder = Ladder(SOME, newest)
    views = number("views")
    hour = newest // HOUR * HOUR
    assert ladder.cells((1, newest)) == {views: (), number("pieces"): (), number("orders"): ()}
    assert views not in ladder.cells((HOUR, hour))
    assert ladder.cells((HOUR, hour - HOUR)).get(views) is None  # 12 tiles that are kept apart
    assert ladder.cells((HOUR, hour - 2 * HOUR))[views] == ()
    day = (hour - 30 * DAY) // DAY * DAY
    first_hour = (hour - 30 * DAY) // HOUR * HOUR
    assert ladder.cells((DAY, day))[views] == tuple((HOUR, at) for at in range(first_hour, day + DAY, HOUR))
    assert views not in ladder.cells((DAY, day - 90 * DAY))


def test_setting_cells_again_changes_nothing_and_names_go_with_their_last_cell() -> None:
    ladder = Ladder(SOME, T // TILE_MS)
    day = T // TILE_MS // DAY * DAY
    tile, field = (DAY, day), f"{number('together')}:a\0b"
    once = set_cells(ladder, no_states(2), [Asked(1, tile, field)], {tile: {field: 4}})
    assert np.diff(once.names.ends).tolist() == [0, 1]
    again = set_cells(ladder, once, [Asked(1, tile, field)], {tile: {field: 4}})
    assert pack(again) == pack(once)
    later = set_cells(Ladder(SOME, T // TILE_MS + 200 * DAY), once, [], {})
    assert (len(later.cells.key), len(later.names.sub)) == (2, 0)  # the time of the newest event stays
