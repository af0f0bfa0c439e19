"""Reads records from Kafka for a reader that keeps its positions itself, beside its state."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from msgspec import Struct

from features.errors import KindredError, OffsetOutOfRange, Unavailable

T = TypeVar("T")
Place = tuple[str, int]  # topic, partition
OnAssign = Callable[[list[Place]], dict[Place, int]]
OnRevoke = Callable[[list[Place]], None]

logger = logging.getLogger("kindred.kafka.consumer")

_OUT_OF_RANGE = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}
_TRANSIENT = {KafkaError._MAX_POLL_EXCEEDED, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT}


class Record(Struct, frozen=True, gc=False):
    """One record as it lies in a partition; `timestamp_ms` is ms UTC, -1 where it has none."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: tuple[tuple[str, bytes | None], ...]


class Consumer:
    """One member of a consumer group that starts where its own store says, never where Kafka would.

    The range strategy gives one worker the same partition numbers of every topic, so that a bucket's events and its
    re-keyed ones meet; and being eager it hands over the whole assignment at once, so a claim sees all of it.
    Use it from one thread.
    """

    def __init__(self, bootstrap: str, group: str, fetch_wait_ms: int = 10, session_timeout_ms: int = 10_000) -> None:
        self._bootstrap = bootstrap
        self._starts: dict[Place, int] = {}
        self._revoked: set[Place] = set()
        self._failure: KindredError | None = None
        self._kafka = confluent_kafka.Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "client.id": "kindred",
                "reconnect.backoff.max.ms": 500,
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "partition.assignment.strategy": "range",
                "fetch.wait.max.ms": fetch_wait_ms,
                "session.timeout.ms": session_timeout_ms,
                "heartbeat.interval.ms": session_timeout_ms // 4,  # the default, 3 s, outlasts a short session
            },
            logger=logger,
        )

    def subscribe(self, topics: Sequence[str], on_assign: OnAssign, on_revoke: OnRevoke) -> None:
        """Joins the group; both callbacks run inside `poll_batch` (and `close`), on its thread.

        Args:    on_assign: given the partitions that are now this worker's, returns the offset to start each from;
                 on_revoke: given the partitions that are no longer its own, whether given up in order or lost.
        """

        def assigned(_kafka: confluent_kafka.Consumer, places: list[TopicPartition]) -> None:
            self._assign([(place.topic, place.partition) for place in places], on_assign)

        def revoked(_kafka: confluent_kafka.Consumer, places: list[TopicPartition]) -> None:
            gone = [(place.topic, place.partition) for place in places]
            self._revoked.update(gone)
            for place in gone:
                self._starts.pop(place, None)
            on_revoke(gone)

        self._kafka.subscribe(list(topics), on_assign=assigned, on_revoke=revoked, on_lost=revoked)

    def poll_batch(self, max_records: int, timeout_s: float) -> list[Record]:
        """Up to `max_records` records: waits at most `timeout_s` for the first and for no other; empty where none came.

        Raises:  OffsetOutOfRange: a start offset isn't in the log; Unavailable: Kafka refuses, with its reason;
                 and whatever a callback raises. An error after records of the same poll comes with the next call.
        """
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        messages = self._messages(max_records, timeout_s)
        failed = [message for message in messages if message.error() is not None]
        records = [_record(message) for message in messages if not failed or message.error() is None]
        for error in (found for message in failed if (found := self._error(message)) is not None):
            if not records:
                raise error
            self._failure = self._failure or error
        return records

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """The next record of an assigned partition will be the one at `offset`; what was fetched ahead is dropped.

        Raises:  Unavailable: the partition isn't this worker's any more.
        """
        self._call(self._kafka.seek, TopicPartition(topic, partition, offset))
        self._starts[topic, partition] = offset

    def pause(self, places: Sequence[Place]) -> None:
        """Reads nothing more from these partitions, and stays their owner."""
        self._call(self._kafka.pause, [TopicPartition(*place) for place in places])

    def resume(self, places: Sequence[Place]) -> None:
        """Reads on where `pause` stopped."""
        self._call(self._kafka.resume, [TopicPartition(*place) for place in places])

    def watermarks(self, topic: str, partition: int, timeout_s: float = 5.0) -> tuple[int, int]:
        """The lowest offset still kept, and the one that the next record will get; asks the broker.

        Raises:  Unavailable: with the servers.
        """
        place = TopicPartition(topic, partition)
        found = self._call(lambda: self._kafka.get_watermark_offsets(place, timeout=timeout_s))
        if found is None:
            raise Unavailable(f"Kafka at {self._bootstrap} didn't say the offsets of {topic}[{partition}] in time")
        low, high = found
        return low, high

    def lag(self) -> dict[Place, int]:
        """Records that wait, by assigned partition, as of the last fetch; those not fetched from yet are left out."""
        places = self._call(self._kafka.position, [TopicPartition(*place) for place in self._starts])
        waiting = {}
        for place in places:
            _, high = self._kafka.get_watermark_offsets(place, cached=True)
            at = place.offset if place.offset >= 0 else self._starts[place.topic, place.partition]
            if high >= 0:
                waiting[place.topic, place.partition] = max(0, high - at)
        return waiting

    def commit_for_dashboards(self, positions: dict[Place, int]) -> None:
        """Tells Kafka how far this group is, for lag dashboards only: no reader ever starts from it. Doesn't wait."""
        places = [TopicPartition(topic, partition, offset) for (topic, partition), offset in positions.items()]
        if places:
            self._call(lambda: self._kafka.commit(offsets=places, asynchronous=True))

    def close(self) -> None:
        """Leaves the group; its partitions are revoked first."""
        self._kafka.close()

    def _assign(self, places: list[Place], on_assign: OnAssign) -> None:
        """Were nothing assigned after a failure, librdkafka would go on from the offsets committed for dashboards."""
        try:
            starts = on_assign(places)
            self._kafka.assign([TopicPartition(*place, starts[place]) for place in places])
        except BaseException:
            self._kafka.assign([])
            raise
        self._starts = {place: starts[place] for place in places}

    def _messages(self, max_records: int, timeout_s: float) -> list[Message]:
        """`consume` drops by itself what a rebalance in its midst made stale; the polled one is ours to drop."""
        first = self._call(self._kafka.poll, timeout_s)
        if first is None:
            return []
        self._revoked.clear()
        rest: list[Message] = []
        try:
            if max_records > 1:
                rest = self._call(self._kafka.consume, max_records - 1, 0)
        except Unavailable as error:  # raised now it would take the polled record with it, unread for good
            self._failure = error
        return rest if (first.topic(), first.partition()) in self._revoked else [first, *rest]

    def _error(self, message: Any) -> KindredError | None:
        """What to raise for a message; None for a record and for what passes by itself, which is logged."""
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            return None
        if error.code() in _OUT_OF_RANGE:
            return OffsetOutOfRange(message.topic(), message.partition())
        if error.retriable() or error.code() in _TRANSIENT:
            logger.warning("Kafka at %s: %s", self._bootstrap, error.str())
            return None
        return Unavailable(f"Kafka at {self._bootstrap}: {error.str()}")

    def _call(self, call: Callable[..., T], *args: object) -> T:
        try:
            return call(*args)
        except KafkaException as error:
            raise Unavailable(f"Kafka at {self._bootstrap}: {error.args[0].str()}") from error


def _record(message: Any) -> Record:  # to the stubs of confluent_kafka every part of a message may be None
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.key(),
        message.value(),
        message.timestamp()[1],
        tuple(message.headers() or ()),
    )
