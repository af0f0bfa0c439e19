"""Which segments to read so that every offset counts once."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from features.offline.files import MIXED


class Segment(NamedTuple):
    """The offsets [start, end) of a partition in a file that may hold others too; a plan reads it from `first` on."""

    partition: int
    start: int
    end: int
    path: Path
    first: int
    rows: int = 0  # of the whole file, at most

    @property
    def mixed(self) -> bool:
        """Whether the file holds other partitions too."""
        return self.path.name.startswith(MIXED)

    def of(self, table: pa.Table) -> pa.Table:
        """Those rows of the file's that a plan reads."""
        if self.first > self.start:
            table = table.filter(pc.greater_equal(table["offset"], self.first))
        return table.filter(pc.equal(table["partition"], self.partition)) if self.mixed else table

    def groups(self, metadata: Any) -> list[int]:
        """The groups of the file's rows that may hold some of these."""
        found = list(range(metadata.num_row_groups))
        if not self.mixed:
            return found
        column = metadata.schema.names.index("partition")
        told = [metadata.row_group(group).column(column).statistics for group in found]
        return [
            group
            for group, known in zip(found, told, strict=True)
            if known is None or not known.has_min_max or known.min <= self.partition <= known.max
        ]


def planned_of(segments: Iterable[Segment]) -> list[Segment]:
    """The segments to read, by (partition, offset); of equal ones that in the larger file, which replaced the other."""
    planned: list[Segment] = []
    covered: dict[int, int] = {}
    for segment in sorted(segments, key=lambda s: (s.partition, s.start, -s.end, -s.rows, s.path)):
        reached = covered.get(segment.partition, 0)
        if segment.end > reached:
            planned.append(segment._replace(first=max(reached, segment.start)))
            covered[segment.partition] = segment.end
    return planned
