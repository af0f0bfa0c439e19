"""Rows of a catalogue become item upserts."""

import json
from pathlib import Path

import pytest

from features.errors import BadInput
from pipelines.imports.catalogue import items_from
from pipelines.imports.columns import parse_map
from pipelines.imports.lines import Refused
from pipelines.imports.rows import Rows


def test_an_item_carries_the_fields_that_its_row_fills(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text(
        "product_id,name,cost,currency,in_stock,tags,colour,attributes\n"
        '1.0,Lamp,9.5,gbp,no,red|  |new,green,"{""size"": 3}"\n'
        "2,,,,,,,\n"
        "3,Lamp,-1,,,,,\n"
        "4,Lamp,,,perhaps,,,\n"
        ",Lamp,,,,,,\n"
    )
    with Rows(path) as rows:
        first, second, *refused = items_from(rows, parse_map("price=cost,colour=colour"))
    assert first == {
        "item_id": "1",
        "title": "Lamp",
        "price": 9.5,
        "currency": "GBP",
        "in_stock": False,
        "tags": ["red", "new"],
        "attributes": {"size": 3, "colour": "green"},
    }
    assert second == {"item_id": "2"}
    assert all(isinstance(one, Refused) for one in refused)
    assert [(one.number, one.reason.partition(":")[0]) for one in refused if isinstance(one, Refused)] == [
        (4, "price"),
        (5, "in_stock 'perhaps' is neither true nor false"),
        (6, "item_id"),
    ]


def test_json_items_come_as_the_items_topic_has_them(tmp_path: Path) -> None:
    item = {"item_id": "a", "tags": ["x"], "in_stock": False, "attributes": {"size": 1.5, "new": True}, "price": 3}
    path = tmp_path / "items.jsonl"
    path.write_text(json.dumps(item) + "\n" + json.dumps(item | {"attributes": {"deep": {}}}) + "\n")
    with Rows(path) as rows:
        first, second = items_from(rows, {})
    assert first == item
    assert isinstance(second, Refused)
    assert "attributes" in second.reason


def test_a_catalogue_without_an_item_id_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("sku,name\n1,x\n")
    with Rows(path) as rows, pytest.raises(BadInput, match="no column for item_id"):
        items_from(rows, {})
