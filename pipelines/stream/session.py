"""The loop of one worker: read, process, and get over whatever another worker, Kafka or Redis takes away."""

import contextlib
import fcntl
import gc
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from features.compiled import warm
from features.definitions import FEATURES
from features.errors import Fenced, Overloaded, Rewound, Unavailable
from features.kafka.consumer import Consumer, Place
from features.kafka.producer import Producer
from features.kafka.topics import ensure_topics, last_offsets
from features.online import AWAY, Client, generations
from features.settings import Settings
from features.table import Table
from pipelines.backfill import restore, restore_identity
from pipelines.stream.exposures import Exposing
from pipelines.stream.latency import Latency
from pipelines.stream.merging import Merging
from pipelines.stream.processor import Processor
from pipelines.stream.reports import Reports, read_reports
from pipelines.stream.sources import session_ms
from pipelines.stream.tidying import Tidying

BATCH, LARGE = 10_000, 30_000  # a worker that has fallen behind reads states less often for as many events
MANY = 5_000  # records that wait: a worker with more of them has fallen behind
POLL_S = 0.1
LIVE_EVERY_S = 0.5
SWITCH_S = 0.0005  # that a thread beside may keep a batch waiting, each time that it has waited for disk or Redis
REPORT_EVERY_S = 1.0
CHECK_EVERY_S = 2.0
AGAIN_AFTER_S, LOOK_EVERY_S = 1.0, 0.05
TOPICS = ("events", "events.rekey", "items", "identity")
MERGING = ("events", 0)  # whose owner merges what all buckets add to items

logger = logging.getLogger("kindred.stream")


class _StoppingError(Exception):
    """The worker is asked to end in the midst of something long that may be left at any point."""


def run(
    settings: Settings,
    client: Client,
    stopping: Callable[[], bool],
    table: Table = FEATURES,
    step: Callable[[str], None] = lambda _: None,
) -> None:
    """Process until `stopping()`; whatever another worker or an outage takes away is claimed and read again.

    Args:    step: told after each of STEPS.
    Raises:  OffsetOutOfRange: Kafka no longer holds what is missing; BadSetting; Unavailable: no Kafka at the start.
    """
    ensure_topics(settings.kafka)
    producer = Producer(settings.kafka, linger_ms=1)
    reports = Reports(client, table.generation)
    latency = Latency()
    merging, tidying = Merging(client, settings.buckets, table), Tidying()
    exposing = Exposing(settings, producer, step)

    def processor() -> Processor:
        return Processor(settings, client, producer, lambda: time.time() * 1_000, table, step, latency)

    warm(table)
    switching = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()  # what is there for good isn't looked through again and again
    try:
        while not stopping():
            try:
                with contextlib.closing(
                    Session(settings, client, processor, stopping, reports, merging, tidying)
                ) as session:
                    while not stopping():
                        session.turn()
                        exposing.check()
            except _StoppingError:
                return
            except (Fenced, Rewound, Overloaded, Unavailable, *AWAY) as error:
                logger.warning("starting over in %g s: %s", AGAIN_AFTER_S, error)
                _wait(AGAIN_AFTER_S, stopping)
    finally:
        sys.setswitchinterval(switching)
        merging.close()
        exposing.close()
        tidying.close()
        producer.close()


