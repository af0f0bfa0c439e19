"""A batch becomes one commit a bucket, built on what the store holds."""

from collections.abc import Iterable

import msgspec
import numpy as np
import pytest

from features.decoded import from_events
from features.errors import Overloaded
from features.events import Event
from features.kafka.topics import bucket_of
from features.online import NO_TILES, BucketCommit, StateStore, connect
from features.profiles import Profile
from features.properties import Line, OrderProperties, ProductProperties
from pipelines.backfill import folder_of
from pipelines.folding import TRIES, Batch, Buckets, Folder, buckets_of_partition, stubs

DAY_MS = 86_400_000
T = 20_454 * DAY_MS  # 2026-01-01
BUCKETS = 4


def viewed(customer: str, item: str = "i", message_id: str = "m", at: int = T, name: str | None = None) -> Event:
    return event("Product Viewed", customer, message_id, at, ProductProperties(product_id=item, name=name))


def ordered(*lines: Line, trusted: bool = True) -> Event:
    order = OrderProperties(order_id="o", currency="gbp", products=lines)
    return event("Order Completed", "u:1", "o", T, order, trusted)


def event(
    name: str,
    customer: str,
    message_id: str,
    at: int,
    properties: ProductProperties | OrderProperties,
    trusted: bool = True,
) -> Event:
    return Event(
        message_id=message_id,
        type="track",
        name=name,
        customer=customer,
        user_id=customer[2:],
        anonymous_id=None,
        event_time=at,
        received_at=at,
        properties=properties,
        trusted=trusted,
    )


def batch_of(bucket: int, placed: Iterable[tuple[int, Event]], ends: dict[int, int]) -> Batch:
    """A batch of events with their offsets, all of one bucket."""
    offsets, events = zip(*placed, strict=True)
    columns = from_events(events, [each.received_at for each in events])
    return Batch(columns, np.array(offsets, np.int64), np.full(len(offsets), bucket, np.int64), ends)


def owning_folder(url: str, source: str = "events.a.p2") -> Folder:
    folder = folder_of(connect(url), source, BUCKETS)
    folder.positions = folder.store.claim(list(range(BUCKETS)))
    return folder


def asked(packed: bytes | None, name: str) -> object:
    return Profile([packed]).features(T + 2 * DAY_MS, [name])[name]


def test_a_partition_has_every_bucket_that_its_number_leaves_over() -> None:
    assert list(buckets_of_partition(1, 4, 16)) == [1, 5, 9, 13]
    found = sorted(bucket for partition in range(4) for bucket in buckets_of_partition(partition, 4, 16))
    assert found == list(range(16))


def test_buckets_are_those_of_the_keys() -> None:
    customers = [*(f"u:{number}" for number in range(50)), "a:1", "u:" + "ü" * 200]
    assert Buckets(16).of(customers).tolist() == [bucket_of(customer[2:].encode(), 16) for customer in customers]
    assert Buckets(16).of([]).tolist() == []


