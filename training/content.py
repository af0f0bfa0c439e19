"""What is known of an item before anybody has met it: its catalogue entry as a row of named columns.

A column is `category:toys`, `tag:wooden`, `brand:acme` (an attribute), `word:lantern` (of the title), or a band of a
number: `price GBP~2.5..4.0`. A name says all that is needed to fill its column, so that items that come later get their
rows from the names that a model was fitted with.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_matrix

from features.items import Item
from models.interactions import Content, IdMap, Interactions

_WORD = re.compile(r"[^\W_]{2,}")
_BAND = re.compile(r"(.+)~(-?[\d.e+-]*?)\.\.(-?[\d.e+-]*)")
_DIVIDER = re.compile(r"\s*(?:[>/|])\s*")

Numbers = dict[str, float]
Bands = Mapping[str, Sequence[tuple[float, float, int]]]


@dataclass(frozen=True)
class ContentConfig:
    """Which columns there are: those that `least` items share, at most `most_share` of all items, the `most` commonest.

    A column of one item says nothing of others. `bands`: of equal numbers of items, for prices and other numbers.
    """

    least: int = 2
    most_share: float = 0.5
    most: int = 20_000
    bands: int = 8


def content(items: IdMap, catalogue: Iterable[Item], config: ContentConfig | None = None) -> Content:
    """What the catalogue says of the items, a row each; all zeros where it says nothing of one.

    Args:    items: the rows; catalogue: any items in any order, the last entry of an id counts. The columns are chosen
             by the items of the map alone.
    """
    chosen = _entries(items, catalogue)
    return _filled(_names(chosen, config or ContentConfig()), chosen)


def with_content(interactions: Interactions, catalogue: Sequence[Item]) -> Interactions:
    """The same interactions over all items of the catalogue, those included that nobody has met, with their content."""
    items = IdMap.of([*interactions.items.ids, *(item.item_id for item in catalogue)])
    place = items.rows(interactions.items.ids)
    histories = replace(interactions.histories, items=place[interactions.histories.items], n_items=len(items))
    return replace(interactions, items=items, histories=histories, content=content(items, catalogue), contexts=None)


def content_like(names: Sequence[str], items: IdMap, catalogue: Iterable[Item]) -> Content:
    """The same with the columns of an earlier content(), for items that came after it."""
    return _filled(tuple(names), _entries(items, catalogue))


def _entries(items: IdMap, catalogue: Iterable[Item]) -> list[Item | None]:
    entries: list[Item | None] = [None] * len(items)
    for item in catalogue:
        if (row := items.row(item.item_id)) >= 0:
            entries[row] = item
    return entries


def _names(entries: Sequence[Item | None], config: ContentConfig) -> tuple[str, ...]:
    """Of the columns with enough items the commonest, ties by name; in order of the name."""
    shared: dict[str, int] = {}
    values: dict[str, list[float]] = {}
    for item in entries:
        if item is None:
            continue
        for token in _tokens(item):
            shared[token] = shared.get(token, 0) + 1
        for key, value in _numbers(item).items():
            values.setdefault(key, []).append(value)
    most = max(config.least, config.most_share * len(entries))
    kept = sorted((-count, token) for token, count in shared.items() if config.least <= count <= most)
    bands = [name for key in sorted(values) for name in _cut(key, values[key], config)]
    return tuple(sorted({*bands, *(token for _, token in kept[: max(config.most - len(bands), 0)])}))


def _cut(key: str, values: Sequence[float], config: ContentConfig) -> list[str]:
    """The bands of one number, by quantiles; none where it never varies."""
    inner = np.unique(np.quantile(values, np.linspace(0, 1, config.bands + 1)[1:-1]).round(6))
    inner = inner[inner > min(values)]
    if not len(inner):
        return []
    edges = ["", *(repr(float(edge)) for edge in inner), ""]
    return [f"{key}~{low}..{high}" for low, high in pairwise(edges)]


def _filled(names: tuple[str, ...], entries: Sequence[Item | None]) -> Content:
    columns = {name: column for column, name in enumerate(names)}
    bands = _bands(names)
    rows = [_row(item, columns, bands) for item in entries]
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    indices = np.array([column for row in rows for column in row], dtype=np.int32)
    ones = np.ones(len(indices), dtype=np.float32)
    return Content(names, csr_matrix((ones, indices, indptr), shape=(len(entries), len(names))))


def _row(item: Item | None, columns: Mapping[str, int], bands: Bands) -> list[int]:
    if item is None:
        return []
    found = {columns[token] for token in _tokens(item) if token in columns}
    for key, value in _numbers(item).items():
        found |= {column for low, high, column in bands.get(key, ()) if low <= value < high}
    return sorted(found)


def _bands(names: Sequence[str]) -> Bands:
    bands: dict[str, list[tuple[float, float, int]]] = {}
    for column, name in enumerate(names):
        if found := _BAND.fullmatch(name):
            key, low, high = found.groups()
            bands.setdefault(key, []).append((float(low or "-inf"), float(high or "inf"), column))
    return bands


def _tokens(item: Item) -> set[str]:
    """Everything of an item that is a word or a name."""
    levels = [level for level in _DIVIDER.split(_plain(item.category)) if level]
    found = {f"category:{' > '.join(levels[:depth])}" for depth in range(1, len(levels) + 1)}
    found |= {f"tag:{_plain(tag)}" for tag in item.tags if _plain(tag)}
    found |= {f"word:{word}" for word in _WORD.findall(_plain(item.title)) if not word.isdigit()}
    for key, value in item.attributes.items():
        if isinstance(value, bool):
            found.add(f"{key}:{str(value).lower()}")
        elif isinstance(value, str) and _plain(value):
            found.add(f"{key}:{_plain(value)}")
    return found


def _numbers(item: Item) -> Numbers:
    """Everything of an item that is a number; a price by its currency."""
    found = {
        key: float(value)
        for key, value in item.attributes.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    if item.price is not None:
        found[f"price {item.currency}".rstrip()] = item.price
    return {key: value for key, value in found.items() if np.isfinite(value)}


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()
