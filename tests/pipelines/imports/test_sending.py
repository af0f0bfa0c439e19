"""An import to Kafka waits for the stream processor where the broker forgets what it can't hold."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest

from features.errors import Unavailable
from features.kafka.broker import EmbeddedBroker
from features.kafka.producer import Producer
from features.kafka.topics import first_offsets, last_offsets
from features.offline import EventLog, append_events
from features.settings import Settings
from pipelines.imports import sending
from pipelines.imports.sending import LOOK_S, ROOM, STALLED_S, TOPIC, Pace, Sent
from pipelines.stream.sources import name_of

SIZE = 30_000
CHANCE = Random(1)
KEPT = 5 * 1024 * 1024


def large() -> bytes:
    """An event that can't be compressed."""
    return CHANCE.randbytes(SIZE)


@pytest.fixture
def settings(kafka_of_ones_own: EmbeddedBroker, tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, kafka=kafka_of_ones_own.bootstrap)


@pytest.fixture
def producer(settings: Settings) -> Iterator[Producer]:
    made = Producer(settings.kafka)
    yield made
    made.close()


class Reader:
    """Whenever the import waits, it puts all that came since into the event log."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.waits = settings, 0
        self.source = EventLog(settings.data).source(name_of(settings.kafka, TOPIC))

    def __call__(self, _seconds: float) -> None:
        self.waits += 1
        read = self.source.ends()
        for partition, last in last_offsets(self.settings.kafka, TOPIC).items():
            if last > read.get(partition, 0):
                append_events(self.source, partition, read.get(partition, 0), last, [])


def test_more_than_the_broker_holds_is_sent_as_fast_as_it_is_read(
    settings: Settings, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(settings)
    monkeypatch.setattr(sending, "Pace", partial(Pace, sleep=reader))
    sent = Sent(settings, producer)
    for number in range(3 * KEPT // SIZE):
        sent.send(b"k", large())
        if number % 10 == 9:
            sent.check()
    sent.check(last=True)
    assert max(first_offsets(settings.kafka, TOPIC).values()) > 0, "the broker forgot some, all of them read"
    assert reader.waits >= 3 * KEPT // ROOM - 3


def test_where_nothing_reads_it_waits_a_while_once_and_then_goes_on(settings: Settings, producer: Producer) -> None:
    waited: list[float] = []
    pace = Pace(settings, sleep=waited.append)
    for _ in range(ROOM // SIZE + 1):
        pace.sent(b"k", event := large())
        producer.send(TOPIC, b"k", event)
    producer.flush(60)
    assert pace.due
    pace.wait()
    assert sum(waited) == pytest.approx(STALLED_S, abs=2 * LOOK_S)
    assert not pace.due
    pace.wait()
    assert sum(waited) == pytest.approx(STALLED_S, abs=2 * LOOK_S)


def test_what_was_forgotten_before_it_was_read_is_an_error(settings: Settings, producer: Producer) -> None:
    for _ in range(2 * KEPT // SIZE):
        producer.send(TOPIC, b"k", large())
    producer.flush(60)
    with pytest.raises(Unavailable, match="forgot events that nothing had read"):
        Pace(settings).wait()