class Session:
    """One membership in the consumer group.

    Sources that aren't read from Kafka are folded first; those that are, partition by partition as they are assigned.
    """

    def __init__(
        self,
        settings: Settings,
        client: Client,
        processor: Callable[[], Processor],
        stopping: Callable[[], bool],
        reports: Reports,
        merging: Merging,
        tidying: Tidying,
    ) -> None:
        self.settings = settings
        self.client = client
        self.stopping = stopping
        self.reports = reports
        self.merging = merging
        self.tidying = tidying
        self._behind = True  # until it is known how much waits
        self.places: list[Place] = []
        self._new_processor = processor
        self._begin()
        self._due = {"live": 0.0, "report": 0.0, "check": 0.0}
        self._ends = {topic: last_offsets(settings.kafka, topic) for topic in self.processor.sources}
        # Workers with another table of features form another group: they build their generation beside the live one.
        group = f"kindred-stream-{self.processor.table.generation}"
        self.consumer = Consumer(settings.kafka, group, session_timeout_ms=session_ms(settings))
        self.consumer.subscribe(TOPICS, self._assign, self._revoke)

    def close(self) -> None:
        """Leave the group."""
        self.merging.own(False)
        self.tidying.own(())
        self.consumer.close()

    def turn(self) -> None:
        """Read and process one batch, and do what is due beside it."""
        records = self.consumer.poll_batch(LARGE if self._behind else BATCH, POLL_S)
        try:
            if records:
                self.processor.process(records)
                self.consumer.commit_for_dashboards({(r.topic, r.partition): r.offset + 1 for r in records})
            self._beside()
        except (Rewound, *AWAY) as error:
            self._recover(error)

    def _begin(self) -> None:
        """Forget whatever was learned from Redis, and fold what nobody reads from Kafka."""
        self.processor = self._new_processor()
        live = {source.log.name for source in self.processor.sources.values()}
        events, items, buckets = self.processor.events, self.processor.items, self.settings.buckets
        with _alone(self.settings.data / "restoring.lock", self.stopping):  # or workers fence each other for nothing
            restore(self.client, events, items, buckets, self._go_on, live, self.processor.table)
            restore_identity(self.client, events, buckets)

    def _go_on(self, _folded: int = 0) -> None:
        if self.stopping():
            raise _StoppingError

    def _assign(self, places: list[Place]) -> dict[Place, int]:
        self.places = places
        return self.processor.assign(places, self._go_on)

    def _revoke(self, places: list[Place]) -> None:
        self.places = [place for place in self.places if place not in places]
        if not self.places:  # the group is eager: it takes all before it gives anew
            self.processor.release()

    def _recover(self, error: Exception) -> None:
        """Stay the owner and read nothing: Kafka holds what memory must not. Then go on from where Redis stands."""
        logger.warning("paused: %s", error)
        self.consumer.pause(self.places)
        while True:
            self._go_on()
            # It keeps the membership, and what it may read of partitions that a rebalance brings is read again below.
            self.consumer.poll_batch(1, AGAIN_AFTER_S / 2)
            if self._answers():
                break
        self._begin()
        starts = self.processor.assign(self.places, self._go_on)
        self.consumer.resume(self.places)
        for (topic, partition), offset in starts.items():
            self.consumer.seek(topic, partition, offset)
        logger.warning("resumed with %d partitions", len(self.places))

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except AWAY:
            return False

    def _beside(self) -> None:
        if self._is_due("check", CHECK_EVERY_S):
            self.processor.check()
        self.merging.own(MERGING in self.places, self._behind)
        self.tidying.own(self.processor.places(), self._behind)
        if MERGING in self.places and self._is_due("live", LIVE_EVERY_S):
            self._go_live()
        if self._is_due("report", REPORT_EVERY_S):
            lag = self.consumer.lag()
            self._behind = sum(lag.values()) > MANY
            self.reports.publish(self.processor.latency, lag)

    def _is_due(self, what: str, every_s: float) -> bool:
        now = time.monotonic()
        if now < self._due[what]:
            return False
        self._due[what] = now + every_s
        return True

    def _go_live(self) -> None:
        """Readers go over to this generation once it reflects all that lay in Kafka when the session began.

        One that was announced before has given way to the live one, and comes back only when no worker keeps that up.
        """
        generation, before = self.processor.table.generation, generations.live(self.client)
        if before == generation or not self._is_caught_up():
            return
        if before is not None and self._gave_way_to(before):
            return
        generations.announce(self.client, self.processor.table)
        if generations.make_live(self.client, generation, before):
            logger.info("generation %s of the features is live, after %s", generation, before or "none")

    def _gave_way_to(self, other: str) -> bool:
        known = generations.is_known(self.client, self.processor.table.generation)
        return known and any(report["generation"] == other for report in read_reports(self.client))

    def _is_caught_up(self) -> bool:
        for topic, ends in self._ends.items():
            source = self.processor.sources[topic]
            stands = source.folder.store.positions()
            if any(stands[bucket] < ends.get(bucket % source.partitions, 0) for bucket in stands):
                return False
        return True


@contextlib.contextmanager
def _alone(lock: Path, stopping: Callable[[], bool]) -> Iterator[None]:
    """Only one worker over this data at a time is in the block."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stopping():
                    raise _StoppingError from None
                time.sleep(LOOK_EVERY_S)
        yield


def _wait(seconds: float, stopping: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stopping():
        time.sleep(LOOK_EVERY_S)
