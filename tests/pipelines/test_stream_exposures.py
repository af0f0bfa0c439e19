"""Exposures from Kafka into Parquet: whatever dies in between, each is there once."""

import signal
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from features.exposures import encode_exposure, exposure_key
from features.kafka.broker import EmbeddedBroker
from features.offline import ExposureLog, exposures
from pipelines.stream import DEAD_LETTERS
from pipelines.stream.exposures import STEPS, TOPIC, ExposureWriter
from tests.features.offline.exposure_rows import AT, exposure
from tests.pipelines.crashing_worker import dying
from tests.pipelines.stream_world import World
from tests.pipelines.test_stream_faults import CrashError, crash


def serve(world: World, first: int, count: int) -> None:
    """So many slates of two items, for forty customers."""
    for number in range(first, first + count):
        shown = exposure(f"r{number:05d}", "i1", "i2", user_id=f"c{number % 40}", at=AT + number)
        world.send_raw(encode_exposure(shown), exposure_key(shown), TOPIC)
    world.producer.flush()


def writer(world: World, step: Callable[[str], None] = lambda _: None) -> ExposureWriter:
    return ExposureWriter(world.settings, world.producer, lambda: AT, step)


def pump(world: World, by: ExposureWriter, batch: int = 50) -> None:
    """Let it own everything and take all that lies in Kafka, written batch by batch."""
    starts = by.assign([(TOPIC, partition) for partition in range(world.partitions(TOPIC))])
    records = world.records(TOPIC, {partition: start for (_, partition), start in starts.items()})
    for at in range(0, len(records), batch):
        by.take(records[at : at + batch])
        by.write()


def requests(world: World) -> list[str]:
    """The requests of the log, one for each first place."""
    frame = exposures(ExposureLog(world.settings.data))
    return sorted(frame[frame["position"] == 1]["request_id"])


def names(count: int) -> list[str]:
    return [f"r{number:05d}" for number in range(count)]


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_that_dies_anywhere_is_followed_by_one_that_loses_and_doubles_no_exposure(
    world: World, step: str
) -> None:
    serve(world, 0, 200)
    for _ in range(2):
        with pytest.raises(CrashError):
            pump(world, writer(world, dying(step, 1, crash)))
    serve(world, 200, 50)
    pump(world, writer(world))
    assert requests(world) == names(250)


def test_two_workers_that_write_the_same_offsets_write_the_same_rows(world: World) -> None:
    serve(world, 0, 120)
    old, new = writer(world), writer(world)
    pump(world, old, batch=30)
    old.logged = old._next = dict.fromkeys(old.logged, 0)  # as one that slept through being followed
    new.assign([])
    new.logged = new._next = dict.fromkeys(old.logged, 0)
    for each, batch in ((old, 120), (new, 17)):
        records = world.records(TOPIC)
        for at in range(0, 120, batch):
            each.take(records[at : at + batch])
            each.write()
    assert requests(world) == names(120)


def test_what_is_read_again_before_it_was_written_is_held_once(world: World) -> None:
    serve(world, 0, 20)
    by = writer(world)
    by.assign([(TOPIC, partition) for partition in range(world.partitions(TOPIC))])
    for _ in range(2):
        by.take(world.records(TOPIC))
    assert by.write() == 20
    assert by.write() == 0
    assert requests(world) == names(20)


def test_what_is_no_exposure_is_a_dead_letter_and_the_rest_is_logged(world: World) -> None:
    world.send_raw(b'{"request_id":"r"}', b"c1", TOPIC)
    serve(world, 0, 3)
    pump(world, writer(world))
    assert requests(world) == names(3)
    (letter,) = world.records(DEAD_LETTERS)
    assert letter.value == b'{"request_id":"r"}'
    assert dict(letter.headers)["kindred-topic"] == b"exposures"


def test_exposures_are_filed_under_the_day_they_came_to_kafka(world: World) -> None:
    serve(world, 0, 3)
    by = writer(world)
    pump(world, by)
    came = {record.timestamp_ms for record in world.records(TOPIC)}
    days = {f"date={datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d}" for ms in came}
    assert {path.name for path in by.log.folder.iterdir()} <= days


def test_what_kafka_dropped_unread_is_said_and_the_rest_is_logged(
    world: World, kafka_of_ones_own: EmbeddedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        shown = exposure(f"r{number:05d}", "i1", at=AT + number)
        world.send_raw(encode_exposure(shown), b"c1", TOPIC)
    world.producer.flush()
    (partition,) = [partition for partition, end in world.ends(TOPIC).items() if end]
    kafka_of_ones_own.truncate(TOPIC, partition, 3)
    pump(world, writer(world))
    assert requests(world) == names(5)[3:]
    assert "3 exposures are gone" in caplog.text
    caplog.clear()
    pump(world, writer(world))
    assert caplog.text == ""


def test_small_files_are_merged_and_hold_the_same(world: World) -> None:
    by = writer(world)
    for turn in range(4):
        serve(world, turn * 40, 40)
        pump(world, by, batch=40)
    before = sum(1 for _ in by.log.folder.glob("date=*/*.parquet"))
    by.compact()
    assert len({segment.path for segment in by.log.plan()}) == 1 < before
    assert requests(world) == names(160)


def test_kill_9_of_workers_that_take_exposures_beside_events_loses_and_doubles_none(world: World) -> None:
    worker = world.worker()
    for turn in range(3):
        serve(world, turn * 300, 300)
        world.until(lambda turn=turn: len(requests(world)) > turn * 300)  # type: ignore[misc]
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker = world.worker()
    serve(world, 900, 100)
    world.until(lambda: len(requests(world)) >= 1_000)
    worker.terminate()
    assert worker.wait(60) == 0
    assert requests(world) == names(1_000)


@pytest.mark.slow
def test_real_kafka_and_processes_that_end_at_every_exact_place_in_turn(apache_world: World) -> None:
    for turn, step in enumerate(STEPS):
        serve(apache_world, turn * 100, 100)
        worker = apache_world.worker("tests.pipelines.crashing_worker", step, "1")
        apache_world.until(lambda worker=worker: worker.poll() is not None)  # type: ignore[misc]
        assert worker.returncode == 137, f"{step}: {apache_world.log_tail()}"
    worker = apache_world.worker()
    sent = 100 * len(STEPS) + 100
    serve(apache_world, sent - 100, 100)
    apache_world.until(lambda: len(requests(apache_world)) >= sent)
    worker.terminate()
    assert worker.wait(60) == 0
    assert requests(apache_world) == names(sent)
