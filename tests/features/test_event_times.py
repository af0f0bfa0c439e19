"""When an event is said to have happened, and what the service stamps on it."""

import json
from typing import Any

import msgspec
import pytest

from features.errors import MalformedEvent
from features.events import (
    decode,
    iso,
    stamp,
)
from tests.features.test_events import DAY, NOW, raw, track


def test_times_fall_back_from_timestamp_to_received_at_to_arrival() -> None:
    assert decode(raw(track()), NOW).event_time == NOW
    assert decode(raw(track(receivedAt=iso(NOW - 5))), NOW).event_time == NOW - 5
    event = decode(raw(track(receivedAt=iso(NOW - 5), timestamp=iso(NOW - 9))), NOW)
    assert (event.event_time, event.received_at) == (NOW - 9, NOW - 5)
    assert decode(raw(track(timestamp="2025-12-31T23:00:00")), NOW).event_time == NOW - 3_600_000  # UTC where none said


def test_an_event_never_happened_after_it_arrived_where_that_is_known() -> None:
    ahead = raw(track(timestamp=iso(NOW + DAY), receivedAt=iso(NOW)))
    assert decode(ahead, NOW).event_time == NOW
    assert decode(ahead, NOW + DAY + 1).event_time == NOW + DAY
    assert [decode(ahead, unknown).event_time for unknown in (-1, 0)] == [NOW + DAY] * 2


def test_a_record_without_any_time_is_malformed_and_with_its_own_it_is_not() -> None:
    with pytest.raises(MalformedEvent, match="when it arrived"):
        decode(raw(track()), -1)
    for unknown in (-1, 0):
        assert decode(raw(track(receivedAt=iso(NOW))), unknown).event_time == NOW


def test_a_clock_that_goes_wrong_is_corrected_by_sent_at_as_segment_documents() -> None:
    """The client's clock is an hour ahead; the event happened 10 s before it was sent."""
    ahead = NOW + 3_600_000
    message = track(timestamp=iso(ahead - 10_000), sentAt=iso(ahead))
    written, event = stamp(message, None, NOW, None, "key1")
    assert event.event_time == NOW - 10_000
    assert event.received_at == NOW
    assert msgspec.json.decode(written)["timestamp"] == iso(NOW - 10_000)
    batch = track(originalTimestamp=iso(ahead - 10_000), timestamp=iso(5))
    assert stamp(batch, None, NOW, iso(ahead), "key1")[1].event_time == NOW - 10_000


def test_nothing_happens_after_it_arrives() -> None:
    assert stamp(track(timestamp=iso(NOW + 7 * DAY)), None, NOW, None, "k")[1].event_time == NOW
    assert stamp(track(timestamp=iso(NOW), sentAt=iso(NOW - DAY)), None, NOW, None, "k")[1].event_time == NOW
    with pytest.raises(MalformedEvent) as refused:
        stamp(track(timestamp=iso(NOW), sentAt="9999-01-01T00:00:00Z"), None, NOW, None, "k")
    assert refused.value.field == "sentAt"


def test_stamping_adds_what_the_server_knows_and_takes_away_what_is_secret() -> None:
    message = track(messageId="m1", writeKey="wk_1", integrations={"All": True}, receivedAt="long ago", keyId="forged")
    written, event = stamp(message, "track", NOW, None, "key1")
    body = msgspec.json.decode(written)
    assert (body["receivedAt"], body["keyId"], body["messageId"]) == (iso(NOW), "key1", "m1")
    assert not body.keys() & {"writeKey", "integrations"}
    assert event.message_id == "m1"


def test_the_path_gives_the_type_and_a_missing_message_id_is_made_up() -> None:
    written, event = stamp({"anonymousId": "a1"}, "page", NOW, None, "key1")
    assert event.type == "page"
    assert msgspec.json.decode(written)["messageId"] == event.message_id != ""
    assert decode(raw(track()), NOW).message_id == decode(raw(track()), NOW + 5).message_id


def test_a_message_that_is_no_unicode_or_too_deep_is_malformed_when_stamped() -> None:
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(50_000):
        inner["a"] = {}
        inner = inner["a"]
    for bad in (track(context={"a": "\ud800"}), track(properties=deep, event="x")):
        with pytest.raises(MalformedEvent) as refused:
            stamp(bad, None, NOW, None, "k")
        assert refused.value.field == "event"


def test_a_time_on_the_wire_reads_back_to_the_millisecond() -> None:
    for ms in (0, 1, 250, NOW + 999, 253_402_300_799_999):
        assert decode(raw(track(timestamp=iso(ms), receivedAt=iso(ms))), ms).event_time == ms
    assert iso(NOW + 250) == "2026-01-01T00:00:00.250Z"


def test_no_caller_says_of_itself_that_it_is_trusted_or_by_which_key_it_came() -> None:
    sent = {"type": "identify", "userId": "u1", "anonymousId": "a1", "trusted": True, "keyId": "sk-somebody"}
    browser, _ = stamp(sent, None, NOW, None, "wk-1")
    server, _ = stamp(sent, None, NOW, None, "sk-1", trusted=True)
    assert "trusted" not in json.loads(browser)
    assert json.loads(browser)["keyId"] == "wk-1"
    assert not decode(browser, NOW).trusted
    assert decode(server, NOW).trusted
