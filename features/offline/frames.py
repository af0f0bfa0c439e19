"""Frames from the event log by DuckDB: what was known when, ready for training and notebooks."""

import contextlib
import glob
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd

from features.offline.files import parts_of
from features.offline.log import EventLog
from features.offline.planning import Segment
from features.weights import WEIGHTS

_INTERACTIONS = """
SELECT customer AS user_id, item.item_id AS item_id, event_time AS timestamp, event, item.quantity AS quantity{more}
FROM (SELECT customer, event_time, event, unnest(items) AS item{more} FROM log
      WHERE NOT duplicate AND event_time >= $since AND event_time < $until AND available_at < $until
        AND list_contains($events, event))
ORDER BY timestamp, user_id, item_id, event, quantity
"""
_SUMMARY = """
SELECT count(*) AS events, count(DISTINCT customer) AS customers, min(event_time) AS since, max(event_time) AS until
FROM log WHERE NOT duplicate
"""
EVENTS = """
SELECT 0::BIGINT AS event_time, 0::BIGINT AS available_at, ''::VARCHAR AS customer, ''::VARCHAR AS message_id,
       ''::VARCHAR AS event, false AS duplicate, false AS trusted, ''::BLOB AS value,
       ''::VARCHAR AS country, ''::VARCHAR AS device,
       []::STRUCT(item_id VARCHAR, quantity DOUBLE, price DOUBLE, category VARCHAR)[] AS items
WHERE false
"""
CONTEXTS = ("country", "device")
_ALWAYS = 2**62
_PLAIN = "hive_partitioning = false"  # or `name=value` in the path to the data becomes a column


def interactions(
    log: EventLog, since: int | None = None, until: int | None = None, contexts: bool = False
) -> pd.DataFrame:
    """Customer x item events with event_time in [since, until) that were known before `until`, duplicates left out.

    Args:    since, until: ms UTC; None is unbounded; contexts: with `country` and `device` too, as categories.
    Returns: user_id str (the raw id: `u:...` or `a:...`), item_id str, timestamp int64 ms UTC, event str,
             quantity float64; by time, then ids.
    """
    window = {"since": since or 0, "until": _ALWAYS if until is None else until, "events": sorted(WEIGHTS)}
    more = "".join(f", {name}" for name in CONTEXTS) if contexts else ""
    frame = _query(log, _INTERACTIONS.replace("{more}", more), window)
    return frame.astype(dict.fromkeys(CONTEXTS, "category")) if contexts else frame


def summary(log: EventLog) -> dict[str, int]:
    """How much there is: events, customers, since and until (ms UTC of the first and last event; 0 when empty)."""
    row = _query(log, _SUMMARY, {}).iloc[0]
    return {str(name): 0 if pd.isna(value) else int(value) for name, value in row.items()}


def known_messages(log: EventLog) -> npt.NDArray[np.uint64]:
    """Sorted 64-bit hashes of (customer, messageId) of every logged event: what an import need not take again."""
    frame = _query(log, "SELECT hash(customer, message_id) AS h FROM log", {})
    return np.sort(frame["h"].to_numpy(dtype=np.uint64))


def message_keys(customers: list[str], message_ids: list[str]) -> npt.NDArray[np.uint64]:
    """The same hash for events at hand, in their order."""
    frame = pd.DataFrame({"customer": customers, "message_id": message_ids})
    with duckdb.connect() as connection:
        connection.register("rows", frame)
        hashed = connection.execute("SELECT hash(customer, message_id) AS h FROM rows").df()
    keys: npt.NDArray[np.uint64] = hashed["h"].to_numpy(dtype=np.uint64)
    return keys


def query(views: Mapping[str, str], sql: str, parameters: dict[str, Any]) -> pd.DataFrame:
    """What DuckDB answers.

    Args:    views: by the name that `sql` calls each: SQL for its rows, as `view` gives it.
    """
    with duckdb.connect() as connection:
        connection.execute("SET threads = 2")
        connection.execute("SET preserve_insertion_order = false")
        with contextlib.suppress(duckdb.InvalidInputException):  # a notebook without widgets has no bar to switch off
            connection.execute("SET enable_progress_bar = false")  # it would go to stdout, into somebody's JSON
        for name, rows in views.items():
            connection.execute(f"CREATE VIEW {name} AS {rows}")
        frame: pd.DataFrame = connection.execute(sql, parameters).df()
    return frame


def view(log: EventLog, empty: str) -> str:
    """SQL for all rows of a log; `empty` is SQL for no row of it."""
    segments = [segment for source in log.sources() for segment in source.plan()]
    return _union(segments) or empty


def _query(log: EventLog, sql: str, parameters: dict[str, Any]) -> pd.DataFrame:
    return query({"log": view(log, EVENTS)}, sql, parameters)


def _union(segments: list[Segment]) -> str:
    """SQL for all planned rows, none for no plan; a file that a plan reads in part gets conditions of its own."""
    whole = _whole(segments)
    files = ", ".join(_quoted(path) for path in whole)
    parts = [f"SELECT * FROM read_parquet([{files}], {_PLAIN})"] if whole else []  # noqa: S608 - our own file names, quoted
    parts += [
        f"SELECT * FROM read_parquet({_quoted(segment.path)}, {_PLAIN}) "  # noqa: S608
        f'WHERE "partition" = {segment.partition} AND "offset" >= {segment.first}'
        for segment in segments
        if segment.path not in whole
    ]
    return " UNION ALL ".join(parts)


def _whole(segments: list[Segment]) -> list[Path]:
    """The files of which a plan reads all."""
    read = Counter(segment.path for segment in segments if segment.first <= segment.start)
    return [path for path, number in read.items() if number == len(parts_of(path.name))]


def _quoted(path: Path) -> str:
    """A path is a pattern to DuckDB; the folder that a person chose may hold a quote, a star or a bracket."""
    return "'" + glob.escape(str(path)).replace("'", "''") + "'"
