"""What the routes of tracking take and answer, as the OpenAPI document says it; `features.wire` does the checking."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from features.items import Item
from features.properties import AnyId, Id
from features.wire import Kind
from serving.tracking import BATCH_EVENTS, BATCH_ITEMS, KINDS

Name = Annotated[str, Meta(max_length=255)]
Whatever = dict[str, Any] | None
Whose = AnyId | Literal[""] | None


class Message(Struct, kw_only=True, rename="camel"):
    """One message of Segment's HTTP API, of one of `userId` and `anonymousId` at least; a track message has `event`.

    What else it carries is kept. `writeKey` is the key where no header carries one.
    """

    message_id: Id | None = None
    user_id: Whose = None
    anonymous_id: Whose = None
    event: Name | None = None
    previous_id: AnyId | None = None
    properties: Whatever = None
    traits: Whatever = None
    context: Whatever = None
    timestamp: datetime | None = None
    original_timestamp: datetime | None = None
    sent_at: datetime | None = None
    write_key: str | None = None


class TypedMessage(Message, kw_only=True, rename="camel"):
    """A message of a batch says what it is."""

    type: Kind


class Batch(Struct, kw_only=True, rename="camel"):
    """Body of POST /v1/batch; `sentAt` holds for messages that have none."""

    batch: Annotated[tuple[TypedMessage, ...], Meta(min_length=1, max_length=BATCH_EVENTS)]
    sent_at: datetime | None = None
    write_key: str | None = None


class Items(Struct, kw_only=True):
    """Body of POST /v1/items."""

    items: Annotated[tuple[Item, ...], Meta(min_length=1, max_length=BATCH_ITEMS)]


class Taken(Struct, kw_only=True):
    """Kafka has acknowledged it."""

    success: Literal[True]


class Refused(Struct, kw_only=True):
    """One message of a batch that was not taken; it is in the dead-letter topic."""

    index: int
    field: str
    message: str


class BatchTaken(Taken, kw_only=True):
    """Kafka has acknowledged all that isn't `refused`."""

    refused: tuple[Refused, ...] | UnsetType = UNSET


class ItemsTaken(Taken, kw_only=True):
    """How many items were taken."""

    items: int


TRACKING: dict[str, tuple[type, type]] = {
    **{f"/v1/{kind}": (Message, Taken) for kind in KINDS},
    "/v1/batch": (Batch, BatchTaken),
    "/v1/items": (Items, ItemsTaken),
}
