"""Rows of a catalogue file become item upserts."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from features.errors import BadInput
from features.items import decode_item, encode_item
from pipelines.imports.cells import boolean, identifier, number, text
from pipelines.imports.columns import ITEM_TARGETS, bind
from pipelines.imports.lines import Refused, Row
from pipelines.imports.orders import shown
from pipelines.imports.rows import Rows

TEXTS = ("title", "category", "currency", "url", "image_url")

_source = msgspec.json.Encoder(enc_hook=str)


def items_from(rows: Rows, columns: Mapping[str, str]) -> Iterator[dict[str, Any] | Refused]:
    """Items as the `items` topic carries them: the fields that the row fills, checked by features.items.

    `tags` of a text cell are divided by `|`, `attributes` is a JSON object; a column mapped to any other name becomes
    an attribute of that name.

    Args:    columns: from parse_map.
    Raises:  BadInput: at once, when the map doesn't fit the file's columns; while reading, as Rows does.
    """
    bound = bind(columns, rows.columns, ITEM_TARGETS, ("item_id",))
    return (row if isinstance(row, Refused) else _item(row, bound) for row in rows)


def _item(row: Row, columns: dict[str, str]) -> dict[str, Any] | Refused:
    try:
        fields = _fields({target: row.values.get(source) for target, source in columns.items()})
        item: dict[str, Any] = msgspec.json.decode(encode_item(decode_item(msgspec.json.encode(fields))))
    except BadInput as error:
        return Refused(row.number, str(error), shown(_source.encode(row.values)))
    return item


def _fields(cells: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"item_id": identifier(cells.get("item_id"), "item_id")}
    fields |= {name: shown_ for name in TEXTS if (shown_ := text(cells.get(name)))}
    if "currency" in fields:
        fields["currency"] = fields["currency"].upper()
    if (price := number(cells.get("price"), "price")) is not None:
        fields["price"] = price
    if text(cells.get("in_stock")):
        fields["in_stock"] = boolean(cells["in_stock"], "in_stock")
    if tags := _tags(cells.get("tags")):
        fields["tags"] = tags
    if attributes := _attributes(cells):
        fields["attributes"] = attributes
    return fields


def _tags(cell: Any) -> list[str]:
    tags = cell if isinstance(cell, list) else text(cell).split("|")
    return [shown_ for tag in tags if (shown_ := text(tag))]


def _attributes(cells: dict[str, Any]) -> dict[str, Any]:
    """The object in the column `attributes`, and the columns that were mapped to names of their own."""
    given = cells.get("attributes")
    if isinstance(given, str) and text(given):
        try:
            given = msgspec.json.decode(given)
        except msgspec.DecodeError as error:
            raise BadInput(f"attributes: not JSON: {error}", "attributes") from error
    if given and not isinstance(given, dict):
        raise BadInput("attributes: not a JSON object", "attributes")
    own = {name: value for name, value in cells.items() if name not in ITEM_TARGETS and text(value)}
    return (given or {}) | {
        name: value if isinstance(value, bool | int | float) else text(value) for name, value in own.items()
    }
