"""The files of a benchmark as frames: interactions, a test part, prefixes of sessions, and categories if any."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from features.errors import BadInput
from pipelines.imports.cells import categoriser, identifier, text
from pipelines.imports.columns import EVENT_TARGETS, Mapping, bind
from pipelines.imports.interactions import interactions_from
from pipelines.imports.lines import Refused
from pipelines.imports.rows import Rows
from training.datasets import Frame
from training.splits import Protocol

PREFIX_TARGETS = ("prefix", "next_item_id")


@dataclass(frozen=True)
class Files:
    """What was read: `test` where the protocol has a second file; `categories` by item id, empty where unknown."""

    train: Frame
    test: Frame | None
    categories: dict[str, str]


def read(interactions: Path, test: Path | None, mapping: Mapping, protocol: Protocol) -> Files:
    """Both files of a benchmark. `--map` names the columns of both; those of a prefix file are PREFIX_TARGETS.

    A test file may lack columns that are mapped (times, events), as long as it says who and what.

    Raises:  BadInput: a file can't be read, or the mapping doesn't fit its columns.
    """
    if protocol != "prefixes":
        tests = None if test is None else _wanted(test, mapping)
        return Files(_interactions(interactions, mapping), tests, categories(interactions, mapping))
    asked = {target: source for target, source in mapping.columns.items() if target in PREFIX_TARGETS}
    rest = {target: source for target, source in mapping.columns.items() if target not in PREFIX_TARGETS}
    plain = replace(mapping, columns=rest)
    tests = None if test is None else prefixes(test, asked)
    return Files(_interactions(interactions, plain), tests, categories(interactions, plain))


def prefixes(path: Path, columns: dict[str, str]) -> Frame:
    """Columns `prefix` and `next_item_id` (str), a row per line.

    Raises:  BadInput: a column isn't there, or a line is broken or lacks one of the two.
    """
    asked: list[tuple[str, str]] = []
    with Rows(path) as rows:
        bound = bind(columns, rows.columns, PREFIX_TARGETS, PREFIX_TARGETS)
        for row in rows:
            if isinstance(row, Refused):
                raise BadInput(f"row {row.number} of {path} is broken: {row.reason}", "test")
            items = row.values.get(bound["prefix"])
            prefix = " ".join(identifier(item, "prefix") for item in items) if isinstance(items, list) else text(items)
            asked.append((prefix, identifier(row.values.get(bound["next_item_id"]), "next_item_id")))
    return pd.DataFrame(asked, columns=list(PREFIX_TARGETS), dtype="str")


def categories(path: Path, mapping: Mapping) -> dict[str, str]:
    """The category of each item, as the file has it last or as the mapping's keywords find it in the title."""
    found: dict[str, str] = {}
    by_title = categoriser(mapping.categories)
    with Rows(path) as rows:
        bound = bind(mapping.columns, rows.columns, EVENT_TARGETS, ("item_id",))
        if "category" not in bound and not (mapping.categories and "title" in bound):
            return found
        for row in rows:
            if isinstance(row, Refused):
                continue
            cells = {name: row.values.get(bound[name]) for name in ("category", "title") if name in bound}
            if category := text(cells.get("category")) or by_title(text(cells.get("title"))):
                found[identifier(row.values.get(bound["item_id"]), "item_id")] = category
    return found


def _interactions(path: Path, mapping: Mapping) -> Frame:
    with Rows(path) as rows:
        return interactions_from(rows, mapping)


def _wanted(path: Path, mapping: Mapping) -> Frame:
    with Rows(path) as rows:
        there = {target: source for target, source in mapping.columns.items() if source in rows.columns}
        return interactions_from(rows, replace(mapping, columns=there))
