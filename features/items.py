"""What an item is: one entry of the catalogue, as the `items` topic and `POST /v1/items` carry it."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from features.errors import BadInput

MAX_TAGS = 50
MAX_ATTRIBUTES = 100

Short = Annotated[str, Meta(max_length=255)]
Scalar = Annotated[str, Meta(max_length=1_000)] | bool | int | float | None
# Pages show it as a link or an image source: no javascript:, data: or scheme-relative address may come through.
Url = Annotated[
    str,
    Meta(max_length=2_048, pattern=r"^(?:(?i:https?)://[^\s\\]+|(?!//)[^\s\\:/?#]*(?:[/?#][^\s\\]*)?)\Z"),
]

PATTERNS = {
    "url": "an http or https address, or a relative one, is needed",
    "image_url": "an http or https address, or a relative one, is needed",
    "currency": "an ISO code in capitals is needed, such as GBP",
}


class Item(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One item; `price` in the currency's major unit, `incomplete` where it is known from an order's lines only."""

    item_id: Annotated[str, Meta(min_length=1, max_length=255)]
    title: Annotated[str, Meta(max_length=1_000)] = ""
    category: Short = ""
    price: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    currency: Annotated[str, Meta(pattern=r"^(?:[A-Z]{3})?\Z")] = ""
    url: Url = ""
    image_url: Url = ""
    in_stock: bool = True
    tags: Annotated[tuple[Short, ...], Meta(max_length=MAX_TAGS)] = ()
    attributes: Annotated[dict[Short, Scalar], Meta(max_length=MAX_ATTRIBUTES)] = {}
    incomplete: bool = False


_decoder = msgspec.json.Decoder(Item)


def decode_item(raw: bytes) -> Item:
    """An item from its JSON; fields that it doesn't know are left out.

    Raises:  BadInput: with the field, when the bytes are no acceptable item.
    """
    try:
        item = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(error) from error
    if not item.item_id.strip():
        raise BadInput("item_id: is blank", "item_id")
    if "\0" in item.item_id:
        raise BadInput("item_id: holds a zero character", "item_id")
    return item


def encode_item(item: Item) -> bytes:
    """Its JSON, without the fields that have their default; decode_item gives the same item back."""
    return msgspec.json.encode(item)


def _bad(error: Exception) -> BadInput:
    """Msgspec ends its messages with ``- at `$.a.b` `` and names a missing field in the message itself."""
    message, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    if not field:
        field = message.partition("missing required field `")[2].rstrip("`") or "item"
    if "matching regex" in message:
        message = PATTERNS[field]
    return BadInput(f"{field}: {message}", field)
