"""Stream workers as processes: killed, joined, crashed at exact places, on both brokers."""

import json
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from features.events import decode
from features.folds import unpack
from features.offline import EventLog, append_events
from features.offline.log import LoggedEvent
from pipelines.backfill import source_name
from tests.pipelines.stream_world import BASE, World, send, traffic, viewed

ARRIVED = BASE + 86_400_000


@contextmanager
def flowing(world: World, seed: int, count: int) -> Iterator[None]:
    """Events that go on arriving from another thread while the block runs; all have been sent when it ends."""

    def go() -> None:
        for number, (key, value) in enumerate(traffic(seed, count)):
            world.send_raw(value, key)
            if number % 20 == 0:
                world.producer.flush()
        world.producer.flush()

    thread = threading.Thread(target=go)
    thread.start()
    yield
    thread.join()


def kill_and_follow(world: World, kills: int, count: int) -> None:
    rng = random.Random(kills)
    worker = world.worker()
    with flowing(world, seed=9, count=count):
        for number in range(kills):
            goal = world.stands() + rng.randrange(1, 4 * count // (kills + 1))
            world.until(lambda goal=goal: world.stands() >= goal or world.waiting() == 0)  # type: ignore[misc]
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            worker = world.worker()
            assert number < kills
    world.caught_up(90)
    world.assert_exact()
    worker.terminate()
    assert worker.wait(20) == 0


def test_kill_9_of_a_worker_in_the_midst_of_traffic_loses_and_doubles_nothing(world: World) -> None:
    kill_and_follow(world, kills=2, count=4_000)


@pytest.mark.slow
def test_many_times_kill_9_loses_and_doubles_nothing(each_world: World) -> None:
    kill_and_follow(each_world, kills=6, count=12_000)


def test_a_worker_on_real_kafka_is_exact(apache_world: World) -> None:
    apache_world.worker()
    with flowing(apache_world, seed=10, count=1_000):
        pass
    apache_world.caught_up()
    apache_world.assert_exact()


@pytest.mark.slow
def test_a_second_worker_that_joins_and_a_first_that_leaves_change_nothing(each_world: World) -> None:
    first = each_world.worker()
    with flowing(each_world, seed=11, count=10_000):
        each_world.until(lambda: each_world.stands() > 0)
        claims = each_world.claims()
        second = each_world.worker()
        each_world.until(lambda: each_world.claims() >= claims + each_world.settings.buckets)
        at = each_world.stands()
        each_world.until(lambda: each_world.stands() > at or each_world.waiting() == 0)
        first.terminate()
        assert first.wait(30) == 0
    each_world.caught_up(90)
    each_world.assert_exact()
    assert second.poll() is None


def test_a_redis_emptied_under_a_running_worker_is_filled_again_imports_included(world: World) -> None:
    raw = json.dumps(viewed("old", "i1")).encode()
    imported = EventLog(world.settings.data).source(source_name("import", "history", 1))
    append_events(imported, 0, 0, 1, [LoggedEvent(0, 0, BASE, decode(raw, BASE), False, raw)])
    world.worker()
    send(world, seed=12, count=300)
    world.caught_up()
    world.until(lambda: "u:old" in world.states())
    world.client.flushall()
    send(world, seed=13, count=100)
    world.caught_up()
    states = world.states()
    assert unpack(states.pop("u:old")).counts == {"Product Viewed": 1}
    assert states == world.expected()


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("point", ["log", "flush", "commit"])
def test_a_process_that_ends_at_an_exact_place_is_followed_exactly(each_world: World, point: str, when: str) -> None:
    send(each_world, seed=14, count=600)
    for call in ("1", "3"):
        worker = each_world.worker("tests.pipelines.crashing_worker", point, when, call)
        each_world.until(lambda worker=worker: worker.poll() is not None)  # type: ignore[misc]
        assert worker.returncode == 137, each_world.log_tail()
        send(each_world, seed=15 + int(call), count=200)
    each_world.worker()
    each_world.caught_up()
    each_world.assert_exact()
