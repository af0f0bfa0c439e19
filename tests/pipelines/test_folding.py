"""A batch becomes one commit a bucket, built on what the store holds."""

import pytest

from features.errors import Overloaded
from features.events import Event, Line, OrderProperties, ProductProperties
from features.folds import unpack
from features.online import BucketCommit, StateStore, connect
from features.online.popularity import DAY_MS
from pipelines.folding import TRIES, Batch, Folder, buckets_of_partition, stubs

T = 20_454 * DAY_MS  # 2026-01-01


def viewed(customer: str, item: str = "i", message_id: str = "m", at: int = T) -> Event:
    return Event(
        message_id=message_id,
        type="track",
        name="Product Viewed",
        customer=customer,
        user_id=customer[2:],
        anonymous_id=None,
        event_time=at,
        received_at=at,
        properties=ProductProperties(product_id=item),
    )


def ordered(*lines: Line) -> Event:
    properties = OrderProperties(order_id="o", currency="gbp", products=lines)
    return Event(
        message_id="o",
        type="track",
        name="Order Completed",
        customer="u:1",
        user_id="1",
        anonymous_id=None,
        event_time=T,
        received_at=T,
        properties=properties,
    )


def folder_of(url: str, source: str = "events.a.p2") -> Folder:
    store = StateStore(connect(url), source, 4)
    return Folder(store, store.claim(list(range(4))))


def test_a_partition_has_every_bucket_that_its_number_leaves_over() -> None:
    assert list(buckets_of_partition(1, 4, 16)) == [1, 5, 9, 13]
    found = sorted(bucket for partition in range(4) for bucket in buckets_of_partition(partition, 4, 16))
    assert found == list(range(16))


def test_a_batch_becomes_a_commit_a_bucket_with_states_and_popularity(redis_server: str) -> None:
    folder = folder_of(redis_server)
    batch = Batch(ends={0: 9, 2: 9})
    batch.add(0, 3, viewed("u:1", "a", "m1"))
    batch.add(0, 5, viewed("u:1", "b", "m2", T + DAY_MS))
    batch.add(0, 6, viewed("u:1", "b", "m2", T + DAY_MS))
    commits, duplicates = folder.fold(batch)
    assert duplicates == {(0, 6)}
    assert [(c.bucket, c.version, c.position, c.next_position) for c in commits] == [(0, 0, 0, 9), (2, 0, 0, 9)]
    assert commits[0].popularity == {(T // DAY_MS, "a"): 1, (T // DAY_MS + 1, "b"): 1}
    assert unpack(commits[0].states["u:1"]).counts == {"Product Viewed": 2}
    assert commits[1].states == {}
    folder.commit(batch, commits)
    assert folder.positions == {0: 9, 1: 0, 2: 9, 3: 0} == folder.store.positions()


def test_an_event_that_the_bucket_has_taken_is_neither_folded_nor_a_duplicate(redis_server: str) -> None:
    folder = folder_of(redis_server)
    folder.positions[0] = 5
    batch = Batch(ends={0: 6})
    batch.add(0, 4, viewed("u:1", message_id="m1"))
    batch.add(0, 5, viewed("u:1", message_id="m2"))
    (commit,), duplicates = folder.fold(batch)
    assert unpack(commit.states["u:1"]).counts == {"Product Viewed": 1}
    assert duplicates == set()


def test_a_bucket_that_another_source_changed_meanwhile_is_folded_again_on_top_of_it(redis_server: str) -> None:
    ours, theirs = folder_of(redis_server), folder_of(redis_server, "import.b.p1")
    batch = Batch(ends={0: 1})
    batch.add(0, 0, viewed("u:1", "a", "m1"))
    commits, _ = ours.fold(batch)
    other = Batch(ends={0: 1})
    other.add(0, 0, viewed("u:1", "b", "m2"))
    theirs.commit(other, theirs.fold(other)[0])
    ours.commit(batch, commits)
    (packed,) = ours.store.read({0: ["u:1"]})[0][1]
    assert {item for _, item, _ in unpack(packed).recent} == {"a", "b"}
    assert (ours.store.positions()[0], theirs.store.positions()[0]) == (1, 1)


def test_a_bucket_that_is_overtaken_every_time_is_given_up(redis_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(redis_server)
    tries: list[list[BucketCommit]] = []

    def overtaken(_store: StateStore, commits: list[BucketCommit]) -> list[BucketCommit]:
        tries.append(commits)
        return commits

    monkeypatch.setattr(StateStore, "commit", overtaken)
    batch = Batch(ends={0: 1})
    with pytest.raises(Overloaded, match="overtaken"):
        folder.commit(batch, folder.fold(batch)[0])
    assert len(tries) == TRIES
    assert folder.positions[0] == 0


def test_lines_tell_what_an_unknown_item_may_be() -> None:
    line = Line(product_id="i1", name="n" * 2_000, category="c" * 300, price=2.5)
    (item,) = stubs(ordered(line, Line(product_id=" "), Line(name="postage")))
    assert (item.item_id, len(item.title), len(item.category)) == ("i1", 1_000, 255)
    assert (item.price, item.currency, item.incomplete) == (2.5, "GBP", True)
