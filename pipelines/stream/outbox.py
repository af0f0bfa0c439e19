"""What a batch sends on to Kafka before it may count as taken: dead letters, misplaced events, edges of identity."""

from collections.abc import Callable

from features.errors import BadInput, Overloaded, Unavailable
from features.identity import Edge, edge_to_json
from features.kafka.consumer import Record
from features.kafka.producer import Headers, Producer

DEAD_LETTERS = "events.dead-letter"
CUT_VALUE, CUT_KEY = 500_000, 1_000  # bytes kept of a dead letter that is larger than Kafka takes


class Outbox:
    """Sends on, and waits for Kafka; what it sends may come twice.

    Args:    count: told of each dead letter and of each misplaced event, by keyword.
    """

    def __init__(self, producer: Producer, count: Callable[..., None] = lambda **_: None) -> None:
        self.producer = producer
        self.count = count
        self._waiting = False
        self._failures: list[Exception] = []

    def dead_letter(self, record: Record, reason: str) -> None:
        """A record that can't be taken, with where it lies and why."""
        self.count(dead_letters=1)
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "reason": reason[:1000]}
        headers = [(f"kindred-{name}", str(value).encode(errors="replace")) for name, value in place.items()]
        try:
            self._send(DEAD_LETTERS, record.key, record.value, headers)
        except BadInput:  # it came compressed; all of it is still where the headers say
            key, value = (record.key or b"")[:CUT_KEY], (record.value or b"")[:CUT_VALUE]
            self._send(DEAD_LETTERS, key, value, [*headers, ("kindred-cut", b"1")])

    def rekey(self, record: Record, key: bytes) -> None:
        """A message whose key isn't its customer's lies in a partition that another worker may own."""
        if record.topic == "events.rekey":
            self.dead_letter(record, "the event lies on the wrong partition even after it was sent on")
            return
        try:
            self._send("events.rekey", key, record.value, [(name, value or b"") for name, value in record.headers])
            self.count(rekeyed=1)
        except BadInput as error:
            self.dead_letter(record, str(error))

    def edge(self, edge: Edge) -> None:
        """An edge for the owners of both of its ids."""
        for raw_id in (edge.left, edge.right):
            self._send("identity", raw_id[2:].encode(), edge_to_json(edge), ())

    def delivered(self) -> None:
        """Return once Kafka has whatever was sent on; until then the batch must not count as taken.

        Raises:  Unavailable: it doesn't take it.
        """
        if self._waiting:
            self.producer.flush()
            self._waiting = False
        if self._failures:
            raise Unavailable(f"{len(self._failures)} records couldn't be sent on: {self._failures[0]}")

    def _send(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        self._waiting = True
        try:
            self.producer.send(topic, key, value, headers, self._sent)
        except Overloaded:
            self.producer.flush()
            self.producer.send(topic, key, value, headers, self._sent)

    def _sent(self, error: Exception | None) -> None:
        if error is not None:
            self._failures.append(error)
