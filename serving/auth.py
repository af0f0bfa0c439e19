"""Who is calling, and what that caller may do."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from features.errors import KindredError
from features.keys import SCOPES, KeyStore

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
PROXIED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


class Unauthorized(KindredError):
    """No key, or one that isn't known."""


class Forbidden(KindredError):
    """The key is known and may not do this."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class ForeignOrigin(Forbidden):
    """The key is not for pages of the site that the call comes from; that page may not read the refusal either."""


@dataclass(frozen=True)
class Caller:
    """`kind` is `write`, `secret` or `local` (no key, from this machine, in the demo)."""

    id: str
    kind: str
    scopes: frozenset[str]

    def need(self, scope: str) -> None:
        """Raises Forbidden where the caller lacks the scope."""
        if scope not in self.scopes:
            raise Forbidden(f"this key lacks the scope {scope}")

    def need_access_to(self, user_id: str | None) -> None:
        """A write key is public: it may ask for its own anonymous visitor, never for a known customer."""
        if self.kind == "write" and user_id:
            raise Forbidden("a write key may ask by anonymous_id only; use a secret key on your server", "user_id")


def caller(
    keys: KeyStore, headers: Mapping[str, str], client: str | None, demo: bool, body_key: str | None = None
) -> Caller:
    """The caller of a request.

    Args:    headers: with names in lower case; client: its address; demo: whether this machine needs no key;
             body_key: a write key that the body or the query carries.
    Raises:  Unauthorized; ForeignOrigin.
    """
    token = _token(headers) or body_key
    if not token:
        if demo and _is_local(headers, client):
            return Caller("local", "local", frozenset(SCOPES))
        raise Unauthorized("a key is needed: `Authorization: Bearer sk_...`, or Basic with the key as user name")
    key = keys.find(token)
    if key is None:
        raise Unauthorized("this key isn't known; `kindred keys` lists and issues them")
    origin = headers.get("origin")
    if key.origins and origin is not None and origin not in key.origins:
        raise ForeignOrigin("this key isn't for pages of this site; `kindred keys issue --origin` says for which")
    return Caller(key.id, key.kind, frozenset(key.scopes))


def _token(headers: Mapping[str, str]) -> str | None:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[0] or None
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unauthorized("the Authorization header isn't valid Basic authentication") from error


def _is_local(headers: Mapping[str, str], client: str | None) -> bool:
    """From this machine, by a name of this machine (no page of another site can claim that), with no proxy between."""
    if client not in LOOPBACK or any(name in headers for name in PROXIED):
        return False
    host = _host(headers.get("host", ""))
    origin = headers.get("origin")
    return host in LOOPBACK and (origin is None or origin.partition("://")[2] == headers.get("host"))


def _host(value: str) -> str:
    return value[1:].partition("]")[0] if value.startswith("[") else value.partition(":")[0]
