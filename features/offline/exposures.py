"""The log of exposures, and frames of it: what was served with which propensity, and what became of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from features.exposures import Exposure
from features.offline.frames import EVENTS, query, view
from features.offline.log import EventLog
from features.offline.segments import Piece, Segments

WITHIN_MS = 7 * 86_400_000

PLACES = pa.list_(
    pa.struct(
        [
            ("item_id", pa.string()),
            ("position", pa.int32()),
            ("score", pa.float64()),
            ("propensity", pa.float64()),
            ("source", pa.string()),
        ]
    )
)
SCHEMA = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("available_at", pa.int64()),
        ("event_time", pa.int64()),
        ("request_id", pa.string()),
        ("customer", pa.string()),
        ("placement", pa.string()),
        ("policy", pa.string()),
        ("seed", pa.int64()),
        ("eligible", pa.list_(pa.string())),
        ("slate", PLACES),
        ("model", pa.string()),
        ("model_version", pa.string()),
        ("experiment", pa.string()),
        ("experiment_variant", pa.string()),
        ("variant", pa.string()),
        ("as_of", pa.int64()),
        ("degraded", pa.list_(pa.string())),
    ]
)

_EMPTY = """
SELECT 0::BIGINT AS available_at, 0::BIGINT AS event_time, ''::VARCHAR AS request_id, ''::VARCHAR AS customer,
       ''::VARCHAR AS placement, ''::VARCHAR AS policy, 0::BIGINT AS seed, []::VARCHAR[] AS eligible,
       []::STRUCT(item_id VARCHAR, "position" INTEGER, score DOUBLE, propensity DOUBLE, source VARCHAR)[] AS slate,
       ''::VARCHAR AS model, ''::VARCHAR AS model_version, ''::VARCHAR AS experiment,
       ''::VARCHAR AS experiment_variant, ''::VARCHAR AS variant, 0::BIGINT AS as_of, []::VARCHAR[] AS degraded
WHERE false
"""
_PLACED = """
SELECT request_id, event_time AS timestamp, customer, placement, policy, seed, model, model_version, experiment,
       experiment_variant, variant, place.item_id AS item_id, place."position" AS "position", place.score AS score,
       place.propensity AS propensity, place.source AS source, len(eligible) AS eligible
FROM (SELECT *, unnest(slate) AS place FROM shown WHERE event_time >= $since AND event_time < $until)
"""
_ORDER = 'ORDER BY timestamp, request_id, "position"'

# A list that names no items was seen whole. What happened is asked once a request and item, however often it did.
_OUTCOMES = f"""
WITH placed AS ({_PLACED}),
told AS (
    SELECT request_id, event, happened, unnest(CASE WHEN len(items) = 0 THEN [NULL] ELSE items END) AS item_id
    FROM (SELECT TRY(json_extract_string(decode(value), '$.properties.request_id')) AS request_id, event,
                 event_time AS happened, list_transform(items, lambda line: line.item_id) AS items
          FROM log
          WHERE NOT duplicate AND event IN ('Product List Viewed', 'Product Clicked', 'Order Completed')
            AND event_time >= $since AND event_time - $within < $until
            AND (trusted OR NOT $trusted_orders OR event <> 'Order Completed'))
    WHERE request_id IS NOT NULL
),
became AS (
    SELECT placed.request_id, placed."position",
           bool_or(event = 'Product List Viewed') AS seen,
           bool_or(event = 'Product Clicked') AS clicked,
           bool_or(event = 'Order Completed') AS bought
    FROM placed JOIN told
      ON told.request_id = placed.request_id AND told.happened < placed.timestamp + $within
     AND (told.item_id = placed.item_id OR (told.item_id IS NULL AND told.event = 'Product List Viewed'))
    GROUP BY ALL
)
SELECT placed.*, coalesce(seen, false) AS seen, coalesce(clicked, false) AS clicked, coalesce(bought, false) AS bought
FROM placed LEFT JOIN became USING (request_id, "position")
{_ORDER}
"""  # noqa: S608 - our own text


class LoggedExposure(NamedTuple):
    """One exposure, where it stands in its source, and when it became known (ms UTC)."""

    partition: int
    offset: int
    available_at: int
    exposure: Exposure


class ExposureLog(EventLog):
    """All exposures by source, in folders as the event log has them."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.folder = data / "exposures"


def append_exposures(log: Segments, ranges: Mapping[int, tuple[int, int]], rows: list[LoggedExposure]) -> None:
    """Write offsets [start, end) by partition, a segment each; rows holds those of them that were accepted, in order.

    Rows and the day that they are filed under follow from the source alone, so whoever writes them again agrees.
    """
    pieces = []
    for partition, (start, end) in sorted(ranges.items()):
        mine = [row for row in rows if row.partition == partition]
        day = mine[0].available_at if mine else 0
        table = pa.Table.from_pylist([_row(row) for row in mine], schema=SCHEMA)
        pieces.append(Piece(partition, start, end, day, table))
    log.append_all(pieces)


def exposures(log: ExposureLog, since: int | None = None, until: int | None = None) -> pd.DataFrame:
    """Every place of every slate served in [since, until).

    Args:    since, until: ms UTC; None is unbounded.
    Returns: request_id str, timestamp int64 ms UTC, customer str (raw id, empty where nobody was named), placement,
             policy, seed, model, model_version, experiment, experiment_variant, variant, item_id, position int (from
             1), score, propensity float64, source, eligible int (how many items were drawn from, 0 where none were);
             by time, request, position.
    """
    return query({"shown": view(log, _EMPTY)}, f"{_PLACED} {_ORDER}", _window(since, until))


def outcomes(
    log: ExposureLog,
    events: EventLog,
    since: int | None = None,
    until: int | None = None,
    within: int = WITHIN_MS,
    trusted_orders: bool = False,
) -> pd.DataFrame:
    """The same places, with what became of them: what `Product List Viewed`, `Product Clicked` and `Order Completed`
    with the same request_id say, within so long (ms) after the slate was served.

    Args:    trusted_orders: take orders of secret keys only; a browser may claim any.
    Returns: the columns of `exposures`, then seen, clicked, bought, bool each. A click says nothing about `seen`: only
             the list itself does.
    """
    window = _window(since, until) | {"within": within, "trusted_orders": trusted_orders}
    return query({"shown": view(log, _EMPTY), "log": view(events, EVENTS)}, _OUTCOMES, window)


def _window(since: int | None, until: int | None) -> dict[str, int | bool]:
    return {"since": since or 0, "until": 2**62 if until is None else until}


def _row(row: LoggedExposure) -> dict[str, object]:
    shown = row.exposure
    model, experiment = shown.model, shown.experiment
    return {
        "partition": row.partition,
        "offset": row.offset,
        "available_at": row.available_at,
        "event_time": round(shown.timestamp.timestamp() * 1000),
        "request_id": shown.request_id,
        "customer": shown.customer,
        "placement": shown.placement,
        "policy": shown.policy,
        "seed": shown.seed,
        "eligible": list(shown.eligible),
        "slate": [
            {name: getattr(place, name) for name in ("item_id", "position", "score", "propensity", "source")}
            for place in shown.slate
        ],
        "model": model.name if model else "",
        "model_version": model.version if model else "",
        "experiment": experiment.key if experiment else "",
        "experiment_variant": experiment.variant if experiment else "",
        "variant": shown.variant,
        "as_of": round(shown.as_of.timestamp() * 1000) if shown.as_of else 0,
        "degraded": list(shown.degraded),
    }
