"""Events of an import on their way to Kafka, no faster than the embedded broker's memory allows."""

import time
from collections.abc import Callable

from features.errors import Unavailable
from features.kafka.producer import Producer
from features.kafka.topics import first_offsets, is_embedded, last_offsets, partition_of, partitions_of
from features.offline import EventLog
from features.settings import Settings
from pipelines.stream.sources import name_of

TOPIC = "events"
ROOM = 2_000_000  # bytes that may wait in a partition of the embedded broker, which keeps 5 MiB and drops what is older
STALLED_S = 10.0
LOOK_S = 0.2


class Sent:
    """Sends events; `check` waits for them and raises what went wrong."""

    def __init__(self, settings: Settings, producer: Producer) -> None:
        self._producer = producer
        self._pace = Pace(settings) if is_embedded(settings.kafka) else None
        self._failures: list[Exception] = []

    def send(self, key: bytes, value: bytes) -> None:
        """Queue one event."""
        self._producer.send(TOPIC, key, value, on_done=lambda error: self._failures.append(error) if error else None)
        if self._pace is not None:
            self._pace.sent(key, value)

    def check(self, last: bool = False) -> None:
        """Return once Kafka has all of them, and the embedded one has room for more; `last`: no more are sent.

        Raises:  Unavailable: Kafka didn't take an event, or the embedded one forgot some that nothing had read.
        """
        self._producer.flush(60)
        if self._failures:
            raise Unavailable(f"{len(self._failures)} events weren't taken, run it again: {self._failures[0]}")
        if self._pace is not None and (last or self._pace.due):
            self._pace.wait()


class Pace:
    """Waits for the stream processor: what the event log holds is safe, whatever the broker forgets.

    Where nothing is read for a while it goes on without: the broker may well hold it all, and tells where it didn't.
    """

    def __init__(self, settings: Settings, sleep: Callable[[float], None] = time.sleep) -> None:
        self._kafka = settings.kafka
        self._partitions = partitions_of(settings.kafka, TOPIC)
        self._source = EventLog(settings.data).source(name_of(settings.kafka, TOPIC))
        self._sleep = sleep
        self._bytes, self._count = 0, 0  # of all events so far
        self._fresh = [0] * self._partitions  # bytes sent to each since it was looked at
        self._read = 0  # events that were in the log when it was looked at last
        self._patience = STALLED_S

    def sent(self, key: bytes, value: bytes) -> None:
        """Say what was sent."""
        self._bytes += len(value)
        self._count += 1
        self._fresh[partition_of(key, self._partitions)] += len(value)

    @property
    def due(self) -> bool:
        """Whether so much was sent that it is time to look: asking Kafka takes tenths of a second."""
        return max(self._fresh) > ROOM // 2

    def wait(self) -> None:
        """Return once no partition holds more than about ROOM that is not in the event log, or nothing reads.

        Raises:  Unavailable: records were dropped before they were read.
        """
        self._fresh = [0] * self._partitions
        stalled = 0.0
        while True:
            logged = self._source.ends()
            if any(first > logged.get(place, 0) for place, first in first_offsets(self._kafka, TOPIC).items()):
                raise Unavailable(
                    "the embedded broker forgot events that nothing had read: run `kindred stream`, or leave out --live"
                )
            if sum(logged.values()) > self._read:
                self._read, self._patience, stalled = sum(logged.values()), STALLED_S, 0.0
            waiting = max(last - logged.get(place, 0) for place, last in last_offsets(self._kafka, TOPIC).items())
            if waiting * self._bytes <= ROOM * self._count:
                return
            if stalled >= self._patience:
                self._patience = 0.0  # until something is read again
                return
            self._sleep(LOOK_S)
            stalled += LOOK_S
