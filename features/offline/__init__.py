"""The event log in Parquet, which is the truth that everything else can be rebuilt from, and frames read from it."""

from features.offline.exposures import ExposureLog, LoggedExposure, append_exposures, exposures, outcomes
from features.offline.frames import interactions, known_messages, message_keys, summary
from features.offline.identity import component_ids, read_edges
from features.offline.log import (
    EventLog,
    ItemLog,
    LoggedEvent,
    LoggedItem,
    append_columns,
    append_events,
    append_items,
    append_partitions,
    read_columns,
    read_events,
    read_items,
)
from features.offline.segments import Segments
from features.offline.training import training_frame

__all__ = [
    "EventLog",
    "ExposureLog",
    "ItemLog",
    "LoggedEvent",
    "LoggedExposure",
    "LoggedItem",
    "Segments",
    "append_columns",
    "append_events",
    "append_exposures",
    "append_items",
    "append_partitions",
    "component_ids",
    "exposures",
    "interactions",
    "known_messages",
    "message_keys",
    "outcomes",
    "read_columns",
    "read_edges",
    "read_events",
    "read_items",
    "summary",
    "training_frame",
]
