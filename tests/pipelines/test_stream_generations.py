"""Workers with other features build their generation beside the live one, and readers go over once it has caught up."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from features.definitions import FEATURES
from features.online import connect, generations
from features.table import Table, table
from pipelines.stream import run
from pipelines.stream.reports import read_reports
from tests.pipelines.stream_truth import keyed
from tests.pipelines.stream_world import World

OLDER = table([FEATURES.features[name] for name in ("views_1h", "last_seen", "item_views_1h")])


@contextmanager
def running(world: World, features: Table) -> Iterator[None]:
    stopping = threading.Event()
    worker = threading.Thread(
        target=run, args=(world.settings, connect(world.settings.redis), stopping.is_set, features)
    )
    worker.start()
    try:
        yield
    finally:
        stopping.set()
        worker.join()


def live(world: World) -> str | None:
    return generations.live(world.client)


def reports(world: World, features: Table) -> bool:
    """Whether a worker of these features tells how far behind it is."""
    return any(report["generation"] == features.generation and report["lag"] for report in read_reports(world.client))


def forget_reports(world: World) -> None:
    """What half a minute does."""
    for report in read_reports(world.client):
        world.client.delete(f"kindred:stream:{report['worker']}")


def test_a_newer_generation_is_built_beside_the_live_one_and_takes_over_when_it_has_caught_up(world: World) -> None:
    world.pour(seed=70, count=400)
    with running(world, OLDER):
        world.until(lambda: live(world) == OLDER.generation)
        with running(world, FEATURES):
            world.until(lambda: live(world) == FEATURES.generation)
            assert keyed(world.client, f"*:{OLDER.generation}:u:*").keys() != set()
            world.pour(seed=71, count=100)
            world.caught_up()
            world.assert_exact()
    manifests = generations.known(world.client)
    assert list(manifests) == [OLDER.generation, FEATURES.generation]


def test_an_older_generation_comes_back_only_when_no_worker_keeps_the_live_one_up(world: World) -> None:
    world.pour(seed=72, count=100)
    with running(world, OLDER):
        world.until(lambda: live(world) == OLDER.generation)
    forget_reports(world)
    with running(world, FEATURES):
        world.until(lambda: live(world) == FEATURES.generation and reports(world, FEATURES))
        with running(world, OLDER):
            world.until(lambda: reports(world, OLDER))  # it looks who is live before it tells how far behind it is
            assert live(world) == FEATURES.generation
    forget_reports(world)
    with running(world, OLDER):
        world.until(lambda: live(world) == OLDER.generation)
