"""The envelope of a message on the wire, before anything is made of it."""

from datetime import UTC, datetime
from math import floor
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from features.errors import MalformedEvent
from features.properties import AnyId, AnyProperties, Id

MAX_EVENT_BYTES = 256 * 1024

Kind = Literal["track", "identify", "page", "screen", "group", "alias"]
NULL, TRUE = Raw(b"null"), Raw(b"true")


class Times(Struct, rename="camel", gc=False):
    """What a sender says about when it happened."""

    timestamp: datetime | None = None
    original_timestamp: datetime | None = None
    sent_at: datetime | None = None


class Envelope(Times, kw_only=True, gc=False):
    """The envelope as it comes; whatever else it carries stays in the logged bytes."""

    type: Kind
    message_id: Id | None = None
    user_id: AnyId | Literal[""] | None = None
    anonymous_id: AnyId | Literal[""] | None = None
    event: Annotated[str, Meta(max_length=255)] | None = None
    previous_id: AnyId | None = None
    properties: Raw = NULL
    traits: AnyProperties | None = None
    context: Raw = NULL
    received_at: datetime | None = None
    key_id: Raw = NULL
    trusted: Raw = NULL

    @property
    def from_server(self) -> bool:
        """Whether it came by a secret key (the service stamps `trusted`), or not by our HTTP at all."""
        return self.key_id == NULL or self.trusted == TRUE


_decoder = msgspec.json.Decoder(Envelope)


def read_envelope(raw: bytes) -> Envelope:
    """The envelope from its bytes.

    Raises:  MalformedEvent: with the field.
    """
    if len(raw) > MAX_EVENT_BYTES:
        raise MalformedEvent(f"the event has {len(raw)} bytes, at most {MAX_EVENT_BYTES} are taken", "event")
    try:
        if not raw.isascii():
            raw.decode()  # what the decoder skips, it doesn't check
        return _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise malformed(error) from error
    except RecursionError as error:
        raise MalformedEvent("the event is nested too deeply", "event") from error


def malformed(error: Exception, prefix: str = "") -> MalformedEvent:
    """Msgspec ends its messages with ``- at `$.a.b` ``: that path is the field."""
    message, _, path = str(error).partition(" - at `$")
    field = prefix + path.rstrip("`") if path else prefix
    if not field and (missing := message.partition("missing required field `")[2]):
        field = missing.rstrip("`")
    return MalformedEvent(f"{field.strip('.') or 'event'}: {message}", field.strip(".") or "event")


def ms_of(moment: datetime, field: str) -> int:
    """A time as ms UTC; without a zone it is UTC.

    Raises:  MalformedEvent: with the field, when it lies before 1970.
    """
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    ms = floor(moment.timestamp() * 1_000 + 0.5)
    if ms < 0:
        raise MalformedEvent(f"{field}: {moment} lies before 1970", field)
    return ms
