"""Puts records into Kafka: one client a process, safe from every thread, told about each record's fate."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message

from features.errors import BadInput, Overloaded, Unavailable
from features.kafka.topics import metadata

Headers = Sequence[tuple[str, bytes]]
Done = Callable[[Exception | None], None]

logger = logging.getLogger("kindred.kafka.producer")


class Producer:
    """Keys are placed by murmur2 as Java's clients do; a record counts as sent once all in-sync replicas have it.

    Retries never duplicate or reorder a record (idempotence). At most `max_queued` records or 64 MiB wait.
    """

    def __init__(
        self, bootstrap: str, linger_ms: float = 5, delivery_timeout_ms: int = 5_000, max_queued: int = 100_000
    ) -> None:
        self._bootstrap = bootstrap
        self._kafka = confluent_kafka.Producer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": "kindred",
                "reconnect.backoff.max.ms": 500,  # the default, 10 s, outlasts the delivery timeout
                "partitioner": "murmur2_random",
                "acks": "all",
                "enable.idempotence": True,
                "compression.type": "zstd",
                "linger.ms": linger_ms,
                "delivery.timeout.ms": delivery_timeout_ms,
                "queue.buffering.max.messages": max_queued,
                "queue.buffering.max.kbytes": 64 * 1024,
            },
            logger=logger,
        )
        self._closing = threading.Event()
        self._poller = threading.Thread(target=self._serve, name="kafka-producer", daemon=True)
        self._poller.start()

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers = (), on_done: Done | None = None
    ) -> None:
        """Queues one record and returns at once; `on_done` is called on another thread with None or what went wrong.

        Args:    key: None spreads records over the partitions; value: None deletes the key from a compacted topic.
        Raises:  Overloaded: the local queue is full; BadInput: the record is larger than Kafka takes;
                 Unavailable: the client can't go on. `on_done` isn't called then.
        """

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if on_done is not None:
                on_done(None if error is None else self._failure(error))

        try:
            self._kafka.produce(topic, value, key, headers=list(headers), on_delivery=delivered)
        except BufferError as error:
            raise Overloaded(f"the queue to Kafka at {self._bootstrap} is full: send less, or again later") from error
        except KafkaException as error:
            raise self._failure(error.args[0]) from error

    async def send_wait(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers = ()) -> None:
        """Sends one record and returns once Kafka has acknowledged it.

        Raises:  as `send`; Unavailable: no acknowledgement within the delivery timeout.
        """
        loop = asyncio.get_running_loop()
        acknowledged: asyncio.Future[None] = loop.create_future()

        def settle(error: Exception | None) -> None:
            if acknowledged.done():  # the caller has gone away meanwhile
                return
            if error is None:
                acknowledged.set_result(None)
            else:
                acknowledged.set_exception(error)

        self.send(topic, key, value, headers, lambda error: _tell(loop, settle, error))
        await acknowledged

    def flush(self, timeout_s: float = 10.0) -> None:
        """Waits until every record sent so far has its answer.

        Raises:  Unavailable: some have none within the timeout.
        """
        if left := self._kafka.flush(timeout_s):
            raise Unavailable(f"Kafka at {self._bootstrap} hasn't answered for {left} records after {timeout_s:g} s")

    def close(self, timeout_s: float = 5.0) -> None:
        """Flushes and ends the client; records that have no answer by then are given up, and counted in the log."""
        left = self._kafka.flush(timeout_s)
        self._closing.set()
        self._poller.join()
        if left:
            logger.error("%d records were not acknowledged by Kafka at %s and are lost", left, self._bootstrap)

    def _serve(self) -> None:
        """Delivery reports wait until somebody polls; a caller's broken callback must not end the polling."""
        while not self._closing.is_set():
            try:
                self._kafka.poll(0.1)
            except Exception:
                logger.exception("a delivery callback failed")

    def _failure(self, error: KafkaError) -> Exception:
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return BadInput(f"the record is larger than Kafka takes: {error.str()}", "value")
        return Unavailable(f"Kafka at {self._bootstrap} didn't acknowledge a record: {error.str()}")


def is_up(bootstrap: str, timeout_s: float = 2.0) -> tuple[bool, str]:
    """Whether Kafka answers, and what to tell a person about it: its size, or what is wrong."""
    try:
        cluster = metadata(bootstrap, timeout_s)
    except Unavailable as error:
        return False, str(error)
    return True, f"Kafka at {bootstrap}: {len(cluster.brokers)} broker(s), {len(cluster.topics)} topics"


def _tell(loop: asyncio.AbstractEventLoop, settle: Done, error: Exception | None) -> None:
    if not loop.is_closed():  # nobody waits any more once the loop has ended
        loop.call_soon_threadsafe(settle, error)
