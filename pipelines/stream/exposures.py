"""Exposures from Kafka to Parquet, each offset once, on a thread of its own: it must not hold up events.

The log itself is the position: a worker reads on where the segments of its partitions end. So what it holds in memory
may be lost at any moment, and two workers that write the same offsets write the same rows, which count once.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable

from features.errors import BadInput, KindredError
from features.exposures import decode_exposure
from features.kafka.consumer import Consumer, Place, Record
from features.kafka.producer import Producer
from features.kafka.topics import first_offsets, log_id, partitions_of
from features.offline import ExposureLog, LoggedExposure, append_exposures
from features.settings import Settings
from pipelines.backfill import source_name
from pipelines.stream.outbox import Outbox
from pipelines.stream.sources import session_ms

TOPIC = "exposures"
GROUP = "kindred-exposures"
STEPS = ("exposures-claimed", "exposures-decoded", "exposures-sent", "exposures-logged")
BATCH, MANY = 2_000, 20_000  # records read at once; records held at most
POLL_S, WRITE_EVERY_S, COMPACT_EVERY_S, AGAIN_AFTER_S = 0.2, 2.0, 5.0, 1.0
FETCH_WAIT_MS = 200  # nobody waits for an exposure

logger = logging.getLogger("kindred.stream")


class ExposureWriter:
    """Collects what was read and writes it, a segment a partition; use it from one thread.

    Args:    now_ms: the wall clock, for compaction only; step: told after each of STEPS.
    """

    def __init__(
        self,
        settings: Settings,
        producer: Producer,
        now_ms: Callable[[], float],
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.kafka = settings.kafka
        self.outbox = Outbox(producer)
        self.now_ms = now_ms
        self.step = step
        self.partitions = partitions_of(settings.kafka, TOPIC)
        name = source_name(TOPIC, log_id(settings.kafka, TOPIC), self.partitions)
        self.log = ExposureLog(settings.data).source(name)
        self.logged: dict[int, int] = {}  # by owned partition: the offset that its log ends at
        self.held: list[Record] = []
        self._next: dict[int, int] = {}

    def assign(self, places: list[Place]) -> dict[Place, int]:
        """Become the owner of these partitions and of no others; returns where to read each from."""
        self.release()
        ends, lowest = self.log.ends(), first_offsets(self.kafka, TOPIC)
        for _, partition in places:
            self.logged[partition] = ends.get(partition, 0)
            self._skip(partition, lowest.get(partition, 0))
        self._next = dict(self.logged)
        self.step("exposures-claimed")
        return {place: self.logged[place[1]] for place in places}

    def release(self) -> None:
        """Own nothing any more, and forget what was read and not written: the next owner reads it again."""
        self.logged, self.held, self._next = {}, [], {}

    def take(self, records: list[Record]) -> None:
        """Hold records until `write`; what isn't its own, or was taken before, is left out."""
        for record in records:
            if record.offset >= self._next.get(record.partition, record.offset + 1):
                self.held.append(record)
                self._next[record.partition] = record.offset + 1

    def write(self) -> int:
        """Everything held into the log, durably; returns how many exposures that were.

        Raises:  Unavailable: Kafka doesn't take a dead letter; nothing was written then.
        """
        if not self.held:
            return 0
        rows = [row for record in self.held if (row := self._row(record)) is not None]
        self.step("exposures-decoded")
        self.outbox.delivered()
        self.step("exposures-sent")
        ends = {record.partition: record.offset + 1 for record in self.held}
        append_exposures(self.log, {p: (self.logged[p], end) for p, end in ends.items()}, rows)
        self.logged |= ends
        self.held = []
        self.step("exposures-logged")
        return len(rows)

    def compact(self) -> None:
        """Merge the small files of its own partitions."""
        if self.logged:
            self.log.compact(int(self.now_ms()), list(self.logged))

    def _skip(self, partition: int, lowest: int) -> None:
        """What Kafka no longer holds is lost, and said; unlike an event, no state depends on it."""
        if lowest > self.logged[partition]:
            lost = lowest - self.logged[partition]
            logger.warning("%s[%d]: %d exposures are gone from Kafka before they were logged", TOPIC, partition, lost)
            append_exposures(self.log, {partition: (self.logged[partition], lowest)}, [])
            self.logged[partition] = lowest

    def _row(self, record: Record) -> LoggedExposure | None:
        try:
            exposure = decode_exposure(record.value or b"")
        except BadInput as error:
            self.outbox.dead_letter(record, str(error))
            return None
        known = record.timestamp_ms if record.timestamp_ms > 0 else round(exposure.timestamp.timestamp() * 1000)
        return LoggedExposure(record.partition, record.offset, known, exposure)


class Exposing:
    """Reads and writes exposures until `close`; what goes wrong with Kafka or the disk is tried again in a moment."""

    def __init__(self, settings: Settings, producer: Producer, step: Callable[[str], None] = lambda _: None) -> None:
        self._settings = settings
        self._writer_parts = (settings, producer, lambda: time.time() * 1_000, step)
        self._closing = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="exposures", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise whatever ended the thread."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """End the thread once what it holds is written."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._session()
            except (KindredError, OSError) as error:
                logger.warning("exposures are read again in %g s: %s", AGAIN_AFTER_S, error)
                self._closing.wait(AGAIN_AFTER_S)
            except BaseException as error:  # noqa: BLE001 - the worker raises it with its next turn
                self._failure = error
                return

    def _session(self) -> None:
        """One membership in the group, which has the same members whatever generation of features they fold."""
        writer = ExposureWriter(*self._writer_parts)
        consumer = Consumer(self._settings.kafka, GROUP, FETCH_WAIT_MS, session_ms(self._settings))
        with contextlib.closing(consumer):
            consumer.subscribe([TOPIC], writer.assign, lambda _gone: _give_up(writer))
            write_at = compact_at = time.monotonic()
            while not self._closing.is_set():
                writer.take(consumer.poll_batch(BATCH, POLL_S))
                now = time.monotonic()
                if now >= write_at or len(writer.held) >= MANY:
                    write_at = now + WRITE_EVERY_S
                    writer.write()
                if now >= compact_at:
                    compact_at = now + COMPACT_EVERY_S
                    writer.compact()


def _give_up(writer: ExposureWriter) -> None:
    """Write what is held while it is still this worker's; were it not, the next owner writes the same rows."""
    writer.write()
    writer.release()
