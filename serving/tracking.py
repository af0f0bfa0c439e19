"""Events and catalogue upserts from callers into Kafka: checked, stamped, acknowledged; what is refused is kept too."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

import msgspec

from features.errors import BadInput, MalformedEvent
from features.events import MAX_EVENT_BYTES, Event, partition_key, stamp
from features.items import decode_item, encode_item
from features.kafka.producer import Producer
from serving.auth import Caller
from serving.metrics import EVENTS

KINDS = ("track", "identify", "page", "screen", "group", "alias")
BROWSER_EVENT_BYTES = 32 * 1024
BATCH_EVENTS = 2_500
BATCH_ITEMS = 1_000
DEAD_LETTERS = "events.dead-letter"


class Tracker:
    """Puts what callers send into Kafka and returns once Kafka has it; `note` is told of every event that it took."""

    def __init__(self, producer: Producer, note: Callable[[Event], None] = lambda _event: None) -> None:
        self.producer = producer
        self.note = note

    async def one(self, kind: str, message: dict[str, Any], caller: Caller) -> None:
        """Take one event.

        Raises:  MalformedEvent: with the field; the event is in the dead-letter topic then. Unavailable, Overloaded.
        """
        await self._take(message, kind, None, caller)

    async def batch(self, body: dict[str, Any], caller: Caller) -> list[dict[str, Any]]:
        """Take a batch; returns what was refused of it as {index, field, message}.

        Raises:  BadInput: it is no batch, too large, or every event in it is malformed.
        """
        messages = body.get("batch")
        if not isinstance(messages, list) or not messages:
            raise BadInput("batch must be a list with at least one event", "batch")
        if len(messages) > BATCH_EVENTS:
            raise BadInput(f"batch has {len(messages)} events, at most {BATCH_EVENTS} are taken", "batch")
        sent_at = body.get("sentAt") if isinstance(body.get("sentAt"), str) else None
        taken = await asyncio.gather(
            *(self._take(message, None, sent_at, caller) for message in messages), return_exceptions=True
        )
        refused: list[dict[str, Any]] = []
        for index, error in enumerate(taken):
            if isinstance(error, MalformedEvent):
                refused.append({"index": index, "field": error.field, "message": str(error)})
            elif isinstance(error, BaseException):
                raise error
        if len(refused) == len(messages):
            raise BadInput(refused[0]["message"], f"batch[0].{refused[0]['field']}")
        return refused

    async def items(self, body: dict[str, Any]) -> int:
        """Upsert items, after all of them were checked; returns how many.

        Raises:  BadInput: with the field, for example `items[3].price`.
        """
        rows = body.get("items")
        if not isinstance(rows, list) or not 0 < len(rows) <= BATCH_ITEMS:
            raise BadInput(f"items must be a list of 1 to {BATCH_ITEMS} items", "items")
        values = []
        for index, row in enumerate(rows):
            try:
                item = decode_item(msgspec.json.encode(row))
            except BadInput as error:
                raise BadInput(f"items[{index}].{error}", f"items[{index}].{error.field}") from error
            values.append((item.item_id.encode(), encode_item(item)))
        await asyncio.gather(*(self.producer.send_wait("items", key, value) for key, value in values))
        return len(values)

    async def _take(self, message: object, kind: str | None, sent_at: str | None, caller: Caller) -> None:
        now = time.time_ns() // 1_000_000
        try:
            if not isinstance(message, dict):
                raise MalformedEvent("an event must be a JSON object", "event")
            raw, event = stamp(cast("dict[str, Any]", message), kind, now, sent_at, caller.id, caller.kind == "secret")
            limit = BROWSER_EVENT_BYTES if caller.kind == "write" else MAX_EVENT_BYTES
            if len(raw) > limit:
                raise MalformedEvent(f"the event has {len(raw)} bytes, at most {limit} are taken", "event")
        except MalformedEvent as error:
            await self._refuse(message, kind, error)
            raise
        await self.producer.send_wait("events", partition_key(event), raw)
        EVENTS.labels("accepted").inc()
        self.note(event)

    async def _refuse(self, message: object, kind: str | None, error: MalformedEvent) -> None:
        headers = [("kindred-reason", str(error)[:1000].encode()), ("kindred-topic", b"http")]
        if kind is not None:
            headers.append(("kindred-type", kind.encode()))
        await self.producer.send_wait(DEAD_LETTERS, None, msgspec.json.encode(message), headers)
        EVENTS.labels("refused").inc()
