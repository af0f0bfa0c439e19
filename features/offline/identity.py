"""Who belonged together when, from the event log."""

from collections.abc import Collection, Mapping
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.components import Graph, Knowledge
from features.events import decode
from features.identity import Edge, edges_of
from features.offline.log import EventLog
from features.offline.planning import Segment

_TOLD = ["partition", "offset", "event", "duplicate"]
_DRAWING = pa.array(["identify", "alias"])


def read_edges(log: EventLog, since: Mapping[str, Mapping[int, int]] | None = None) -> list[Edge]:
    """All edges that count, sorted, each once; duplicate events are left out.

    Args:    since: by source and partition an offset that segments are left out below; None is all.
    """
    found: set[Edge] = set()
    for source in log.sources():
        known = {} if since is None else since.get(source.name, {})
        for _, drawn in source.each(partial(_drawn, known)):
            for available_at, raw in drawn:
                event = decode(raw, available_at)
                found.update(edge for edge in edges_of(event, raw, available_at) if edge.counts)
    return sorted(found)


def _drawn(known: Mapping[int, int], segment: Segment) -> list[tuple[int, bytes]]:
    """When each event that may draw edges became known, and its bytes: these are read only where there are some."""
    if segment.end <= known.get(segment.partition, 0):
        return []
    with pq.ParquetFile(segment.path) as file:
        groups = segment.groups(file.metadata)
        told = segment.of(file.read_row_groups(groups, _TOLD))
        wanted = pc.and_(pc.is_in(told["event"], _DRAWING), pc.invert(told["duplicate"]))
        if not pc.any(wanted).as_py():
            return []
        rows = segment.of(file.read_row_groups(groups, [*_TOLD[:2], "available_at", "value"])).filter(wanted)
        return list(zip(rows["available_at"].to_pylist(), rows["value"].to_pylist(), strict=True))


def component_ids(labels: pd.DataFrame, edges: Collection[Edge], knowledge: Knowledge = "then") -> pd.DataFrame:
    """For each label the raw ids whose states make up its customer at that time.

    Args:    labels: user str (a raw id: `u:...` or `a:...`), as_of int64 ms UTC; knowledge: "final" also uses edges
             that had happened by as_of and became known later.
    Returns: label int64 (row of `labels`, from 0), customer str; by label, then customer; at least one row a label.
    """
    graph = Graph(edges)
    users, times = labels["user"].to_numpy(dtype=object), labels["as_of"].to_numpy(dtype=np.int64)
    joined = np.flatnonzero(labels["user"].isin(graph.ids()).to_numpy())
    members = [graph.at(int(times[label]), knowledge).component(users[label]).members for label in joined]
    sizes = np.ones(len(labels), dtype=np.int64)
    sizes[joined] = [len(ids) for ids in members]
    customers = np.repeat(users, sizes)
    rows = np.repeat(np.arange(len(labels)), sizes)
    customers[np.isin(rows, joined)] = [member for ids in members for member in ids]
    return pd.DataFrame({"label": rows, "customer": pd.Series(customers, dtype="str")})
