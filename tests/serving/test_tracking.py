"""Events and items on their way into Kafka, with a producer that the test holds."""

import asyncio
import json
from typing import Any

import pytest

from features.errors import BadInput, MalformedEvent, Overloaded, Unavailable
from features.kafka.producer import Headers
from serving.auth import Caller
from serving.tracking import Tracker

SERVER = Caller("key1", "secret", frozenset())
BROWSER = Caller("key2", "write", frozenset())
VIEW: dict[str, Any] = {"userId": "u", "event": "Product Viewed", "properties": {"product_id": "i", "odd": 1}}


class Kafka:
    """Keeps what it is sent, or refuses it as told."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal = refusal
        self.sent: list[tuple[str, bytes | None, Any, dict[str, bytes]]] = []

    async def send_wait(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers = ()) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.sent.append((topic, key, json.loads(value or b"null"), dict(headers)))

    def of(self, topic: str) -> list[Any]:
        """Values that a topic got."""
        return [value for name, _, value, _ in self.sent if name == topic]


def one(kafka: Kafka, message: Any, kind: str = "track", caller: Caller = SERVER) -> None:
    """Take one event."""
    asyncio.run(Tracker(kafka).one(kind, message, caller))  # type: ignore[arg-type]


def batch(kafka: Kafka, body: dict[str, Any], caller: Caller = SERVER) -> list[dict[str, Any]]:
    """Take a batch."""
    return asyncio.run(Tracker(kafka).batch(body, caller))  # type: ignore[arg-type]


def items(kafka: Kafka, body: dict[str, Any]) -> int:
    """Take items."""
    return asyncio.run(Tracker(kafka).items(body))  # type: ignore[arg-type]


def test_an_event_is_stamped_keyed_and_sent() -> None:
    kafka = Kafka()
    one(kafka, VIEW | {"writeKey": "wk_x", "messageId": "m"})
    ((topic, key, event, _),) = kafka.sent
    assert (topic, key) == ("events", b"u")
    assert event["type"] == "track"
    assert event["keyId"] == "key1"
    assert event["properties"] == VIEW["properties"]
    assert event["messageId"] == "m"
    assert "writeKey" not in event
    assert event["timestamp"] == event["receivedAt"]


def test_the_path_says_the_type_and_a_visitor_is_keyed_by_anonymous_id() -> None:
    kafka = Kafka()
    one(kafka, {"type": "track", "anonymousId": "v"}, "identify")
    assert kafka.sent[0][1] == b"v"
    assert kafka.sent[0][2]["type"] == "identify"


def test_a_malformed_event_goes_to_the_dead_letters_as_it_came() -> None:
    kafka = Kafka()
    bad = {"userId": "u", "event": "Product Viewed", "odd": [1]}
    with pytest.raises(MalformedEvent) as caught:
        one(kafka, bad)
    assert caught.value.field == "properties.product_id"
    ((topic, _, value, headers),) = kafka.sent
    assert (topic, value) == ("events.dead-letter", bad)
    assert headers["kindred-reason"] == str(caught.value).encode()
    assert headers["kindred-type"] == b"track"


def test_the_size_that_an_event_may_have_depends_on_the_key() -> None:
    kafka = Kafka()
    with pytest.raises(MalformedEvent, match="32768"):
        one(kafka, VIEW | {"context": {"note": "x" * 32_768}}, caller=BROWSER)
    one(kafka, VIEW | {"context": {"note": "x" * 32_768}})
    with pytest.raises(MalformedEvent, match="262144"):
        one(kafka, VIEW | {"context": {"note": "x" * 262_144}})
    assert len(kafka.of("events")) == 1
    assert len(kafka.of("events.dead-letter")) == 2


@pytest.mark.parametrize("failure", [Unavailable("Kafka is away"), Overloaded("full")])
def test_what_kafka_refuses_is_never_called_malformed(failure: Exception) -> None:
    with pytest.raises(type(failure)):
        one(Kafka(failure), VIEW)
    with pytest.raises(type(failure)):
        batch(Kafka(failure), {"batch": [{"type": "track", **VIEW}, "no event"]})
    with pytest.raises(type(failure)):
        items(Kafka(failure), {"items": [{"item_id": "i"}]})


def test_a_batch_takes_what_is_good_and_names_what_is_not() -> None:
    kafka = Kafka()
    refused = batch(kafka, {"batch": [{"type": "track", **VIEW}, {"type": "track", "userId": "u"}, 7], "sentAt": None})
    assert [(entry["index"], entry["field"]) for entry in refused] == [(1, "event"), (2, "event")]
    assert all(entry["message"] for entry in refused)
    assert len(kafka.of("events")) == 1
    assert kafka.of("events.dead-letter") == [{"type": "track", "userId": "u"}, 7]


def test_the_batch_says_when_it_was_sent_for_events_that_do_not() -> None:
    kafka = Kafka()
    late = {"type": "track", **VIEW, "timestamp": "2020-01-01T00:00:00Z"}
    batch(kafka, {"batch": [late, late | {"sentAt": "2020-01-01T00:00:00Z"}], "sentAt": "2020-01-01T01:00:00Z"})
    first, second = kafka.of("events")
    assert first["sentAt"] == "2020-01-01T01:00:00Z"
    assert first["timestamp"] < second["timestamp"] == second["receivedAt"]


def test_a_batch_of_nothing_good_is_refused_with_its_first_reason() -> None:
    kafka = Kafka()
    with pytest.raises(BadInput) as caught:
        batch(kafka, {"batch": [{"type": "track", "userId": "u"}, 7]})
    assert caught.value.field == "batch[0].event"
    assert len(kafka.of("events.dead-letter")) == 2


@pytest.mark.parametrize("body", [{}, {"batch": None}, {"batch": []}, {"batch": {}}, {"batch": [{}] * 2_501}])
def test_what_is_no_batch_is_refused_whole(body: dict[str, Any]) -> None:
    kafka = Kafka()
    with pytest.raises(BadInput) as caught:
        batch(kafka, body)
    assert caught.value.field == "batch"
    assert kafka.sent == []


def test_items_are_sent_under_their_ids_without_what_is_not_theirs() -> None:
    kafka = Kafka()
    assert items(kafka, {"items": [{"item_id": "i", "price": 2.5, "unknown": 1}, {"item_id": "j"}]}) == 2
    assert [(topic, key, value) for topic, key, value, _ in kafka.sent] == [
        ("items", b"i", {"item_id": "i", "price": 2.5}),
        ("items", b"j", {"item_id": "j"}),
    ]


def test_one_wrong_item_refuses_all_and_is_named() -> None:
    kafka = Kafka()
    rows: list[Any] = [{"item_id": "i"}, {"item_id": "j", "price": -1}]
    with pytest.raises(BadInput) as caught:
        items(kafka, {"items": rows})
    assert caught.value.field == "items[1].price"
    assert str(caught.value).startswith("items[1].price: ")
    with pytest.raises(BadInput, match=r"items\[0\]"):
        items(kafka, {"items": ["no item"]})
    assert kafka.sent == []


@pytest.mark.parametrize("rows", [None, [], "x", [{"item_id": "i"}] * 1_001])
def test_what_is_no_list_of_items_is_refused(rows: object) -> None:
    with pytest.raises(BadInput) as caught:
        items(Kafka(), {"items": rows})
    assert caught.value.field == "items"
