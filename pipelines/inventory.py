"""The features as a list: what each means, how many customers or items have it, and how its values lie."""

from typing import Any

import numpy as np

from features.checks import entity_of
from features.feature import Feature
from features.online import Client, customers_of, features_of_everyone, item_features, snapshot, some_items
from features.packing import unpack
from features.reading import evaluate, value_of
from features.table import Table

Row = dict[str, Any]
Values = dict[str, list[Any]]


def definitions(table: Table) -> list[Row]:
    """A row a feature, in the order of the table."""
    return [
        {
            "name": feature.name,
            "entity": feature.entity,
            "definition": describe(feature),
            "type": feature.dtype,
            "unit": feature.unit,
            "default": feature.default,
            "owner": feature.owner,
            "fingerprint": table.fingerprint(name),
            "description": feature.description,
        }
        for name, feature in table.features.items()
    ]


def distributions(client: Client, buckets: int, table: Table, rows: list[Row], sample: int, now: int) -> list[Row]:
    """The rows with `coverage` and `distribution` of live values: of customers, of items, or of all customers as one.

    Coverage is the share of those looked at for whom anything was counted, of items among those ever touched.

    Args:    sample: customers, and likewise items, that are looked at, taken evenly; now: ms UTC.
    """
    values = _of_customers(client, buckets, table, sample, now) | _of_items(client, table, sample, now)
    shared = features_of_everyone(client, table, _named(table, "global"), now)
    values |= {name: [value] for name, value in shared.items()}
    return [row | _told(table.features[row["name"]], values[row["name"]]) for row in rows]


def _of_customers(client: Client, buckets: int, table: Table, sample: int, now: int) -> Values:
    packed: list[bytes] = []
    for bucket, names in customers_of(client, range(buckets), table.generation).items():
        some = names[: -(-sample // buckets)]
        packed += snapshot(client, bucket, table.generation, some).states.values()
    packed = packed[:sample]
    names = _named(table, "customer")
    found = evaluate(table, unpack(packed), np.full(len(packed), now), names)
    return {name: [value_of(table.features[name], found[name], at) for at in range(len(packed))] for name in names}


def _of_items(client: Client, table: Table, sample: int, now: int) -> Values:
    names = _named(table, "item")
    found = item_features(client, table, some_items(client, table, sample), names, now).values()
    return {name: [each[name] for each in found] for name in names}


def _named(table: Table, entity: str) -> list[str]:
    """The features that are read from a state of this entity."""
    return [name for name, feature in table.features.items() if entity_of(feature) == entity]


def describe(feature: Feature) -> str:
    """A definition in one line, as a person would say it."""
    if feature.parts:
        scale = f" * {feature.argument:g}" if feature.argument != 1 else ""
        return f"{feature.parts[0]} / {feature.parts[1]}{scale}"
    what = feature.kind if feature.of in {"one", "time", "tile"} else f"{feature.kind} of {feature.of}"
    parts = [what, f"by {feature.by}" if feature.by else "", _argument(feature)]
    column, comparison, value = feature.where or ("", "", "")
    parts += [f"where {column} {comparison} {value!r}"] if column else []
    parts += [f"of {', '.join(feature.events)}" if feature.events else "of all events", feature.window or "ever"]
    return " ".join(part for part in parts if part)


def _argument(feature: Feature) -> str:
    if feature.kind == "share":
        return f"in {', '.join(map(str, feature.keys))}"
    said = {"quantile": "at {:g}", "decayed": "halved in {:g}d", "recent": "at most {:g}"}
    return said.get(feature.kind, "").format(feature.argument)


def _told(feature: Feature, values: list[Any]) -> Row:
    if not values:
        return {"coverage": "", "distribution": ""}
    there = [value for value in values if value not in (None, 0, 0.0, "", [], {})]
    coverage = f"{len(there) / len(values):.1%}"
    return {"coverage": coverage, "distribution": _lies(feature, there) if there else ""}


def _lies(feature: Feature, values: list[Any]) -> str:
    """Quartiles of numbers, sizes of maps and lists, the commonest texts."""
    if isinstance(values[0], str):
        common = sorted({value: values.count(value) for value in values}.items(), key=lambda each: (-each[1], each[0]))
        return ", ".join(f"{value} {number}" for value, number in common[:3])
    sized = isinstance(values[0], dict | list)
    numbers = [len(value) for value in values] if sized else values
    low, middle, high = np.percentile(numbers, [5, 50, 95])
    kind = "keys " if sized and feature.dtype.startswith("map") else "rows " if sized else ""
    return f"{kind}{low:g} .. {middle:g} .. {high:g}"
