"""What an exposure is: one decision as it was served, as the topic `exposures` carries it."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from features.errors import BadInput
from features.events import customer_of

Moment = Annotated[datetime, Meta(tz=True)]
Id = Annotated[str, Meta(min_length=1, max_length=255)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Probability = Annotated[float, Meta(ge=0, le=1)]


class Shown(Struct, frozen=True, kw_only=True, gc=False):
    """One place of a slate; `position` runs from 1.

    `propensity` is the probability of this item there, given the places before it; 1 where nothing was drawn.
    """

    item_id: Id
    position: Annotated[int, Meta(ge=1)]
    score: float
    propensity: Probability = 1.0
    source: str = ""


class ServedBy(Struct, frozen=True, kw_only=True, gc=False):
    """The model behind a decision."""

    name: str
    version: str


class Assigned(Struct, frozen=True, kw_only=True, gc=False):
    """The experiment that a decision was part of, and which side of it."""

    key: str
    variant: str


class Exposure(Struct, frozen=True, kw_only=True):
    """One decision: for whom, by which policy, out of what, and what came of it.

    `eligible` is what the stochastic stage drew from, in greedy order; empty where none ran. `as_of` is the time of the
    newest event that was reflected.
    """

    request_id: Id
    timestamp: Moment
    slate: tuple[Shown, ...]
    user_id: Id | None = None
    anonymous_id: Id | None = None
    placement: str = ""
    policy: str = ""
    seed: Seed = 0
    eligible: tuple[str, ...] = ()
    model: ServedBy | None = None
    experiment: Assigned | None = None
    variant: str = ""
    as_of: Moment | None = None
    degraded: tuple[str, ...] = ()

    @property
    def customer(self) -> str:
        """The raw id, `u:...` or `a:...`; empty for a caller that keeps its history itself."""
        return customer_of(self.user_id, self.anonymous_id)


_decoder = msgspec.json.Decoder(Exposure)


def decode_exposure(raw: bytes) -> Exposure:
    """An exposure from its JSON; fields that it doesn't know are left out.

    Raises:  BadInput: the bytes are none.
    """
    try:
        return _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"it is no exposure: {error}", "exposure") from error


def encode_exposure(exposure: Exposure) -> bytes:
    """Its JSON; decode_exposure gives the same exposure back."""
    return msgspec.json.encode(exposure)


def exposure_key(exposure: Exposure) -> bytes | None:
    """Its key in Kafka, as the customer's events have; None where nobody is named."""
    return exposure.customer[2:].encode() or None
