"""The context of an event: what columns need of it; a wrong context never fails an event, it is as if absent."""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

Short = Annotated[str, Meta(max_length=255)]

_DEVICES = {
    "mobile": "mobile", "phone": "mobile", "smartphone": "mobile", "ios": "mobile", "android": "mobile",
    "tablet": "tablet", "desktop": "desktop", "pc": "desktop",
}  # fmt: skip
_MOBILE, _DESKTOP = ("Mobi", "iPhone", "iPod"), ("Windows NT", "Macintosh", "X11", "CrOS")


class Device(Struct, frozen=True, gc=False):
    """What the customer held."""

    type: Short | None = None


class Location(Struct, frozen=True, gc=False):
    """Where the customer was."""

    country: Short | None = None


class Campaign(Struct, frozen=True, gc=False):
    """What brought the customer."""

    source: Short | None = None
    medium: Short | None = None


class Context(Struct, rename="camel", frozen=True, gc=False):
    """What is known of an event's circumstances, as it was sent."""

    device: Device | None = None
    location: Location | None = None
    campaign: Campaign | None = None
    locale: Short | None = None
    user_agent: str | None = None


NOWHERE = Context()
_decoder = msgspec.json.Decoder(Context | None)


def context_of(raw: Raw) -> Context:
    """The context from its JSON; empty where it is absent or isn't one."""
    try:
        return _decoder.decode(raw) or NOWHERE
    except msgspec.ValidationError:
        return NOWHERE


def device_of(sent: str) -> str:
    """mobile, tablet or desktop, from the name of a kind of device or roughly from a browser's; else empty."""
    if named := _DEVICES.get(sent.lower()):
        return named
    if "iPad" in sent or "Tablet" in sent or ("Android" in sent and "Mobi" not in sent):
        return "tablet"
    if any(word in sent for word in _MOBILE):
        return "mobile"
    return "desktop" if any(word in sent for word in _DESKTOP) else ""


def country_of(sent: str) -> str:
    """A country as it was sent, a code of two letters in capitals."""
    return sent.upper() if len(sent) == 2 else sent


def region_of(locale: str) -> str:
    """The country in a locale: GB of en-GB or en_GB; else empty."""
    language, _, region = locale.replace("_", "-").rpartition("-")
    return region.upper() if language and len(region) == 2 and region.isalpha() else ""
