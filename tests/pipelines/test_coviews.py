"""Items viewed one after the other, live: what the buckets add up to is what the definitions mean of all events."""

from random import Random

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.feature import about, count
from features.kafka.topics import bucket_of
from features.online import Client, Merger, StateStore, connect, tiles_of
from features.online.items import item_features
from features.table import table
from features.tiles import kept_tiles
from pipelines.folding import Batch, Folder
from tests.features import naive
from tests.features.histories import DAY, ITEMS, MINUTE, Happening, T, columns, line, logs

BUCKETS = 2
BESIDE = table(about("item", count("beside", "Product Viewed", "7d", by="beside")))


def folder(client: Client) -> Folder:
    store = StateStore(client, "events.x.p1", BUCKETS, BESIDE.generation, kept_tiles(BESIDE))
    made = Folder(store, BESIDE)
    made.positions = store.claim(list(range(BUCKETS)))
    return made


def commit(into: Folder, log: list[Happening]) -> None:
    """Commit a batch as the stream processor does, each event at the next offset of its bucket."""
    bucket = np.array([bucket_of(event.customer[2:].encode(), BUCKETS) for event in log], np.int64)
    ends = dict(into.positions)
    offsets = np.zeros(len(log), np.int64)
    for at, each in enumerate(bucket.tolist()):
        offsets[at] = ends[each]
        ends[each] += 1
    batch = Batch(columns(log), offsets, bucket, ends)
    into.commit(batch, into.fold(batch)[0])


def kept(client: Client) -> dict[tuple[int, int, int], dict[str, int]]:
    """What the buckets add, by bucket, step and start."""
    found = {
        (each, *tile): fields
        for each in range(BUCKETS)
        for tile, fields in tiles_of(client, each, BESIDE.generation)[1].items()
    }
    return {tile: fields for tile, fields in found.items() if fields}


def view(rng: Random, number: int) -> Happening:
    """A view by one of a few customers, within a day."""
    at = T + rng.randrange(1_000) * MINUTE
    return Happening(
        "Product Viewed", at, f"{number}", f"u:{rng.randrange(4)}", T + DAY, T + DAY, lines=(line(rng.choice(ITEMS)),)
    )


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(log=logs(size=40), size=st.sampled_from([1, 5, 40]), later=st.sampled_from([0, 1, 2 * DAY, 9 * DAY]))
def test_the_live_feature_is_what_the_definition_means(
    redis_server: str, log: list[Happening], size: int, later: int
) -> None:
    client = connect(redis_server)
    client.flushall()
    into, merger = folder(client), Merger(client, BUCKETS, BESIDE)
    for at in range(0, len(log), size):
        commit(into, log[at : at + size])
        merger.merge()
    now = max(event.time for event in log) + later
    counted = naive.known(log, {event.customer for event in log})
    assert item_features(client, BESIDE, ITEMS, ["beside"], now) == {
        item: {"beside": naive.viewed_together(counted, item, now, 7)} for item in ITEMS
    }
    assert all(amount > 0 for fields in kept(client).values() for amount in fields.values())


def test_another_order_leaves_the_same_tiles(redis_server: str) -> None:
    rng = Random(5)
    client = connect(redis_server)
    log = [view(rng, number) for number in range(600)]
    found = []
    for size in (600, 9):
        client.flushall()
        into = folder(client)
        for at in range(0, len(log), size):
            commit(into, log[at : at + size])
        found.append(kept(client))
        rng.shuffle(log)
    assert found[0] == found[1]
    assert sum(sum(fields.values()) for fields in found[0].values()) > 100
