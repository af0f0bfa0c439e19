"""A file of interactions as columns, for benchmarks: who met which item, in the order of the file."""

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from features.errors import BadInput
from pipelines.imports.cells import moment, number
from pipelines.imports.columns import EVENT_TARGETS, Mapping, bind
from pipelines.imports.lines import Refused, Row
from pipelines.imports.mapping import Line, Mapper
from pipelines.imports.rows import Rows


def interactions_from(rows: Rows, mapping: Mapping) -> pd.DataFrame:
    """Columns user_id, item_id (str) and, where the file has them, event (str), timestamp (int64 ms UTC), position and
    quantity (float64, positive): one row per line with a customer and an item, in file order, equal lines kept.

    Negative quantities are `Order Refunded`. What is left out is counted by reason in `.attrs["left_out"]`.
    Raises:  BadInput: the mapping doesn't fit the file's columns, or the file can't be read.
    """
    columns = bind(mapping.columns, rows.columns, EVENT_TARGETS, ("user_id|anonymous_id", "item_id"))
    table = _Table(Mapper(mapping, columns, 0), mapping, [name for name in _OPTIONAL if name in columns])
    for row in rows:
        table.take(row)
    return table.frame(with_event=bool({"event", "order_id", "quantity"} & set(columns)) or bool(mapping.event))


_OPTIONAL = ("timestamp", "position", "quantity")


@dataclass
class _Coded:
    """A column of text as codes into its distinct values: four bytes a row."""

    codes: "array[int]" = field(default_factory=lambda: array("i"))
    values: dict[str, int] = field(default_factory=dict)

    def append(self, value: str) -> None:
        self.codes.append(self.values.setdefault(value, len(self.values)))

    def column(self) -> "pd.Series[str]":
        distinct = pd.array(list(self.values), dtype="str")
        return pd.Series(distinct.take(np.frombuffer(self.codes, dtype=np.int32)) if self.codes else distinct)


class _Table:
    """The columns so far."""

    def __init__(self, mapper: Mapper, mapping: Mapping, optional: list[str]) -> None:
        self._mapper = mapper
        self._mapping = mapping
        self._texts = {name: _Coded() for name in ("user_id", "item_id", "event")}
        self._numbers: dict[str, array[Any]] = {name: array("q" if name == "timestamp" else "d") for name in optional}
        self._left_out: Counter[str] = Counter()

    def take(self, row: Row | Refused) -> None:
        try:
            reason = "broken row" if isinstance(row, Refused) else self._row(row)
        except BadInput as error:
            reason = f"bad {error.field}"
        if reason:
            self._left_out[reason] += 1

    def frame(self, with_event: bool) -> pd.DataFrame:
        names = ("user_id", "item_id", "event") if with_event else ("user_id", "item_id")
        columns: dict[str, object] = {name: self._texts[name].column() for name in names}
        kinds = {"q": np.int64, "d": np.float64}
        columns |= {name: np.array(values, dtype=kinds[values.typecode]) for name, values in self._numbers.items()}
        frame = pd.DataFrame(columns)
        frame.attrs["left_out"] = dict(self._left_out)
        return frame

    def _row(self, row: Row) -> str:
        """Takes the row in, or says why it is left out."""
        mapper = self._mapper
        customer = mapper.identity(row, "user_id") or mapper.identity(row, "anonymous_id")
        if not customer:
            return "no customer"
        line = mapper.line(row)
        if not line.is_item:
            return "not an item by its id" if line.item_id else "no item_id"
        numbers = {name: self._number(row, line, name) for name in self._numbers}
        for name, value in zip(self._texts, (customer, line.item_id, line.event), strict=True):
            self._texts[name].append(value)
        for name, value_ in numbers.items():
            self._numbers[name].append(value_)
        return ""

    def _number(self, row: Row, line: Line, name: str) -> float:
        if name == "timestamp":
            return moment(self._mapper.cell(row, name), self._mapping.zone)
        value = line.quantity if name == "quantity" else number(self._mapper.cell(row, name), name)
        if value is None and name == "position":
            raise BadInput("no position", name)
        return 1.0 if value is None else value
