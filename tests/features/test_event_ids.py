"""What names an event that came without a messageId."""

from typing import Any

from features.events import stamp

NOW = 1_790_000_000_000


def named(message: dict[str, Any], received_at: int) -> str:
    return stamp(message, "track", received_at, None, "k")[1].message_id


def test_a_retry_of_an_event_with_a_time_and_no_id_is_the_same_event() -> None:
    message = {
        "event": "Searched",
        "userId": "u",
        "timestamp": "2026-03-01T12:00:00Z",
        "sentAt": "2026-03-01T12:00:01Z",
    }
    retried = {**message, "sentAt": "2026-03-01T12:00:09Z"}
    assert named(message, NOW) == named(retried, NOW + 8_000)
    assert named({**message, "userId": "v"}, NOW) != named(message, NOW)


def test_two_events_without_time_and_id_are_two_events() -> None:
    message = {"event": "Searched", "userId": "u"}
    assert named(message, NOW) != named(message, NOW + 50)
