"""Keys of callers, kept as hashes in one file: `wk_` write keys live in browsers, `sk_` secret keys on servers."""

import fcntl
import hashlib
import os
import re
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from features.errors import BadInput, BadSetting

Kind = Literal["write", "secret"]
SCOPES = ("track", "recommend", "items", "debug")
SECRET_ONLY = frozenset({"items", "debug"})  # a write key is public
_ORIGIN = re.compile(r"https?://[^/\s?#@A-Z]+")
_PREFIX: dict[Kind, str] = {"write": "wk_", "secret": "sk_"}


class Key(Struct, frozen=True, kw_only=True):
    """One key, without its token: that is shown once, when the key is issued. `created_at` is ms UTC.

    `origins`: the sites whose pages may use it, as browsers name them; empty means all.
    """

    id: str
    kind: Kind
    hash: str
    scopes: tuple[str, ...]
    label: Annotated[str, Meta(max_length=100)]
    created_at: int
    origins: tuple[str, ...] = ()


class KeyStore:
    """The file of keys; it is read again when it has changed, so a revoked key stops working at once."""

    def __init__(self, data: Path) -> None:
        self.path = data / "keys.json"
        self._name = str(self.path)
        self._version = (0, 0)
        self._keys: dict[str, Key] = {}

    def issue(
        self, kind: Kind, scopes: tuple[str, ...], label: str, now: int, origins: tuple[str, ...] = ()
    ) -> tuple[Key, str]:
        """A new key and its token.

        Raises:  BadInput: an unknown scope, or one that a write key can't have; origins that no page has, or of a
                 secret key.
        """
        _check_origins(kind, origins)
        if unknown := [scope for scope in scopes if scope not in SCOPES]:
            raise BadInput(f"there is no scope {unknown[0]!r}; known ones: {', '.join(SCOPES)}", "scope")
        if kind == "write" and (refused := sorted(SECRET_ONLY.intersection(scopes))):
            raise BadInput(f"a write key is public, it can't have the scope {refused[0]}", "scope")
        token = _PREFIX[kind] + secrets.token_urlsafe(24)
        key = Key(
            id=uuid.uuid4().hex[:8],
            kind=kind,
            hash=_hash(token),
            scopes=scopes,
            label=label[:100],
            created_at=now,
            origins=origins,
        )
        with self._alone():
            self._write([*self.keys(), key])
        return key, token

    def revoke(self, key_id: str) -> None:
        """Take a key away.

        Raises:  BadInput: there is none of this id.
        """
        with self._alone():
            kept = [key for key in self.keys() if key.id != key_id]
            if len(kept) == len(self.keys()):
                raise BadInput(f"there is no key {key_id!r}", "id")
            self._write(kept)

    def keys(self) -> list[Key]:
        """All keys, oldest first."""
        self._refresh()
        return sorted(self._keys.values(), key=lambda key: (key.created_at, key.id))

    def find(self, token: str) -> Key | None:
        """The key of a token; None for one that was never issued or is revoked."""
        self._refresh()
        return self._keys.get(_hash(token))

    def _refresh(self) -> None:
        """Two changes may fall on one tick of the file system's clock, but each is a file of its own."""
        try:
            found = os.stat(self._name)  # noqa: PTH116 - with each request, and a path takes thrice as long
        except FileNotFoundError:
            self._keys, self._version = {}, (0, 0)
            return
        version = (found.st_mtime_ns, found.st_ino)
        if version != self._version:
            try:
                keys = msgspec.json.decode(self.path.read_bytes(), type=list[Key])
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise BadSetting(f"the key file {self.path.name} can't be read: {error}", "KINDRED_DATA") from error
            self._keys, self._version = {key.hash: key for key in keys}, version

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While one process changes the file no other does, or one change would undo the other."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, keys: list[Key]) -> None:
        draft = self.path.with_suffix(f".{uuid.uuid4().hex}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(keys)))
        draft.replace(self.path)


def _hash(token: str) -> str:
    """Tokens hold 192 random bits, so a plain hash can't be searched."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _check_origins(kind: Kind, origins: tuple[str, ...]) -> None:
    if kind == "secret" and origins:
        raise BadInput("a secret key is for servers, no page may have it: origins are those of a write key", "origin")
    if wrong := [each for each in origins if not _ORIGIN.fullmatch(each)]:
        raise BadInput(f"{wrong[0]!r} is no origin: one is like https://shop.example, in small letters", "origin")
