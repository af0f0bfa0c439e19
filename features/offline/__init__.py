"""The event log in Parquet, which is the truth that everything else can be rebuilt from, and frames read from it."""

from features.offline.frames import interactions, known_messages, message_keys, summary
from features.offline.log import (
    EventLog,
    ItemLog,
    LoggedEvent,
    LoggedItem,
    append_events,
    append_items,
    read_events,
    read_items,
)
from features.offline.segments import Segments

__all__ = [
    "EventLog",
    "ItemLog",
    "LoggedEvent",
    "LoggedItem",
    "Segments",
    "append_events",
    "append_items",
    "interactions",
    "known_messages",
    "message_keys",
    "read_events",
    "read_items",
    "summary",
]
