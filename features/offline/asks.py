"""What a frame of the past is asked: checked labels, and the raw ids that each of them meant at its time."""

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from features.columns import Bools
from features.components import Knowledge
from features.errors import BadInput
from features.identity import Edge
from features.offline.identity import component_ids
from features.offline.ranges import places
from features.windows import Ints

_LATEST = 2**42  # ms UTC; seconds and microseconds by mistake fall outside of what any log holds


class Asks(NamedTuple):
    """Distinct (entity, moment) pairs, by entity, then moment.

    An entity is a set of ids whose events are counted as one: usually a single id, and the same customer is another
    entity before and after a merge. Id i is part of the entities `entities[ends[i] : ends[i + 1]]`.
    """

    ids: list[str]
    ends: Ints
    entities: Ints
    entity: Ints  # (n,)
    as_of: Ints  # (n,) ms UTC
    row: Ints  # (labels,) which of the n each label is

    @property
    def n(self) -> int:
        """How many."""
        return len(self.entity)


def moments(labels: pd.DataFrame) -> Ints:
    """(n,) int64 ms UTC of the column `as_of`, which holds whole ms or times with a zone.

    Raises:  BadInput: the column is absent or holds something else.
    """
    column = _column(labels, "as_of", "every label needs a moment, ms UTC or a time with a zone")
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        found = column.dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[ns]").to_numpy()
        times: Ints = found.astype("datetime64[ms]").astype(np.int64)
    elif pd.api.types.is_integer_dtype(column.dtype) or not len(column):
        times = column.to_numpy(dtype=np.int64)
    else:
        raise BadInput(f"as_of must be int ms UTC or a time with a zone, got {column.dtype}", "as_of")
    if len(times) and not 0 <= times.min() <= times.max() < _LATEST:
        raise BadInput("as_of holds a moment that is before 1970 or after 2109; it is counted in ms", "as_of")
    return times


def ids_of(labels: pd.DataFrame, name: str) -> tuple[Ints, list[str]]:
    """An id column as codes and distinct texts; customers as raw ids.

    Args:    name: `user_id` (`u:...`, `a:...`; any other one counts as `u:`) or `item_id`.
    Raises:  BadInput: the column is absent, or holds something that is no id.
    """
    what = {"user_id": "features of customers", "item_id": "features of items"}[name]
    column = _column(labels, name, f"{what} are asked for")
    whole = pd.api.types.is_integer_dtype(column.dtype)
    codes, uniques = pd.factorize(column)
    texts = [str(value) if whole else value for value in uniques]
    for text in texts:
        if not isinstance(text, str) or not text:
            raise BadInput(f"{name} must hold texts, got {text!r}", name)
    if name == "user_id":
        texts = [text if text.startswith(("u:", "a:")) else f"u:{text}" for text in texts]
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}  # `7` and `u:7` are one customer
    return np.array([numbers[text] for text in texts], np.int64)[codes], list(numbers)


def asks_of(
    codes: Ints, ids: list[str], as_of: Ints, edges: Collection[Edge] = (), knowledge: Knowledge = "then"
) -> Asks:
    """Labels as asks.

    Args:    codes: (labels,) index into ids; as_of: (labels,) ms UTC; edges: who belongs together.
    """
    entity, times, row = _distinct(codes, as_of)
    plain = Asks(ids, np.arange(len(ids) + 1), np.arange(len(ids)), entity, times, row)
    return _joined(plain, edges, knowledge) if edges and ids else plain


def _joined(plain: Asks, edges: Collection[Edge], knowledge: Knowledge) -> Asks:
    """The same with a set of raw ids where several belonged together."""
    users = pd.Series(np.array(plain.ids, object)[plain.entity], dtype="str")
    members = component_ids(pd.DataFrame({"user": users, "as_of": plain.as_of}), edges, knowledge)
    label, customer = members["label"].to_numpy(), members["customer"]
    several = np.bincount(label, minlength=plain.n) > 1
    if not several.any():
        return plain
    rows = several[label]
    sets = pd.Series(customer.to_numpy(dtype=object)[rows]).groupby(label[rows]).agg(tuple)
    numbers, names = pd.factorize(sets)
    entity = plain.entity.copy()
    entity[sets.index.to_numpy()] = len(plain.ids) + numbers
    pairs = [(name, number) for number, name in enumerate(plain.ids)]
    pairs += [(raw, len(plain.ids) + number) for number, ids in enumerate(names) for raw in ids]
    raw_codes, raws = pd.factorize(pd.Series([raw for raw, _ in pairs], dtype=object))
    order = np.argsort(raw_codes, kind="stable")
    ends = np.concatenate(([0], np.cumsum(np.bincount(raw_codes, minlength=len(raws))))).astype(np.int64)
    entities = np.array([number for _, number in pairs], np.int64)[order]
    entity, times, row = _distinct(entity, plain.as_of)
    return Asks([str(raw) for raw in raws], ends, entities, entity, times, row[plain.row])


def _distinct(entity: Ints, as_of: Ints) -> tuple[Ints, Ints, Ints]:
    """Each pair once, in order, and where each row's is."""
    first, last = int(as_of.min(initial=_LATEST)), int(as_of.max(initial=0))
    place = places(int(entity.max(initial=0)) + 1, first, max(first, last)).of(entity, as_of)
    order = np.argsort(place)
    entity, times, place = entity[order], as_of[order], place[order]
    new: Bools = np.ones(len(order), np.bool_)
    new[1:] = place[1:] != place[:-1]
    row = np.empty(len(order), np.int64)
    row[order] = np.cumsum(new) - 1
    return entity[new], times[new], row


def _column(labels: pd.DataFrame, name: str, why: str) -> "pd.Series[Any]":
    if name not in labels.columns:
        raise BadInput(f"the labels have no column {name}: {why}", name)
    column = labels[name].reset_index(drop=True)
    if column.isna().any():
        raise BadInput(f"{name} is absent in {int(column.isna().sum())} labels", name)
    return column
