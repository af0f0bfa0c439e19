"""What the stream processor can't take: it is in the dead letters with its reason, or nothing of its batch is taken."""

import json
from typing import Any

import pytest

from features.errors import Unavailable
from features.kafka.consumer import Record
from features.kafka.producer import Producer
from features.kafka.topics import partition_of
from pipelines.stream import DEAD_LETTERS, Processor
from tests.pipelines.stream_truth import keyed, states
from tests.pipelines.stream_world import World
from tests.pipelines.traffic import BASE, viewed


def headers(record: Record) -> dict[str, bytes | None]:
    return dict(record.headers)


def test_a_malformed_event_goes_to_the_dead_letters_with_its_reason_its_place_and_its_bytes(world: World) -> None:
    raw = (
        b'{"type": "track", "userId": "u1", "event": "Product Viewed", "properties": {"product_id": "i1", "price": -1}}'
    )
    world.send(viewed("u0"))
    world.send_raw(raw, b"u1")
    world.pump()
    (letter,) = world.records(DEAD_LETTERS)
    assert (letter.key, letter.value) == (b"u1", raw)
    assert headers(letter)["kindred-topic"] == b"events"
    assert headers(letter)["kindred-partition"] == str(partition_of(b"u1", 16)).encode()
    assert headers(letter)["kindred-offset"] == b"0"
    assert b"properties.price" in (headers(letter)["kindred-reason"] or b"")
    assert list(states(world.client)) == ["u:u0"]
    assert [row.event.customer for row in world.logged()] == ["u:u0"]


def test_a_record_without_a_value_is_a_dead_letter_too(world: World) -> None:
    world.send_raw(None, b"u1")
    world.pump()
    (letter,) = world.records(DEAD_LETTERS)
    assert (letter.key, letter.value) == (b"u1", None)


def test_an_event_that_is_misplaced_even_in_rekey_becomes_a_dead_letter(world: World) -> None:
    raw = json.dumps(viewed("u1")).encode()
    world.send_raw(raw, b"a wrong key", "events.rekey")
    world.pump()
    (letter,) = world.records(DEAD_LETTERS)
    assert letter.value == raw
    assert headers(letter)["kindred-topic"] == b"events.rekey"
    assert states(world.client) == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"i1", b'{"item_id":"i2"}'), (b"i1", b""), (b"i1", b'{"item_id":"i1","price":-1}'), (None, None), (b"i1", b"[")],
)
def test_an_item_that_cannot_be_taken_becomes_a_dead_letter(world: World, key: bytes | None, value: bytes) -> None:
    world.send_raw(value, key, "items")
    world.pump()
    (letter,) = world.records(DEAD_LETTERS)
    assert (letter.key, letter.value or b"") == (key, value or b"")
    assert headers(letter)["kindred-topic"] == b"items"
    assert world.client.hgetall("{items}:all") == {}


class Refusing(Producer):
    """Kafka takes nothing that is sent on, as a flush then finds out."""

    waiting: list[Any]

    def send(self, *args: Any, **_options: Any) -> None:
        self.waiting.append(args[-1])

    def flush(self, timeout_s: float = 10.0) -> None:
        super().flush(timeout_s)
        while self.waiting:
            self.waiting.pop()(Unavailable("no replicas"))


def test_a_batch_whose_dead_letter_kafka_did_not_take_is_not_taken_either(world: World) -> None:
    world.send(viewed("u1"))
    world.send_raw(b"nonsense", b"u1")
    refusing = Refusing(world.settings.kafka)
    refusing.waiting = []
    with pytest.raises(Unavailable, match="no replicas"):
        world.pump(Processor(world.settings, world.client, refusing, lambda: BASE))
    refusing.close(0.1)
    assert states(world.client) == {}
    assert world.logged() == []
    world.pump()
    assert [letter.value for letter in world.records(DEAD_LETTERS)] == [b"nonsense"]
    world.assert_exact()


def test_a_dead_letter_larger_than_kafka_takes_is_cut_and_says_so(world: World) -> None:
    processor = world.pump()
    processor.process([Record("events", 3, 0, b"k" * 5_000, b"x" * 3_000_000, BASE, ())])
    (letter,) = world.records(DEAD_LETTERS)
    assert headers(letter)["kindred-cut"] == b"1"
    assert letter.value == b"x" * 500_000
    assert headers(letter)["kindred-offset"] == b"0"


def test_more_dead_letters_than_the_queue_holds_all_arrive(world: World) -> None:
    small = Producer(world.settings.kafka, linger_ms=0, max_queued=10)
    for number in range(100):
        world.send_raw(b"nonsense %d" % number, b"u1")
    world.pump(Processor(world.settings, world.client, small, lambda: BASE))
    small.close()
    assert {letter.value for letter in world.records(DEAD_LETTERS)} == {b"nonsense %d" % n for n in range(100)}


def test_an_edge_that_cannot_be_read_becomes_a_dead_letter(world: World) -> None:
    world.send_raw(b'{"left": "x"}', b"x", "identity")
    world.pump()
    (letter,) = world.records(DEAD_LETTERS)
    assert headers(letter)["kindred-topic"] == b"identity"
    assert keyed(world.client, "*:e:*") == {}