def test_a_batch_becomes_a_commit_a_bucket_with_states_and_tiles(redis_server: str) -> None:
    folder = owning_folder(redis_server)
    views = [(3, viewed("u:1", "a", "m1")), (5, viewed("u:1", "b", "m2", T + DAY_MS))]
    batch = batch_of(0, [*views, (6, views[1][1])], {0: 9, 2: 9})
    commits, duplicate = folder.fold(batch)
    assert duplicate.tolist() == [False, False, True]
    assert [(c.bucket, c.version, c.position, c.next_position) for c in commits] == [(0, 0, 0, 9), (2, 0, 0, 9)]
    assert asked(commits[0].states["u:1"], "event_counts") == {"Product Viewed": 2}
    assert {*msgspec.msgpack.decode(commits[0].tiles)[288]} == {T // 300_000, (T + DAY_MS) // 300_000}
    assert (commits[0].newest, commits[1].newest) == ((T + DAY_MS) // 300_000, 0)
    assert (commits[1].states, commits[1].tiles) == ({}, NO_TILES)
    folder.commit(batch, commits)
    assert folder.positions == {0: 9, 1: 0, 2: 9, 3: 0} == folder.store.positions()


def test_a_duplicate_moves_nothing_on_whatever_time_it_names(redis_server: str) -> None:
    folder = owning_folder(redis_server)
    same = viewed("u:1", "a", "m1", T + 3_600_000)
    batch = batch_of(0, [(0, viewed("u:1", "a", "m1")), (1, same)], {0: 2})
    (commit,), duplicate = folder.fold(batch)
    assert duplicate.tolist() == [False, True]
    assert commit.newest == T // 300_000


def test_an_event_that_the_bucket_has_taken_is_neither_folded_nor_a_duplicate(redis_server: str) -> None:
    folder = owning_folder(redis_server)
    folder.positions[0] = 5
    placed = [(4, viewed("u:1", message_id="m1")), (5, viewed("u:1", message_id="m2"))]
    (commit,), duplicate = folder.fold(batch_of(0, placed, {0: 6}))
    assert asked(commit.states["u:1"], "event_counts") == {"Product Viewed": 1}
    assert duplicate.tolist() == [False, False]


def test_a_bucket_that_another_source_changed_meanwhile_is_folded_again_on_top_of_it(redis_server: str) -> None:
    ours, theirs = owning_folder(redis_server), owning_folder(redis_server, "import.b.p1")
    batch = batch_of(0, [(0, viewed("u:1", "a", "m1"))], {0: 1})
    commits, _ = ours.fold(batch)
    other = batch_of(0, [(0, viewed("u:1", "b", "m2"))], {0: 1})
    theirs.commit(other, theirs.fold(other)[0])
    ours.commit(batch, commits)
    (packed,) = ours.store.read({0: ["u:1"]})[0][1]
    assert {item for _, item, _ in Profile([packed]).recent} == {"a", "b"}
    assert (ours.store.positions()[0], theirs.store.positions()[0]) == (1, 1)


def test_a_bucket_that_is_overtaken_every_time_is_given_up(redis_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = owning_folder(redis_server)
    tries: list[list[BucketCommit]] = []

    def overtaken(_store: StateStore, commits: list[BucketCommit]) -> list[BucketCommit]:
        tries.append(commits)
        return commits

    monkeypatch.setattr(StateStore, "commit", overtaken)
    batch = batch_of(0, [(0, viewed("u:1"))], {0: 1})
    with pytest.raises(Overloaded, match="overtaken"):
        folder.commit(batch, folder.fold(batch)[0])
    assert len(tries) == TRIES
    assert folder.positions[0] == 0


def test_lines_tell_what_an_unknown_item_may_be() -> None:
    line = Line(product_id="i1", name="n" * 2_000, category="c" * 300, price=2.5)
    events = from_events([ordered(line, Line(product_id=" "), Line(name="postage"))], [T])
    (item,) = stubs(events)
    assert (item.item_id, len(item.title), len(item.category)) == ("i1", 1_000, 255)
    assert (item.price, item.currency, item.incomplete) == (2.5, "GBP", True)


def test_a_line_that_names_its_item_is_believed_before_one_that_does_not() -> None:
    events = from_events([ordered(Line(product_id="i1"), Line(product_id="i1", name="Spade"))], [T])
    assert [item.title for item in stubs(events)] == ["Spade"]


def test_a_browsers_order_puts_nothing_into_the_catalogue() -> None:
    events = from_events([ordered(Line(product_id="i1", name="Made up"), trusted=False)], [T])
    assert stubs(events) == []


def test_only_orders_name_items_unless_every_event_may() -> None:
    events = from_events([viewed("u:1", "seen", name="Seen"), ordered(Line(product_id="bought"))], [T, T])
    assert [item.item_id for item in stubs(events)] == ["bought"]
    assert sorted(item.item_id for item in stubs(events, every=True)) == ["bought", "seen"]
