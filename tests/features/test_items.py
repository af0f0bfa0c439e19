"""What an item may hold, and which field is named when it holds something else."""

from typing import Any

import msgspec
import pytest

from features.errors import BadInput
from features.items import Item, decode_item, encode_item

ITEM: dict[str, Any] = {
    "item_id": "i1",
    "title": "Lamp",
    "category": "lighting",
    "price": 9.5,
    "currency": "GBP",
    "url": "/p/i1?a=1",
    "image_url": "https://cdn.example.org/i1.jpg",
    "in_stock": False,
    "tags": ["new"],
    "attributes": {"size": 3, "colour": "red", "sale": True, "note": None},
}


def test_an_item_comes_back_as_it_was_written() -> None:
    item = decode_item(msgspec.json.encode(ITEM))
    assert msgspec.json.decode(encode_item(item)) == ITEM
    assert decode_item(encode_item(item)) == item
    assert decode_item(b'{"item_id": "x", "unknown": 1}') == Item(item_id="x")
    assert encode_item(Item(item_id="x")) == b'{"item_id":"x"}'


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("item_id", ""), ("item_id", "  "), ("item_id", "x" * 256), ("item_id", 7), ("title", "x" * 1_001),
        ("category", "x" * 256), ("price", -1), ("price", "9"), ("currency", "gbp"), ("in_stock", 1),
        ("tags", ["x"] * 51), ("tags", "x"), ("attributes", {str(n): n for n in range(101)}),
        ("attributes", {"deep": {}}), ("url", "javascript:alert(1)"), ("url", "//evil.example.org/x"),
        ("url", "JAVASCRIPT:x"), ("url", "/\\evil.example.org"), ("url", " https://a"),
        ("image_url", "data:image/png,x"),
        ("url", "ftp://a"), ("url", "x" * 2_049), ("url", "https://a b"), ("url", "java\nscript:x"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_is_named(field: str, value: object) -> None:
    with pytest.raises(BadInput) as caught:
        decode_item(msgspec.json.encode(ITEM | {field: value}))
    assert str(caught.value.field).startswith(field)


def test_what_is_no_item_is_told_so() -> None:
    for raw, field in ((b"", "item"), (b"[]", "item"), (b"{}", "item_id"), (b"\xff", "item"), (b"[" * 9_999, "item")):
        with pytest.raises(BadInput) as caught:
            decode_item(raw)
        assert caught.value.field == field


@pytest.mark.parametrize("url", ["", "/", "/p/1", "p/1.html", "?id=1", "#x", "http://a/b:c?d=e#f", "/p/1?u=https://b/"])
def test_links_are_web_addresses_or_relative_ones(url: str) -> None:
    assert decode_item(msgspec.json.encode(ITEM | {"url": url})).url == url
