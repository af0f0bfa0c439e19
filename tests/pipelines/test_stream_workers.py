"""Stream workers as processes: killed, joined, crashed at exact places, on both brokers."""

import json
import random
import signal
from typing import Any

import psutil
import pytest

from features.events import decode
from features.offline import EventLog, append_events
from features.offline.log import LoggedEvent
from features.online import generations
from pipelines.backfill import source_name
from pipelines.stream import STEPS
from pipelines.stream.reports import read_reports
from tests.pipelines.stream_truth import GENERATION, assert_same, expected, rightly_placed, states, views
from tests.pipelines.stream_world import TOPICS, World
from tests.pipelines.traffic import BASE, viewed


def kill_and_follow(world: World, kills: int, count: int) -> None:
    rng = random.Random(kills)
    worker = world.worker()
    with world.flowing(seed=9, count=count, hot=900 / count):  # beyond 1,024 events a customer's duplicates may count
        for _ in range(kills):
            world.moved(rng.randrange(1, count // (kills + 1)))
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            worker = world.worker()
    world.caught_up(90)
    world.assert_exact()
    worker.terminate()
    assert worker.wait(20) == 0


def test_kill_9_of_a_worker_in_the_midst_of_traffic_loses_and_doubles_nothing(world: World) -> None:
    kill_and_follow(world, kills=2, count=2_000)


@pytest.mark.slow
def test_many_times_kill_9_loses_and_doubles_nothing(each_world: World) -> None:
    kill_and_follow(each_world, kills=4, count=8_000)


def test_a_worker_on_real_kafka_is_exact(apache_world: World) -> None:
    apache_world.worker()
    with apache_world.flowing(seed=10, count=1_000):
        pass
    apache_world.caught_up()
    apache_world.assert_exact()


@pytest.mark.slow
def test_a_second_worker_that_joins_and_a_first_that_leaves_change_nothing(each_world: World) -> None:
    first = each_world.worker()
    with each_world.flowing(seed=11, count=10_000):
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
    world.pour(seed=12, count=300)
    world.caught_up()
    world.until(lambda: "u:old" in states(world.client))
    world.client.flushall()
    world.pour(seed=13, count=100)
    world.caught_up()
    assert views(world.client, "u:old") == 1
    placed = [each for topic in TOPICS for each in rightly_placed(world.records(topic), 16)]
    assert_same(states(world.client), expected(placed, before=[decode(raw, BASE)]), "states")
    world.until(lambda: generations.live(world.client) == GENERATION)


@pytest.mark.slow
def test_processes_that_end_at_every_exact_place_in_turn_are_followed_exactly(either_world: World) -> None:
    for number, step in enumerate(STEPS):
        either_world.pour(seed=14 + number, count=150)
        either_world.send(viewed("u1", message_id=step, type="identify", anonymousId=step))
        either_world.send_raw(b'{"item_id":"i1","title":"Spade"}', b"i1", "items")
        worker = either_world.worker("tests.pipelines.crashing_worker", step, "1")
        either_world.until(lambda worker=worker: worker.poll() is not None)  # type: ignore[misc]
        assert worker.returncode == 137, f"{step}: {either_world.log_tail()}"
    either_world.worker()
    either_world.caught_up()
    either_world.assert_exact()


@pytest.mark.slow
def test_workers_that_one_command_started_share_the_work_are_replaced_and_end_with_it(world: World) -> None:
    command = world.worker("pipelines.cli", "stream", "--workers", "2")
    with world.flowing(seed=31, count=3_000):
        world.until(lambda: len(read_reports(world.client)) == 2)
        lifelines = psutil.Process(command.pid).children()
        (victim,) = lifelines[0].children()
        victim.kill()
        world.moved(300)
        world.until(lambda: psutil.Process(command.pid).children() != lifelines)
    world.caught_up(90)
    world.assert_exact()
    family = psutil.Process(command.pid).children(recursive=True)
    assert len(family) >= 4
    command.terminate()
    assert command.wait(60) == 0
    assert psutil.wait_procs(family, timeout=60)[1] == []


def test_a_worker_tells_about_itself_and_ends_in_order_when_it_is_asked_to(world: World) -> None:
    worker = world.worker()
    world.pour(seed=30, count=200)
    world.caught_up()

    def told() -> dict[str, Any]:
        reports = read_reports(world.client)
        return reports[0] if reports else {"counted": {"events": 0}, "lag": {"": 1}}

    world.until(lambda: told()["counted"]["events"] >= 170 and {*told()["lag"].values()} == {0})
    report = told()
    assert report["generation"] == GENERATION
    assert report["dead_letters"] > 0
    assert report["rekeyed"] > 0
    worker.terminate()
    assert worker.wait(60) == 0
    world.client.delete(f"kindred:stream:{report['worker']}")
    assert read_reports(world.client) == []
